//! What a desk shows of itself.

use std::collections::BTreeMap;

use domain::ids::JobId;

use super::limits::Held;

/// A job that this process cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedJob {
    pub job_id: JobId,
    /// A stable code, as in docs/errors.
    pub code: &'static str,
    pub message: String,
}

/// What a desk has to do, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeskStatus {
    pub partitions: usize,
    /// Jobs that are not over, of this process's partitions.
    pub live: usize,
    pub sleeping: usize,
    /// Due and not running.
    pub ready: usize,
    pub running: usize,
    /// Cannot be run by this process.
    pub parked: usize,
    /// Those of `ready` that a limit keeps back.
    pub held: BTreeMap<Held, usize>,
    /// Bots of which a job runs or is due.
    pub bots: usize,
    /// Sets of threads that were left behind with code that is stuck.
    pub lost_lanes: u64,
    /// How long the oldest ready job has been ready, in microseconds of engine time.
    pub oldest_ready_us: i64,
    /// Engine time in microseconds.
    pub next_due: Option<i64>,
    /// Activations that ended since the start.
    pub finished: u64,
    /// The first of the parked jobs.
    pub parked_jobs: Vec<ParkedJob>,
}
