//! A replay's answer as text.

use workers::job::replay::{EntryLine, EntryState, GoesOn, Parting, Reach, Replayed, Verdict, Waiting};

use crate::output;

/// Entries that are shown on either side of the place of interest, unless all are asked for.
const AROUND: usize = 8;

/// The answer in full: the job, its journal around the place where it ends or parts, and the verdict.
pub fn whole(replayed: &Replayed, all: bool) -> String {
    let Replayed { job_id, workflow, state, events, entries, verdict, notes } = replayed;
    let mut text = format!("job {job_id}: {workflow}, {state}, {events} events\n\n");
    text.push_str(&journal(entries, verdict, all));
    text.push_str("\n\n");
    text.push_str(&self::verdict(verdict));
    for note in notes {
        text.push_str("\nnote: ");
        text.push_str(note);
    }
    text
}

fn journal(entries: &[EntryLine], verdict: &Verdict, all: bool) -> String {
    if entries.is_empty() {
        return "the journal is empty".to_owned();
    }
    let parts_at = match verdict {
        Verdict::Diverges(parting) => Some(parting.index),
        Verdict::Fits { .. } => None,
    };
    let middle = parts_at.map_or(entries.len(), |index| entries.partition_point(|entry| entry.index < index));
    let from = if all { 0 } else { middle.saturating_sub(AROUND) };
    let until = if all { entries.len() } else { (middle + AROUND + 1).min(entries.len()) };
    let rows = entries[from..until].iter().map(|entry| {
        let mark = if parts_at == Some(entry.index) { "✗" } else { "" };
        let at = entry.at.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default();
        [mark.to_owned(), entry.index.to_string(), entry.sequence.to_string(), entry.what.clone(), state(entry), at]
    });
    let mut text = output::table(["", "INDEX", "SEQUENCE", "RECORDED", "STATE", "AT"], rows);
    if from > 0 {
        text = format!("{from} entries before, --all shows them\n{text}");
    }
    if until < entries.len() {
        text = format!("{text}\n{} entries after, --all shows them", entries.len() - until);
    }
    text
}

fn state(entry: &EntryLine) -> String {
    let tried = |attempts: u32| if attempts > 1 { format!(", attempt {attempts}") } else { String::new() };
    match &entry.state {
        EntryState::Completed { attempts } => format!("completed{}", tried(*attempts)),
        EntryState::Failed { attempts, code } => format!("failed with {code}{}", tried(*attempts)),
        EntryState::Unsettled { attempts } => format!("began, no end recorded{}", tried(*attempts)),
        EntryState::Retries { attempts, retry_at } => match retry_at {
            Some(at) => format!("is tried again at {at}{}", tried(*attempts)),
            None => format!("is tried again{}", tried(*attempts)),
        },
        EntryState::Waits { until: Some(until) } => format!("waits until {until}"),
        EntryState::Waits { until: None } => "waits".to_owned(),
        EntryState::Over => "over".to_owned(),
        EntryState::TimedOut => "timed out".to_owned(),
        EntryState::Cancelled => "cancelled".to_owned(),
    }
}

/// The verdict in a line, or in a few where they part.
pub fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Fits { reach } => format!("fits: {}", self::reach(reach)),
        Verdict::Diverges(Parting { index, sequence, recorded, attempted }) => {
            let place = sequence.map_or_else(|| "past its last event".to_owned(), |at| format!("sequence {at}"));
            format!("PARTS at index {index} ({place})\n  recorded:  {recorded}\n  attempted: {attempted}")
        }
    }
}

fn reach(reach: &Reach) -> String {
    match reach {
        Reach::Complete { how } => format!("to its end, {how}"),
        Reach::NeverBegan => "the job was over before its code ran".to_owned(),
        Reach::Ends { how } => format!("the code goes on to its end, {how}"),
        Reach::Open { waits, next } => {
            let waits = waits.iter().map(|waiting| match waiting {
                Waiting::Time { until } => format!("waits until {until}"),
                Waiting::Signal { name, until: None } => format!("waits for the signal {name}"),
                Waiting::Signal { name, until: Some(until) } => format!("waits for the signal {name} until {until}"),
                Waiting::Child { job_id } => format!("waits for the job {job_id}"),
            });
            let next = next.iter().map(|GoesOn { index, with, attempt }| {
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                format!("goes on with {with} at index {index}{again}")
            });
            waits.chain(next).collect::<Vec<_>>().join(", ")
        }
    }
}
