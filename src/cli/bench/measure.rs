//! What a number of clients got done in a given time: events a second, and how long one call took.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::failure::Failure;

/// One client: it does one call after the other.
pub trait Client: Send + 'static {
    /// Does one call; how many events it stored.
    fn call(&mut self) -> impl Future<Output = Result<u64, Failure>> + Send;
}

/// The result of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    pub clients: usize,
    pub events_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Lets `clients` run for `warm_up`, unmeasured, and then for `length`.
pub async fn measure<C: Client>(clients: Vec<C>, warm_up: Duration, length: Duration) -> Result<Measured, Failure> {
    let count = clients.len();
    let start = Instant::now() + warm_up;
    let end = start + length;
    let tasks: Vec<_> = clients.into_iter().map(|client| tokio::spawn(run(client, start, end))).collect();
    let mut calls = Vec::new();
    for task in tasks {
        calls.extend(task.await.map_err(super::workbench::failed)??);
    }
    let events: u64 = calls.iter().map(|call| call.events).sum();
    let mut lengths: Vec<Duration> = calls.iter().map(|call| call.length).collect();
    lengths.sort_unstable();
    Ok(Measured {
        clients: count,
        events_per_second: as_float(events) / length.as_secs_f64(),
        p50_ms: percentile(&lengths, 50).as_secs_f64() * 1_000.0,
        p99_ms: percentile(&lengths, 99).as_secs_f64() * 1_000.0,
    })
}

struct Call {
    events: u64,
    length: Duration,
}

/// Counts the calls that ended within the measured time.
async fn run<C: Client>(mut client: C, start: Instant, end: Instant) -> Result<Vec<Call>, Failure> {
    let mut calls = Vec::new();
    loop {
        let asked = Instant::now();
        let events = client.call().await?;
        let answered = Instant::now();
        if answered >= end {
            return Ok(calls);
        }
        if answered >= start {
            calls.push(Call { events, length: answered - asked });
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no run stores 2^53 events")]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// Nearest rank; zero of nothing.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_nearest_rank() {
        let lengths: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&lengths, 50), Duration::from_millis(100));
        assert_eq!(percentile(&lengths, 99), Duration::from_millis(198));
        assert_eq!(percentile(&lengths[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
