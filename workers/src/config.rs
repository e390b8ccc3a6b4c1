//! What can be set for the workers. Lengths are real time unless they say otherwise.

use std::time::Duration;

use chrono::TimeDelta;

use crate::failpoint::Failpoints;

/// How the workers of this process behave.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Host and process, for people; the actor of the events that its work causes.
    pub name: String,
    /// Most commands that run at a time.
    pub concurrency: usize,
    /// Most commands that one look at the queue claims.
    pub batch: usize,
    /// How often partitions are looked after.
    pub partition_pause: Duration,
    /// How often the queue is looked at when nothing wakes it.
    pub poll: Duration,
    /// How long a call of the gateway may take, its retries included.
    pub call_limit: Duration,
    /// How long one command may take.
    pub work_limit: Duration,
    /// How long running commands may go on after a stop was asked for.
    pub drain_limit: Duration,
    /// How long a workflow's code may keep a thread before its job ends.
    pub stall_limit: Duration,
    /// How long after an unknown outcome a "not done" of the platform is believed: longer than any call can be under
    /// way at the gateway.
    pub settle_time: Duration,
    /// How many reads that tell nothing it takes to call an action in doubt.
    pub settle_reads: u32,
    /// How long commands that were done or cancelled are kept.
    pub command_retention: Duration,
    /// How old a session may get, in engine time.
    pub session_lifetime: TimeDelta,
    /// Most pages of a source that one run reads.
    pub source_pages: u32,
    /// A job whose history has more events goes on as a new one, where its code can.
    pub history_limit: u32,
    /// Where tests stop the workers; nothing in production.
    pub failpoints: Failpoints,
    /// The bug that a test plants.
    #[cfg(feature = "failpoints")]
    pub mutation: Option<crate::mutation::Mutation>,
}

#[cfg(feature = "failpoints")]
impl WorkerConfig {
    /// Whether a test has planted this bug.
    pub(crate) fn has_bug(&self, mutation: crate::mutation::Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

impl WorkerConfig {
    /// The usual settings.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            concurrency: 16,
            batch: 16,
            partition_pause: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            call_limit: Duration::from_secs(120),
            work_limit: Duration::from_secs(900),
            drain_limit: Duration::from_secs(30),
            stall_limit: Duration::from_secs(10),
            settle_time: Duration::from_secs(240),
            settle_reads: 8,
            command_retention: Duration::from_secs(30 * 24 * 3_600),
            session_lifetime: TimeDelta::days(90),
            source_pages: 10,
            history_limit: domain::job::LONGEST_HISTORY,
            failpoints: Failpoints::default(),
            #[cfg(feature = "failpoints")]
            mutation: None,
        }
    }
}
