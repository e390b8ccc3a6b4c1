//! The agenda: who is next, and what is known of whom.

use std::sync::Arc;

use domain::ids::{BotId, JobId, derive, partition_of};
use domain::job::JobPriority;

use super::agenda::{Agenda, Children, NEVER, Outcome, Seed, Turn};
use super::limits::{BotLimits, DeskLimits, Held};
use super::watch::Attention;

fn job(number: u32) -> JobId {
    JobId::from_uuid(derive(&["job", &number.to_string()]))
}

fn bot(name: &str) -> BotId {
    BotId::from_uuid(derive(&["bot", name]))
}

/// An agenda that holds the partitions of the bots.
fn agenda(limits: DeskLimits) -> Agenda {
    let mut agenda = Agenda::default();
    agenda.set_limits(Arc::new(limits));
    for name in ["a", "b", "c"] {
        let partition = partition_of(bot(name));
        if !agenda.holds(partition) {
            agenda.hold(partition, 1);
        }
    }
    agenda
}

fn limits(max_running: usize, max_running_per_bot: usize) -> DeskLimits {
    DeskLimits { max_running, max_running_per_bot, ..DeskLimits::default() }
}

fn next(agenda: &mut Agenda) -> Option<Turn> {
    agenda.next(|_| Arc::new(Attention::new(0)))
}

fn drain(agenda: &mut Agenda) -> Vec<JobId> {
    std::iter::from_fn(|| next(agenda).map(|turn| turn.job_id)).collect()
}

#[test]
fn bots_take_turns_whatever_one_of_them_brings() {
    let mut agenda = agenda(limits(100, 100));
    for number in 0..10 {
        agenda.add(job(number), bot("a"), JobPriority::Normal, 0, 0);
    }
    agenda.add(job(20), bot("b"), JobPriority::Normal, 0, 0);
    agenda.add(job(30), bot("c"), JobPriority::Normal, 0, 0);
    assert_eq!(drain(&mut agenda)[..4], [job(0), job(20), job(30), job(1)]);
}

#[test]
fn heavier_bot_begins_more_jobs_in_its_turn() {
    let mut limits = limits(100, 100);
    limits.bots.insert(bot("a"), BotLimits { weight: 3, ..BotLimits::default() });
    let mut agenda = agenda(limits);
    for number in 0..6 {
        agenda.add(job(number), bot("a"), JobPriority::Normal, 0, 0);
        agenda.add(job(10 + number), bot("b"), JobPriority::Normal, 0, 0);
    }
    assert_eq!(drain(&mut agenda)[..8], [0, 1, 2, 10, 3, 4, 5, 11].map(job));
}

#[test]
fn job_for_which_a_person_waits_goes_first_and_the_others_go_too() {
    let mut agenda = agenda(limits(100, 100));
    for number in 0..2 {
        agenda.add(job(number), bot("a"), JobPriority::Normal, 0, 0);
    }
    for number in 10..16 {
        agenda.add(job(number), bot("a"), JobPriority::High, 0, 0);
    }
    assert_eq!(drain(&mut agenda), [10, 11, 12, 13, 0, 14, 15, 1].map(job));
}

#[test]
fn every_level_of_priority_goes_on_however_much_is_above_it() {
    let mut agenda = agenda(limits(1_000, 1_000));
    for (level, priority) in (0_u32..).zip(JobPriority::ALL) {
        for number in 0..100 {
            agenda.add(job(level * 100 + number), bot("a"), *priority, 0, 0);
        }
    }
    let begun = drain(&mut agenda);
    let among = |most: usize, level: u32| {
        let these = |id: &&JobId| (level * 100..(level + 1) * 100).any(|number| job(number) == **id);
        begun[..most].iter().filter(these).count()
    };
    assert_eq!([3, 2, 1, 0].map(|level| among(125, level)), [100, 20, 4, 1]);
    assert_eq!(begun.len(), 400);
}

#[test]
fn job_that_waits_takes_its_new_place_in_the_line_and_begins_once() {
    let mut agenda = agenda(limits(100, 100));
    for number in 0..4 {
        agenda.add(job(number), bot("a"), JobPriority::Normal, 0, 0);
    }
    agenda.prioritize(job(3), JobPriority::Urgent);
    agenda.prioritize(job(0), JobPriority::Low);
    agenda.prioritize(job(2), JobPriority::Low);
    agenda.prioritize(job(2), JobPriority::Normal);
    let begun = drain(&mut agenda);
    assert_eq!(begun, [3, 1, 2, 0].map(job));
    assert_eq!(agenda.running_count(), 4);
}

#[test]
fn urgent_jobs_of_one_bot_do_not_starve_another_bot() {
    let mut agenda = agenda(limits(100, 100));
    for number in 0..10 {
        agenda.add(job(number), bot("a"), JobPriority::Urgent, 0, 0);
    }
    agenda.add(job(20), bot("b"), JobPriority::Low, 0, 0);
    assert_eq!(drain(&mut agenda)[..2], [job(0), job(20)]);
}

#[test]
fn job_whose_priority_is_set_while_it_sleeps_is_not_woken_for_that() {
    let mut agenda = agenda(limits(10, 10));
    agenda.add(job(1), bot("a"), JobPriority::Normal, 100, 0);
    agenda.prioritize(job(1), JobPriority::Urgent);
    assert_eq!(agenda.wake(50), Some(100));
    assert!(next(&mut agenda).is_none());
    agenda.add(job(2), bot("a"), JobPriority::High, 100, 50);
    agenda.wake(100);
    assert_eq!(drain(&mut agenda), [job(1), job(2)]);
}

#[test]
fn limits_hold_jobs_back_and_say_so() {
    let mut agenda = agenda(limits(2, 1));
    for (number, name) in [(1, "a"), (2, "a"), (3, "b"), (4, "c")] {
        agenda.add(job(number), bot(name), JobPriority::Normal, 0, 0);
    }
    let first = next(&mut agenda).expect("a job of a");
    assert_eq!(next(&mut agenda).map(|turn| turn.job_id), Some(job(3)));
    assert!(next(&mut agenda).is_none());
    assert_eq!((agenda.held_job(job(2)), agenda.held_job(job(4))), (Some(Held::BotLimit), Some(Held::ProcessLimit)));
    let status = agenda.status(5);
    assert_eq!((status.ready, status.held[&Held::BotLimit], status.oldest_ready_us), (2, 1, 5));
    agenda.finish(first.job_id, first.ticket, Outcome::Gone, 1);
    assert!(next(&mut agenda).is_some());
    agenda.set_limits(Arc::new(DeskLimits { paused: true, ..limits(10, 10) }));
    assert!(next(&mut agenda).is_none());
    agenda.set_limits(Arc::new(limits(10, 10)));
    assert!(next(&mut agenda).is_some());
}

#[test]
fn bot_that_is_paused_begins_nothing_until_it_is_not() {
    let mut paused = limits(10, 10);
    paused.bots.insert(bot("a"), BotLimits { paused: true, ..BotLimits::default() });
    let mut agenda = agenda(paused);
    agenda.add(job(1), bot("a"), JobPriority::Normal, 0, 0);
    agenda.add(job(2), bot("b"), JobPriority::Normal, 0, 0);
    assert_eq!(drain(&mut agenda), [job(2)]);
    assert_eq!(agenda.held_job(job(1)), Some(Held::BotPaused));
    agenda.set_limits(Arc::new(limits(10, 10)));
    assert_eq!(drain(&mut agenda), [job(1)]);
}

#[test]
fn sleepers_wake_when_they_are_due_and_news_wake_them_sooner() {
    let mut agenda = agenda(limits(10, 10));
    agenda.add(job(1), bot("a"), JobPriority::Normal, 100, 0);
    agenda.add(job(2), bot("a"), JobPriority::Normal, 200, 0);
    agenda.add(job(3), bot("a"), JobPriority::Normal, NEVER, 0);
    assert_eq!(agenda.wake(50), Some(100));
    assert!(next(&mut agenda).is_none());
    assert_eq!(agenda.wake(100), Some(200));
    assert_eq!(drain(&mut agenda), [job(1)]);
    assert!(agenda.poke(job(3), 110) && !agenda.poke(job(4), 110));
    assert_eq!(drain(&mut agenda), [job(3)]);
}

#[test]
fn job_that_something_happens_to_while_it_runs_runs_again_and_never_twice_at_once() {
    let mut agenda = agenda(limits(10, 10));
    agenda.add(job(1), bot("a"), JobPriority::Normal, 0, 0);
    let turn = next(&mut agenda).expect("it is ready");
    agenda.poke(job(1), 1);
    agenda.poke(job(1), 1);
    assert!(next(&mut agenda).is_none());
    agenda.finish(turn.job_id, turn.ticket, Outcome::Sleeps { due: 1_000 }, 2);
    let again = next(&mut agenda).expect("it is dirty");
    assert!(next(&mut agenda).is_none());
    // The end of an activation that was taken away counts no more.
    agenda.finish(again.job_id, turn.ticket, Outcome::Gone, 3);
    assert!(agenda.knows(job(1)));
    agenda.finish(again.job_id, again.ticket, Outcome::Gone, 3);
    assert!(!agenda.knows(job(1)));
}

#[test]
fn partition_that_is_closed_begins_nothing_and_is_quiet_when_nothing_runs() {
    let mut agenda = agenda(limits(10, 10));
    let partition = partition_of(bot("a"));
    agenda.add(job(1), bot("a"), JobPriority::Normal, 0, 0);
    agenda.add(job(2), bot("a"), JobPriority::Normal, 0, 0);
    let turn = next(&mut agenda).expect("it is ready");
    assert!(!agenda.close(partition));
    assert!(next(&mut agenda).is_none());
    agenda.finish(turn.job_id, turn.ticket, Outcome::Gone, 1);
    assert!(agenda.close(partition));
    agenda.reopen(partition);
    assert_eq!(drain(&mut agenda), [job(2)]);
    agenda.drop_partitions(&[partition]);
    assert!(!agenda.knows(job(2)) && agenda.running_count() == 0);
}

#[test]
fn first_event_is_kept_until_something_else_is_heard() {
    let mut agenda = agenda(limits(10, 10));
    let seed = || Seed { payload: "{}".into(), event_id: job(8).uuid(), correlation_id: job(9).uuid() };
    for number in 1..=2 {
        agenda.add(job(number), bot("a"), JobPriority::Normal, 0, 0);
        agenda.seed(job(number), seed());
    }
    agenda.poke(job(2), 0);
    assert_eq!(next(&mut agenda).expect("the first").seed, Some(seed()));
    assert_eq!(next(&mut agenda).expect("the second").seed, None);
}

#[test]
fn parent_asks_the_children_that_it_was_told_of() {
    let mut agenda = agenda(limits(10, 10));
    agenda.add(job(1), bot("a"), JobPriority::Normal, NEVER, 0);
    agenda.child_ended(job(1), job(7), 1);
    agenda.child_ended(job(1), job(8), 1);
    let turn = next(&mut agenda).expect("it is due");
    assert_eq!(turn.children, Children::These(vec![job(7), job(8)]));
}
