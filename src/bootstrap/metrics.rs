//! Figures of this process for `/metrics`, beside those of the API: how far views are behind, what waits in the queue, the
//! lease, snapshots, the clock. They are read from where they are kept, every few seconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use projections::{campaign_schedules, checkpoint};
use prometheus::{Gauge, GaugeVec, IntCounter, IntGaugeVec, Opts, Registry};
use sqlx::PgPool;
use store::command_queue::CommandQueue;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::time::Time;

/// How often figures are read.
pub const EVERY: Duration = Duration::from_secs(5);

/// The figures, and where they come from.
pub struct Figures {
    pool: PgPool,
    core: Core,
    queue: CommandQueue,
    time: Time,
    behind_events: IntGaugeVec,
    behind_seconds: GaugeVec,
    parked_events: IntGaugeVec,
    commands: IntGaugeVec,
    snapshots: IntGaugeVec,
    lease_seconds: Gauge,
    clock_speed: Gauge,
    connections: IntGaugeVec,
    missed_runs: IntCounter,
}

impl Figures {
    pub fn try_new(
        registry: &Registry,
        pool: &PgPool,
        core: &Core,
        queue: &CommandQueue,
        time: &Time,
    ) -> Result<Self, prometheus::Error> {
        let counts = |name: &str, help: &str, label: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let single = |name: &str, help: &str| {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let behind_seconds = GaugeVec::new(
            Opts::new("reprise_projection_behind_seconds", "Engine time that a projection is behind the log"),
            &["projection"],
        )?;
        registry.register(Box::new(behind_seconds.clone()))?;
        let missed_runs = IntCounter::new(
            "reprise_schedule_missed_runs_total",
            "Due times of campaigns that nobody decided in time, over all processes",
        )?;
        registry.register(Box::new(missed_runs.clone()))?;
        Ok(Self {
            pool: pool.clone(),
            core: core.clone(),
            queue: queue.clone(),
            time: time.clone(),
            behind_seconds,
            behind_events: counts(
                "reprise_projection_behind_events",
                "Events that a projection does not have yet",
                "projection",
            )?,
            parked_events: counts(
                "reprise_projection_parked_events",
                "Events that wait in parked streams of a projection",
                "projection",
            )?,
            commands: counts("reprise_commands", "Durable commands by their status", "status")?,
            snapshots: counts("reprise_snapshots", "What happened to snapshots since the start", "what")?,
            lease_seconds: single("reprise_writer_lease_seconds", "How long this process may surely write")?,
            clock_speed: single("reprise_clock_speed", "Engine seconds in a real second")?,
            connections: counts("reprise_database_connections", "Connections of the pool", "state")?,
            missed_runs,
        })
    }

    /// Reads the figures until `stop`.
    pub async fn keep(self, stop: CancellationToken) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.read_here();
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.read_database() => {}
            }
        }
    }

    fn read_here(&self) {
        self.lease_seconds.set(self.core.writer.lease().remaining().as_secs_f64());
        self.clock_speed.set(self.time.clock.speed());
        let count = |what: &str, counter: &AtomicU64| {
            let value = i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            self.snapshots.with_label_values(&[what]).set(value);
        };
        let snapshots = self.core.snapshots.counters();
        count("saved", &snapshots.saved);
        count("used", &snapshots.used);
        count("checked", &snapshots.checked);
        count("mismatched", &snapshots.mismatched);
        let idle = i64::try_from(self.pool.num_idle()).unwrap_or(i64::MAX);
        self.connections.with_label_values(&["idle"]).set(idle);
        self.connections.with_label_values(&["busy"]).set(i64::from(self.pool.size()).saturating_sub(idle));
    }

    async fn read_database(&self) {
        // While the database is away the last figures stand; that it is away is told by `/health/ready`.
        if let Ok(standings) = checkpoint::standings(&self.pool).await {
            for standing in standings {
                let labels = [standing.projection.as_str()];
                self.behind_events.with_label_values(&labels).set(standing.behind_events());
                self.behind_seconds.with_label_values(&labels).set(standing.behind_seconds());
                self.parked_events.with_label_values(&labels).set(standing.parked_events);
            }
        }
        if let Ok(missed) = campaign_schedules::missed(&self.pool).await {
            // It is counted in the log, so a start goes on where the last process was.
            let missed = u64::try_from(missed).unwrap_or_default();
            self.missed_runs.inc_by(missed.saturating_sub(self.missed_runs.get()));
        }
        if let Ok(counts) = self.queue.counts().await {
            self.commands.reset();
            for (status, count) in counts {
                self.commands.with_label_values(&[status.as_str()]).set(count);
            }
        }
    }
}
