//! What holds for every schedule, however time is cut into decisions.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn any_timing() -> impl Strategy<Value = Timing> {
    let zones =
        select(vec!["Europe/Istanbul", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Pacific/Apia"]);
    let expressions =
        select(vec!["*/20 * * * *", "7 1-3 * * *", "0,30 * * * *", "30 2 * * *", "15 1 * * 1-5", "@hourly"]);
    prop_oneof![
        3 => (expressions, zones).prop_map(|(expression, zone)| cron_in(expression, zone)),
        1 => (1_u32..500, -5_000_i64..5_000).prop_map(|(every, anchor)| Timing::Interval {
            minutes: every.try_into().expect("not zero"),
            anchored_at: start() + minutes(anchor),
        }),
        1 => (0_i64..3_000).prop_map(|after| Timing::Once { due_at: start() + minutes(after) }),
    ]
}

/// Before the clocks change in New York and Lord Howe within days.
fn start() -> DateTime<Utc> {
    instant("2026-10-31T12:00:00Z")
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    (any_timing(), 0_u32..20_000, select(Overlap::ALL), 1_u32..400).prop_map(
        |(timing, jitter_seconds, overlap, catch_up_minutes)| Schedule {
            timing,
            jitter_seconds,
            overlap,
            catch_up_minutes,
            since: start(),
            pause: None,
        },
    )
}

/// One look of the scheduler.
#[derive(Debug, Clone)]
struct Look {
    after_seconds: i64,
    bot: BotState,
    /// How many of the oldest open jobs ended since the last look.
    ended: usize,
    /// Whether what was decided is lost in a crash, though its jobs were enqueued.
    crashes: bool,
}

fn any_looks() -> impl Strategy<Value = Vec<Look>> {
    let after = prop_oneof![4 => 0_i64..3_000, 1 => 3_000_i64..200_000];
    let bot = prop_oneof![4 => Just(BotState::Running), 1 => select(BotState::ALL)];
    let look = (after, bot, 0_usize..3, prop::bool::weighted(0.2))
        .prop_map(|(after_seconds, bot, ended, crashes)| Look { after_seconds, bot, ended, crashes });
    prop::collection::vec(look, 1..25)
}

fn runs(decisions: &[DueDecision]) -> Vec<PlannedRun> {
    decisions
        .iter()
        .filter_map(|decision| match decision {
            DueDecision::Start { run }
            | DueDecision::CancelPreviousAndStart { run, .. }
            | DueDecision::Queue { run, .. } => Some(*run),
            DueDecision::Skip { .. } | DueDecision::Missed { .. } => None,
        })
        .collect()
}

/// The campaign's open jobs after the decisions were carried out.
fn carry_out(open: &mut Vec<JobId>, decisions: &[DueDecision]) {
    for decision in decisions {
        if let DueDecision::CancelPreviousAndStart { previous, .. } = decision {
            open.retain(|job_id| !previous.contains(job_id));
        }
        for run in runs(std::slice::from_ref(decision)) {
            if !open.contains(&run.job_id) {
                open.push(run.job_id);
            }
        }
    }
}

/// Takes what a decision covers off the front of what is due.
fn take_off(rest: &mut &[DueTime], decision: &DueDecision, now: DateTime<Utc>, catch_up: TimeDelta) {
    let (first, last, count) = match decision {
        DueDecision::Skip { span, .. } | DueDecision::Missed { span } => {
            (span.first_due_at, span.last_due_at, usize::try_from(span.count).expect("a small number"))
        }
        _ => {
            let run = runs(std::slice::from_ref(decision))[0];
            assert_eq!(run.start_at, rest[0].start_at);
            assert_eq!(run.job_id, job_id(campaign(), run.due_at));
            (run.due_at, run.due_at, 1)
        }
    };
    let (covered, left) = rest.split_at(count);
    assert_eq!((covered[0].due_at, covered[count - 1].due_at), (first, last), "lost, doubled or out of order");
    let missed = matches!(decision, DueDecision::Missed { .. });
    for time in covered {
        assert!(time.start_at <= now, "decided before its time");
        assert_eq!(time.start_at < now - catch_up, missed, "wrongly missed, or caught up with too late");
    }
    *rest = left;
}

proptest! {
    #[test]
    fn no_due_time_is_lost_or_doubled_however_time_is_cut(schedule in any_schedule(), looks in any_looks()) {
        let end = looks.iter().fold(start(), |at, look| at + TimeDelta::seconds(look.after_seconds));
        let all: Vec<_> = schedule.due_times(campaign(), start()).take_while(|time| time.start_at <= end).collect();
        let mut rest = &all[..];
        let (mut now, mut decided_until) = (start(), start());
        let mut open = Vec::new();
        for look in looks {
            now += TimeDelta::seconds(look.after_seconds);
            open.drain(..look.ended.min(open.len()));
            let stands = standing(look.bot, &open);
            let mut decisions = due(&schedule, campaign(), decided_until, now, &stands);
            carry_out(&mut open, &decisions);
            if look.crashes {
                let again = due(&schedule, campaign(), decided_until, now, &standing(look.bot, &open));
                prop_assert_eq!(runs(&again), runs(&decisions), "a crash changed what runs");
                // Those that were cancelled are gone by now.
                if schedule.overlap != Overlap::CancelPrevious {
                    prop_assert_eq!(&again, &decisions, "a crash changed a decision");
                }
                let before = open.clone();
                carry_out(&mut open, &again);
                prop_assert_eq!(&open, &before, "a crash doubled or cancelled a job");
                decisions = again;
            }
            for decision in &decisions {
                take_off(&mut rest, decision, now, minutes(i64::from(schedule.catch_up_minutes)));
            }
            let most = if schedule.overlap == Overlap::Queue { LONGEST_QUEUE + 1 } else { 1 };
            prop_assert!(open.len() <= most, "{} jobs are open", open.len());
            decided_until = now;
        }
        prop_assert!(rest.is_empty(), "never decided: {:?}", rest);
    }

    #[test]
    fn starts_keep_the_order_of_due_times_within_the_jitter(schedule in any_schedule(), ask in 0_i64..100_000) {
        let times = schedule.next_due(campaign(), start(), 60);
        let bound = TimeDelta::seconds(i64::from(schedule.jitter_seconds));
        for time in &times {
            prop_assert!(time.due_at > start());
            prop_assert!(time.start_at >= time.due_at && time.start_at - time.due_at <= bound);
        }
        for pair in times.windows(2) {
            prop_assert!(pair[0].due_at < pair[1].due_at && pair[0].start_at < pair[1].due_at);
        }
        let nominal: Vec<_> = schedule.timing.times_after(start()).take(60).collect();
        prop_assert_eq!(times.iter().map(|time| time.due_at).collect::<Vec<_>>(), nominal);
        // Asked later, the same starts are told.
        let later = start() + TimeDelta::seconds(ask);
        let told: Vec<_> = times.iter().copied().filter(|time| time.start_at > later).collect();
        let asked = schedule.next_due(campaign(), later, told.len());
        prop_assert_eq!(asked, told);
    }
}

#[test]
fn jitter_uses_all_of_its_bound_and_differs_between_campaigns() {
    let mut schedule = every_ten_minutes(Overlap::Skip);
    schedule.jitter_seconds = 9;
    let delays = |campaign| -> Vec<i64> {
        let times = schedule.next_due(campaign, start(), 500);
        times.iter().map(|time| (time.start_at - time.due_at).num_seconds()).collect()
    };
    let ours = delays(campaign());
    for delay in 0..=9 {
        let share = ours.iter().filter(|found| **found == delay).count();
        assert!((25..=80).contains(&share), "{share} of 500 starts are {delay} s late");
    }
    assert_ne!(ours, delays(CampaignId::from_uuid(Uuid::from_u128(12))));
}
