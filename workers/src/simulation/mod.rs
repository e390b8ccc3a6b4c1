//! A deterministic simulation of the engine: real workflows over the memory store, a virtual clock and the sandbox in the
//! same process, while a seed decides what goes wrong. The same seed gives the same history, to the byte.
//!
//! What goes wrong: a crash at any await, a process that goes on after it has lost its hold, an append that is lost or whose
//! answer is, a call whose request or reply is lost or late, refusals of every class, sessions that are forgotten, a clock
//! that jumps, and people who pause, resume, signal and cancel at any time. In the end everything is repaired, everything
//! has to come to its end, and the books have to agree with the platform's own.

mod books;
mod cast;
mod clock;
mod crash;
mod interrupt;
mod process;
mod remembered;
mod repository;
mod script;
mod stage;
mod trouble;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::campaign::Module;

pub use crate::mutation::Mutation;
pub use books::Breach;

/// What a seed came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub seed: u64,
    /// Every event of the log and every entry of the platform's ledger, as one text: two runs of a seed give the same.
    pub log: String,
    /// What was promised and did not hold.
    pub breaches: Vec<Breach>,
    /// How long it took by the engine's clock.
    pub simulated: TimeDelta,
    /// Writes that reached the platform, by its name for them.
    pub writes: BTreeMap<String, usize>,
    pub figures: Figures,
}

/// A run of one campaign on a calm day, with one crash at most.
#[derive(Debug, Clone, PartialEq)]
pub struct CrashRun {
    /// What the campaign's job ended with.
    pub result: Option<serde_json::Value>,
    /// Writes that reached the platform, by kind and target.
    pub writes: Vec<(String, String)>,
    pub breaches: Vec<Breach>,
    /// How often the job's code was polled before the crash, or in all.
    pub polls: u32,
    /// Whether an action was reserved and not settled when it crashed.
    pub was_acting: bool,
}

/// Runs a campaign of `module`; the process that runs it crashes at the `crash_at`-th await, if there are so many.
///
/// # Panics
///
/// When the simulation itself cannot be set up.
#[must_use]
pub fn crash_run(module: Module, crash_at: Option<u32>) -> CrashRun {
    crash::crash_run(module, crash_at)
}

/// How much happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub events: usize,
    pub writes: usize,
    pub crashes: u32,
    pub zombies: u32,
    pub faults: u32,
}

/// Simulates `seed`; with a `mutation`, on an engine with that bug in it.
///
/// # Panics
///
/// When the simulation itself cannot be set up.
#[must_use]
pub fn simulate(seed: u64, mutation: Option<Mutation>) -> Outcome {
    stage::play(seed, mutation)
}
