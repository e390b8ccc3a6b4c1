//! Thousands of simulated bots under a storm of faults: the books always agree with the platform's, and the same seed gives
//! the same history. And engines with a bug in them, which the same simulation finds out.
//!
//! One seed by hand: `REPRISE_SEED=17 cargo nextest run -p workers seed_of_the_environment --no-capture`.

use std::io::Write as _;
use std::time::Instant;

use chrono::TimeDelta;
use domain::campaign::Module;
use workers::simulation::{CrashRun, Mutation, Outcome, crash_run, simulate};

use crate::platform::support::install_tls;

/// Seeds of each test; there are ten tests.
const SEEDS: u64 = 200;
/// Seeds that a planted bug is looked for with.
const HUNT: u64 = 150;
/// Seeds that found something once, one a line, with what it was behind it. A seed that finds something is added by
/// itself: the file is to be committed with the repair.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds.txt");

/// Plays a seed twice, and keeps it if it finds something.
fn plays(seed: u64) -> Outcome {
    let outcome = simulate(seed, None);
    if let Some(breach) = outcome.breaches.first() {
        keep(seed, &format!("{breach:?}"));
        panic!("seed {seed}: {:?}\n{}", outcome.breaches, outcome.log);
    }
    if simulate(seed, None).log != outcome.log {
        keep(seed, "another history the second time");
        panic!("seed {seed} gives another history the second time");
    }
    outcome
}

fn kept() -> Vec<u64> {
    let text = std::fs::read_to_string(KEPT).expect("the seeds are kept beside the tests");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()).map(|seed| seed.parse().expect("a seed")).collect()
}

fn keep(seed: u64, found: &str) {
    if kept().contains(&seed) {
        return;
    }
    let short: String = found.chars().take(120).collect();
    let file = std::fs::OpenOptions::new().append(true).open(KEPT);
    let written = file.and_then(|mut file| writeln!(file, "{seed} {short}"));
    say(&match written {
        Ok(()) => format!("seed {seed} is kept in {KEPT}"),
        Err(error) => format!("seed {seed} could not be kept in {KEPT}: {error}"),
    });
}

/// Shown with `--no-capture`.
#[expect(clippy::print_stdout, reason = "figures for whoever runs the test")]
fn say(what: &str) {
    println!("{what}");
}

fn storm(number: u64) {
    install_tls();
    let begun_at = Instant::now();
    let mut simulated = TimeDelta::zero();
    for seed in number * SEEDS..(number + 1) * SEEDS {
        simulated += plays(seed).simulated * 2;
    }
    let (days, taken) = (simulated.as_seconds_f64() / 86_400.0, begun_at.elapsed().as_secs_f64());
    let each_minute = days / taken * 60.0;
    say(&format!("{SEEDS} seeds, each twice: {days:.0} simulated days in {taken:.1} s, {each_minute:.0} a minute"));
}

macro_rules! storms {
    ($($name:ident: $number:literal;)+) => {
        $(
            #[test]
            fn $name() {
                storm($number);
            }
        )+
    };
}

storms! {
    books_balance_and_histories_repeat_in_the_first_storm: 0;
    books_balance_and_histories_repeat_in_the_second_storm: 1;
    books_balance_and_histories_repeat_in_the_third_storm: 2;
    books_balance_and_histories_repeat_in_the_fourth_storm: 3;
    books_balance_and_histories_repeat_in_the_fifth_storm: 4;
    books_balance_and_histories_repeat_in_the_sixth_storm: 5;
    books_balance_and_histories_repeat_in_the_seventh_storm: 6;
    books_balance_and_histories_repeat_in_the_eighth_storm: 7;
    books_balance_and_histories_repeat_in_the_ninth_storm: 8;
    books_balance_and_histories_repeat_in_the_tenth_storm: 9;
}

#[test]
fn seeds_that_found_something_find_nothing_any_more() {
    install_tls();
    for seed in kept() {
        plays(seed);
    }
}

#[test]
fn storms_are_storms() {
    install_tls();
    let outcomes: Vec<Outcome> = (0..40).map(|seed| simulate(seed, None)).collect();
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    assert!(sum(|outcome| outcome.figures.crashes.into()) > 40);
    assert!(sum(|outcome| outcome.figures.zombies.into()) > 40);
    assert!(sum(|outcome| outcome.figures.faults.into()) > 200);
    assert!(sum(|outcome| outcome.figures.writes as u64) > 60);
    for kind in ["FOLLOW", "UNFOLLOW", "LIKE", "STORY_SEEN", "STORY_LIKE", "COMMENT", "DIRECT_MESSAGE"] {
        let count: usize = outcomes.iter().filter_map(|outcome| outcome.writes.get(kind)).sum();
        assert!(count > 3, "{count} of {kind} are too few");
    }
}

/// What a module promises of an action that was reserved, and not settled, when its process crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// It is done once, as if nothing had happened: a read tells whether it was.
    DoneOnce,
    /// It is said once or not at all: what was not said is not said again.
    SaidOnceAtMost,
    /// No read tells whether it was done, so it is in doubt.
    InDoubt,
}

/// Crashes at every await of a campaign's run, one after another.
fn crashes_everywhere(module: Module, promise: Promise) {
    install_tls();
    let whole = crash_run(module, None);
    assert!(whole.breaches.is_empty() && whole.writes.len() == 3, "{whole:?}");
    let expected = whole.result.clone().expect("the whole run has a result");
    assert_eq!(expected["performed"], 3, "{expected}");
    let (mut crashes, mut while_acting, mut otherwise) = (0, 0, 0);
    for at in 1..=whole.polls {
        let run = crash_run(module, Some(at));
        assert!(run.breaches.is_empty(), "at {at}: {:?}", run.breaches);
        let result = run.result.as_ref().unwrap_or_else(|| panic!("at {at}: the job has no result"));
        for part in ["targets", "refused", "skipped", "stopped_by"] {
            assert_eq!(result[part], expected[part], "at {at}: {part} of {result}");
        }
        if run.was_acting && promise != Promise::DoneOnce {
            keeps(promise, &run, &whole, at);
        } else {
            for part in ["performed", "in_doubt"] {
                assert_eq!(result[part], expected[part], "at {at}: {part} of {result}");
            }
            // An action whose call was never made is one that failed, and is made again.
            assert_eq!(sorted(&run), sorted(&whole), "at {at}");
        }
        crashes += 1;
        while_acting += u32::from(run.was_acting);
        otherwise += u32::from(result["performed"] != expected["performed"]);
    }
    assert!(crashes > 50, "{crashes} awaits are too few for a run");
    say(&format!("{module}: {crashes} crashes, {while_acting} with an open action, {otherwise} ended otherwise"));
}

/// All but one action are as if nothing had happened; of that one nothing is done twice, and nothing is claimed.
fn keeps(promise: Promise, run: &CrashRun, whole: &CrashRun, at: u32) {
    let result = run.result.as_ref().expect("it has a result");
    let count = |part: &str| result[part].as_u64().unwrap_or_default();
    let (written, usual) = (sorted(run), sorted(whole));
    assert!(written.iter().all(|write| usual.contains(write)), "at {at}: {written:?}");
    assert!(written.windows(2).all(|pair| pair[0] != pair[1]), "at {at}: {written:?}");
    let (performed, written) = (count("performed"), written.len() as u64);
    match promise {
        Promise::DoneOnce => {}
        Promise::SaidOnceAtMost => {
            assert_eq!((performed, count("in_doubt")), (written, 0), "at {at}: {result}");
            assert_eq!(performed + count("failed"), 3, "at {at}: {result}");
        }
        Promise::InDoubt => {
            assert_eq!((performed, count("in_doubt"), count("failed")), (2, 1, 0), "at {at}: {result}");
            assert!(written >= 2, "at {at}: {written}");
        }
    }
}

fn sorted(run: &CrashRun) -> Vec<(String, String)> {
    let mut writes = run.writes.clone();
    writes.sort();
    writes
}

#[test]
fn run_of_likes_that_crashes_at_any_await_ends_as_if_it_had_not() {
    crashes_everywhere(Module::Like, Promise::DoneOnce);
}

#[test]
fn run_of_follows_that_crashes_at_any_await_ends_as_if_it_had_not() {
    crashes_everywhere(Module::Follow, Promise::DoneOnce);
}

#[test]
fn run_of_unfollows_that_crashes_at_any_await_ends_as_if_it_had_not() {
    crashes_everywhere(Module::Unfollow, Promise::DoneOnce);
}

#[test]
fn run_of_comments_that_crashes_at_any_await_says_nothing_twice() {
    crashes_everywhere(Module::Comment, Promise::SaidOnceAtMost);
}

#[test]
fn run_of_messages_that_crashes_at_any_await_says_nothing_twice() {
    crashes_everywhere(Module::Dm, Promise::SaidOnceAtMost);
}

#[test]
fn run_of_looks_at_stories_that_crashes_at_any_await_leaves_one_in_doubt_at_most() {
    crashes_everywhere(Module::StorySee, Promise::InDoubt);
}

#[test]
fn run_of_likes_of_stories_that_crashes_at_any_await_leaves_one_in_doubt_at_most() {
    crashes_everywhere(Module::StoryLike, Promise::InDoubt);
}

/// The seed that finds a planted bug.
fn finds(mutation: Mutation) {
    install_tls();
    let found = (0..HUNT).find(|seed| !simulate(*seed, Some(mutation)).breaches.is_empty());
    assert!(found.is_some(), "{mutation:?} was not found with {HUNT} seeds");
}

#[test]
fn call_before_its_reservation_is_found() {
    finds(Mutation::CallBeforeReserve);
}

#[test]
fn record_before_its_call_is_found() {
    finds(Mutation::RecordBeforeCall);
}

#[test]
fn skipped_probe_is_found() {
    finds(Mutation::SkipProbe);
}

#[test]
fn silence_that_is_believed_is_found() {
    finds(Mutation::BelieveSilence);
}

#[test]
fn seed_of_the_environment() {
    let Some(seed) = std::env::var("REPRISE_SEED").ok().and_then(|seed| seed.parse().ok()) else { return };
    install_tls();
    let outcome = plays(seed);
    say(&format!("{}\n{:?} in {} of the engine's time", outcome.log, outcome.figures, outcome.simulated));
}
