//! The four loads.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;

use super::super::measure::percentile;
use super::JobsBench;
use super::scene::{Scene, until};
use crate::failure::Failure;

pub const STEPS: u32 = 10;
/// Workflows that run one after the other.
const ONE_BY_ONE: usize = 300;
const WARM_UP: u32 = 50;

/// What the loads came to.
#[derive(Debug, Clone, Serialize)]
pub struct Loads {
    pub workflows: u32,
    /// The code goes on while the results of its steps are written.
    pub steps: TenSteps,
    /// Each step is durable before the next begins.
    pub durable_steps: TenSteps,
    pub jobs: u32,
    pub jobs_per_second: f64,
    pub sleeping: u32,
    pub bytes_per_sleeping_job: f64,
    pub woken: u32,
    pub wake_seconds: f64,
}

/// Workflows of ten steps.
#[derive(Debug, Clone, Serialize)]
pub struct TenSteps {
    pub workflows_per_second: f64,
    pub steps_per_second: f64,
    pub one_by_one_p50_ms: f64,
    pub one_by_one_p99_ms: f64,
}

pub async fn run(bench: &JobsBench, scene: &Scene, progress: &ProgressBar) -> Result<Loads, Failure> {
    let mut ends = scene.ends();
    let steps = ten_steps(bench, scene, &mut ends, "steps", progress).await?;
    let durable_steps = ten_steps(bench, scene, &mut ends, "durable_steps", progress).await?;
    progress.set_message("jobs of one step");
    let mut enqueued = Vec::new();
    for _ in 0..bench.rounds.div_ceil(2) {
        enqueued.push(timed(scene, &mut ends, bench.jobs, "steps", 1).await?);
    }
    drop(ends);
    progress.set_message("sleeping jobs");
    let (bytes_per_sleeping_job, woken, wake) = sleep(scene, bench.sleeping).await?;
    Ok(Loads {
        workflows: bench.workflows,
        steps,
        durable_steps,
        jobs: bench.jobs,
        jobs_per_second: f64::from(bench.jobs) / median(enqueued).as_secs_f64(),
        sleeping: bench.sleeping,
        bytes_per_sleeping_job,
        woken,
        wake_seconds: wake.as_secs_f64(),
    })
}

async fn ten_steps(
    bench: &JobsBench,
    scene: &Scene,
    ends: &mut super::scene::Ends,
    workflow: &'static str,
    progress: &ProgressBar,
) -> Result<TenSteps, Failure> {
    progress.set_message(format!("{workflow}: warming up"));
    timed(scene, ends, WARM_UP, workflow, STEPS).await?;
    progress.set_message(format!("{workflow}: workflows at the same time"));
    let mut together = Vec::new();
    for _ in 0..bench.rounds {
        together.push(timed(scene, ends, bench.workflows, workflow, STEPS).await?);
    }
    progress.set_message(format!("{workflow}: workflows one by one"));
    let mut one_by_one = Vec::with_capacity(ONE_BY_ONE);
    for _ in 0..ONE_BY_ONE {
        one_by_one.push(timed(scene, ends, 1, workflow, STEPS).await?);
    }
    one_by_one.sort_unstable();
    let together = f64::from(bench.workflows) / median(together).as_secs_f64();
    Ok(TenSteps {
        workflows_per_second: together,
        steps_per_second: together * f64::from(STEPS),
        one_by_one_p50_ms: percentile(&one_by_one, 50).as_secs_f64() * 1_000.0,
        one_by_one_p99_ms: percentile(&one_by_one, 99).as_secs_f64() * 1_000.0,
    })
}

/// From the first enqueue to the last end.
async fn timed(
    scene: &Scene,
    ends: &mut super::scene::Ends,
    count: u32,
    workflow: &str,
    steps: u32,
) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let input = json!(steps);
    let (enqueued, ended) = tokio::join!(scene.enqueue(count, workflow, &input), ends.wait(count));
    enqueued?;
    ended?;
    Ok(begun.elapsed())
}

/// Memory of a sleeping job, how many were woken, and how long that took.
async fn sleep(scene: &Scene, count: u32) -> Result<(f64, u32, Duration), Failure> {
    let woken = count / 10;
    let (soon, late) = (scene.now() + TimeDelta::days(1), scene.now() + TimeDelta::days(30));
    scene.until("quiet", |desk| desk.status().live == 0).await?;
    let before = resident_bytes();
    scene.enqueue(woken, "sleeper", &until(soon)).await?;
    scene.enqueue(count - woken, "sleeper", &until(late)).await?;
    let all = usize::try_from(count).unwrap_or(usize::MAX);
    scene.until("all to sleep", |desk| desk.status().sleeping == all).await?;
    let bytes = (resident_bytes() - before) / f64::from(count);
    let mut ends = scene.ends();
    let begun = Instant::now();
    scene.advance(TimeDelta::days(2).num_seconds());
    ends.wait(woken).await?;
    Ok((bytes, woken, begun.elapsed()))
}

/// Memory that this process has in use; the database's is not in it.
fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default();
    kib * 1_024.0
}

fn median(mut lengths: Vec<Duration>) -> Duration {
    lengths.sort_unstable();
    percentile(&lengths, 50)
}
