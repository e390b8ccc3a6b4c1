//! Finds code that does not give its thread back, takes everything else away from its threads, and ends its job.
//!
//! The limit: such code cannot be ended, only left behind with the thread that it has taken. Code that waits for something
//! which is not the context's, and code that asks the context without end, are found where they run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::JobId;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shared;
use super::agenda::Outcome;
use super::lane::Lane;
use crate::job::stream::Provenance;

/// The part of the limit after which it is looked again.
const LOOKS: u32 = 10;

/// Watches until the desk closes.
pub(super) async fn watch(shared: Arc<Shared>) {
    let pause = shared.config.stall_limit / LOOKS;
    // How long each was seen in the same poll. Only time in which this task ran counts, so that a process that was
    // stopped and continued finds nobody guilty.
    let mut seen: HashMap<u64, Duration> = HashMap::new();
    let mut looked_at = Instant::now();
    // Not on the threads of a lane, which may be the next to be left behind.
    let mut endings = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.closing.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let passed = looked_at.elapsed().min(pause * 2);
        looked_at = Instant::now();
        let polled: Vec<(JobId, u64)> = {
            let agenda = shared.agenda();
            let long = |polled: Option<Duration>| polled.is_some_and(|length| length >= pause);
            let running = agenda.running().filter(|(_, _, attention)| long(attention.polled_for()));
            running.map(|(job, ticket, _)| (job, ticket)).collect()
        };
        while endings.try_join_next().is_some() {}
        seen.retain(|ticket, _| polled.iter().any(|(_, other)| other == ticket));
        for (job, ticket) in polled {
            let length = seen.entry(ticket).or_default();
            *length += passed;
            if *length >= shared.config.stall_limit {
                seen.remove(&ticket);
                if let Some(provenance) = shared.isolate(job, ticket) {
                    let message = format!(
                        "the code did not give its thread back for {} ms",
                        shared.config.stall_limit.as_millis()
                    );
                    let shared = Arc::clone(&shared);
                    endings.spawn(async move { shared.end_stalled(job, message, provenance).await });
                }
            }
        }
    }
}

impl Shared {
    /// Leaves the job's thread behind, and runs everything else of that lane in a new one. Says as whom the job's end is to
    /// be written.
    fn isolate(self: &Arc<Self>, job: JobId, ticket: u64) -> Option<Provenance> {
        tracing::error!(job.id = %job, code = "WORKFLOW_STALLED",
            "a workflow's code does not give its thread back; its job ends, and the thread is lost until the restart");
        let now = self.now();
        let number = self.agenda().running().find(|(_, other, _)| *other == ticket).map(|(.., seen)| seen.lane)?;
        let old = {
            let mut lane = self.lane();
            // Another of its threads may have been left behind before.
            if lane.number == number {
                let next = Lane::open(number + 1, self.config.threads);
                std::mem::replace(&mut *lane, next).take()
            } else {
                None
            }
        };
        let provenance = {
            let mut agenda = self.agenda();
            let provenance = agenda.epoch_of(job).map(|epoch| self.provenance(job, epoch));
            let mut taken = Vec::new();
            for (other, other_ticket, attention) in agenda.running() {
                // One that is being polled comes back by itself when its lane is shut down.
                if attention.lane == number && attention.revoke() && other_ticket != ticket {
                    taken.push((other, other_ticket));
                }
            }
            for (other, other_ticket) in taken {
                agenda.finish(other, other_ticket, Outcome::Broken, now);
            }
            let message = "its code did not give its thread back".to_owned();
            agenda.finish(job, ticket, Outcome::Parked { code: "WORKFLOW_STALLED", message }, now);
            provenance
        };
        if let Some(runtime) = old {
            runtime.shutdown_background();
        }
        self.pump();
        provenance
    }
}
