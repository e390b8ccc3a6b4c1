//! Thousands of simulated bots under a storm of faults: the books always agree with the platform's, and the same seed gives
//! the same history. And engines with a bug in them, which the same simulation finds out.
//!
//! One seed by hand: `REPRISE_SEED=17 cargo nextest run -p workers seed_of_the_environment --no-capture`.

use domain::campaign::Module;
use workers::simulation::{CrashRun, Mutation, Outcome, crash_run, simulate};

use crate::platform::support::install_tls;

/// Seeds of each test; there are ten tests.
const SEEDS: u64 = 200;
/// Seeds that a planted bug is looked for with.
const HUNT: u64 = 150;
/// Seeds that found something once.
const KEPT: [u64; 0] = [];

/// Plays a seed twice.
fn plays(seed: u64) -> Outcome {
    let outcome = simulate(seed, None);
    assert!(outcome.breaches.is_empty(), "seed {seed}: {:?}\n{}", outcome.breaches, outcome.log);
    assert!(simulate(seed, None).log == outcome.log, "seed {seed} gives another history the second time");
    outcome
}

fn storm(number: u64) {
    install_tls();
    for seed in number * SEEDS..(number + 1) * SEEDS {
        plays(seed);
    }
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
    for seed in KEPT {
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
}

/// Crashes at every await of a campaign's run, one after another.
fn crashes_everywhere(module: Module) {
    install_tls();
    let whole = crash_run(module, None);
    assert!(whole.breaches.is_empty() && whole.writes.len() == 3, "{whole:?}");
    let mut crashes = 0;
    for at in 1..=whole.polls {
        let CrashRun { result, mut writes, breaches, .. } = crash_run(module, Some(at));
        assert!(breaches.is_empty(), "at {at}: {breaches:?}");
        let result = result.unwrap_or_else(|| panic!("at {at}: the job has no result"));
        let expected = whole.result.as_ref().expect("the whole run has a result");
        for part in ["targets", "performed", "refused", "in_doubt", "stopped_by"] {
            assert_eq!(result[part], expected[part], "at {at}: {part} of {result}");
        }
        // An action whose call was never made is one that failed, and is made again.
        writes.sort();
        let mut usual = whole.writes.clone();
        usual.sort();
        assert_eq!(writes, usual, "at {at}");
        crashes += 1;
    }
    assert!(crashes > 50, "{crashes} awaits are too few for a run");
}

#[test]
fn run_of_likes_that_crashes_at_any_await_ends_as_if_it_had_not() {
    crashes_everywhere(Module::Like);
}

#[test]
fn run_of_follows_that_crashes_at_any_await_ends_as_if_it_had_not() {
    crashes_everywhere(Module::Follow);
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
    println!("{}\n{:?} in {} of the engine's time", outcome.log, outcome.figures, outcome.simulated);
}
