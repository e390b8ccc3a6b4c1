//! The faults: one after another, each chosen and timed by the seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::splitmix::SplitMix64;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::scene::Scene;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Pauses between two faults, in milliseconds.
const PAUSES: (u64, u64) = (150, 1_200);
/// How long the database is away, in milliseconds.
const OUTAGES: (u64, u64) = (0, 2_000);

/// Makes trouble.
pub struct Trouble {
    choices: SplitMix64,
    counts: BTreeMap<String, u32>,
}

impl Trouble {
    pub fn new(seed: u64) -> Self {
        Self { choices: SplitMix64::new(seed), counts: BTreeMap::new() }
    }

    /// Makes so many faults, and says how many of each kind.
    pub async fn make(
        mut self,
        scene: &mut Scene,
        faults: u32,
        output: Output,
        deadline: Instant,
    ) -> Result<BTreeMap<String, u32>, Failure> {
        let bar = output.progress(Some(faults.into()), "faults");
        for _ in 0..faults {
            if Instant::now() >= deadline {
                return Err(Failure::new("CHAOS_TIMEOUT", Exit::TryLater, "the faults took too long"));
            }
            self.rest(PAUSES).await;
            let name = self.one(scene).await?;
            *self.counts.entry(name.to_owned()).or_default() += 1;
            bar.inc(1);
        }
        bar.finish_and_clear();
        scene.start_postgres().await?;
        scene.revive_workers().await;
        scene.tell_sandbox(Method::DELETE, "/sandbox/faults", &Value::Null).await;
        Ok(self.counts)
    }

    /// Waits so many milliseconds, from the first to the last.
    async fn rest(&mut self, (first, last): (u64, u64)) {
        sleep(Duration::from_millis(self.choices.between(first, last))).await;
    }

    async fn one(&mut self, scene: &mut Scene) -> Result<&'static str, Failure> {
        Ok(match self.choices.below(20) {
            0..=4 => {
                let number = usize::try_from(self.choices.below(scene.worker_count() as u64)).unwrap_or_default();
                scene.kill_worker(number).await;
                self.rest((0, 500)).await;
                scene.revive_workers().await;
                "worker killed"
            }
            5 | 6 => {
                scene.stop_postgres().await?;
                self.rest(OUTAGES).await;
                scene.start_postgres().await?;
                scene.revive_workers().await;
                "database stopped at once"
            }
            7 | 8 => {
                let ms = self.choices.between(100, 2_000);
                scene.tell_sandbox(Method::POST, "/sandbox/outage", &json!({ "ms": ms })).await;
                "platform cut off"
            }
            9 => {
                scene.tell_sandbox(Method::POST, "/sandbox/sessions/lose", &json!({})).await;
                "sessions forgotten"
            }
            kind => self.arm(scene, kind).await,
        })
    }

    /// Lets the platform lie about some of the next calls.
    async fn arm(&mut self, scene: &Scene, kind: u64) -> &'static str {
        let delay = self.choices.between(100, 2_500);
        let (name, fault) = match kind {
            10..=12 => ("reply lost", json!({ "kind": "LOST_REPLY" })),
            13 | 14 => ("request lost", json!({ "kind": "LOST_REQUEST" })),
            15 | 16 => ("success late", json!({ "kind": "LATE_SUCCESS", "delay_ms": delay })),
            17 | 18 => ("call delayed", json!({ "kind": "LATENCY", "delay_ms": delay })),
            _ => ("target unavailable", json!({ "kind": "FAIL", "exc_type": "MediaUnavailable" })),
        };
        let routes = ["POST /media/like", "POST /user/follow"];
        let route = routes[usize::from(self.choices.below(2) == 1)];
        let body = json!({ "route": route, "times": 1, "fault": fault });
        scene.tell_sandbox(Method::POST, "/sandbox/faults", &body).await;
        name
    }
}
