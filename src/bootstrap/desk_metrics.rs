//! What the desk of this process has to do, for `/metrics`: its live jobs by what they do, what limits keep back, and the
//! limits in force.

use std::sync::Arc;

use domain::engine::EngineSettings;
use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use workers::job::desk::{DeskHandle, Held};

use super::metrics::EVERY;

/// The figures, and where they come from.
pub struct DeskFigures {
    desk: DeskHandle,
    settings: watch::Receiver<Arc<EngineSettings>>,
    jobs: IntGaugeVec,
    held: IntGaugeVec,
    oldest_wait: Gauge,
    bots: IntGauge,
    partitions: IntGauge,
    lost_lanes: IntGauge,
    activations: IntCounter,
    limits: IntGaugeVec,
    paused: IntGauge,
}

impl DeskFigures {
    pub fn try_new(
        registry: &Registry,
        desk: DeskHandle,
        settings: watch::Receiver<Arc<EngineSettings>>,
    ) -> Result<Self, prometheus::Error> {
        let labelled = |name: &str, help: &str, label: &str| {
            registered(registry, IntGaugeVec::new(Opts::new(name, help), &[label])?)
        };
        let single = |name: &str, help: &str| registered(registry, IntGauge::new(name, help)?);
        Ok(Self {
            desk,
            settings,
            jobs: labelled("reprise_desk_jobs", "Live jobs of this process, by what they do", "state")?,
            held: labelled("reprise_desk_held_jobs", "Jobs that are due and kept back by a limit", "reason")?,
            oldest_wait: registered(
                registry,
                Gauge::new(
                    "reprise_desk_oldest_wait_seconds",
                    "Engine time since the oldest job that is due became due",
                )?,
            )?,
            bots: single("reprise_desk_active_bots", "Bots of which a job runs or is due")?,
            partitions: single("reprise_desk_partitions", "Partitions whose jobs this process runs")?,
            lost_lanes: single(
                "reprise_desk_lost_lanes",
                "Sets of threads that were left behind with code that is stuck",
            )?,
            activations: registered(
                registry,
                IntCounter::new("reprise_desk_activations_total", "Activations of jobs that ended")?,
            )?,
            limits: labelled(
                "reprise_desk_limit",
                "Limits in force: jobs at a time in this process and of a bot, requests a minute (none: no limit)",
                "limit",
            )?,
            paused: single("reprise_desk_paused", "1 while no job is taken up")?,
        })
    }

    /// Reads the figures until `stop`.
    pub async fn keep(self, stop: CancellationToken) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.read(),
            }
        }
    }

    fn read(&self) {
        let status = self.desk.status();
        let by_state = [
            ("sleeping", status.sleeping),
            ("ready", status.ready),
            ("running", status.running),
            ("parked", status.parked),
        ];
        for (state, jobs) in by_state {
            self.jobs.with_label_values(&[state]).set(count(jobs));
        }
        for reason in Held::ALL {
            let jobs = status.held.get(&reason).copied().unwrap_or_default();
            self.held.with_label_values(&[&reason.as_str().to_lowercase()]).set(count(jobs));
        }
        let oldest = std::time::Duration::from_micros(u64::try_from(status.oldest_ready_us).unwrap_or_default());
        self.oldest_wait.set(oldest.as_secs_f64());
        self.bots.set(count(status.bots));
        self.partitions.set(count(status.partitions));
        self.lost_lanes.set(i64::try_from(status.lost_lanes).unwrap_or(i64::MAX));
        self.activations.inc_by(status.finished.saturating_sub(self.activations.get()));
        let limits = self.desk.limits();
        self.limits.reset();
        self.limits.with_label_values(&["running"]).set(count(limits.max_running));
        self.limits.with_label_values(&["running_per_bot"]).set(count(limits.max_running_per_bot));
        if let Some(requests) = self.settings.borrow().requests_per_minute {
            self.limits.with_label_values(&["requests_per_minute"]).set(i64::from(requests));
        }
        self.paused.set(i64::from(limits.paused));
    }
}

fn registered<Metric>(registry: &Registry, metric: Metric) -> Result<Metric, prometheus::Error>
where
    Metric: Collector + Clone + 'static,
{
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
