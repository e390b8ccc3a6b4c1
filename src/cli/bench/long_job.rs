//! A job with a long history: how long it takes to open, to page and to replay.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use domain::entropy::Entropy;
use domain::ids::{BotId, JobId, RequestId, UserId};
use domain::job::{Job, JobEvent, Origin, RetryPolicy};
use domain::metadata::{Actor, Metadata};
use serde::Serialize;
use serde_json::{Value, json};
use store::StoreError;
use store::decode::Decoder;
use store::event::NewEvent;
use store::loader::Loader;
use store::repository::{AppendRequest, EventRepository};
use workers::job::replay::{Verdict, replay};
use workers::job::{Context, Registry, Workflow};

use super::measure::percentile;
use crate::bootstrap::core::Core;
use crate::clock::wall;
use crate::entropy::SystemEntropy;
use crate::failure::Failure;

const CHUNK: usize = 1_000;
const PAGE: i64 = 100;
const READ: i64 = 5_000;
/// Measurements of which the median is told.
const LOOKS: usize = 9;

/// Milliseconds.
#[derive(Debug, Serialize)]
pub struct LongJob {
    pub events: usize,
    /// The whole job from its events, as its worker opens it.
    pub open_ms: f64,
    /// A hundred events of its history: the first, from the middle, and the last.
    pub first_page_ms: f64,
    pub middle_page_ms: f64,
    pub last_page_ms: f64,
    /// Today's code over the whole history, with reading it.
    pub replay_ms: f64,
    /// The code fits the history.
    pub fits: bool,
}

/// Stores a job of at least `wanted` events, and looks at it.
pub async fn measure(core: &Core, wanted: usize) -> Result<LongJob, Failure> {
    let job_id = JobId::from_uuid(SystemEntropy.uuid());
    let events = history(job_id, wanted);
    store(core, job_id, &events).await?;
    let bench = Bench { id: job_id.to_string(), repository: core.repository() };
    let loader = Loader::new(core.repository(), None);
    let last = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let registry = Registry::default().with(pacer());
    let fits = bench.replays(&registry).await?;
    Ok(LongJob {
        events: events.len(),
        open_ms: median_ms(|| loader.load::<Job>(&bench.id)).await?,
        first_page_ms: median_ms(|| bench.page(0)).await?,
        middle_page_ms: median_ms(|| bench.page(last / 2)).await?,
        last_page_ms: median_ms(|| bench.page(last - PAGE)).await?,
        replay_ms: median_ms(|| bench.replays(&registry)).await?,
        fits,
    })
}

struct Bench {
    id: String,
    repository: Arc<dyn EventRepository>,
}

impl Bench {
    async fn page(&self, after: i64) -> Result<usize, StoreError> {
        Ok(self.repository.stream(Job::TYPE, &self.id, after, PAGE).await?.len())
    }

    /// Reads the whole history, and says whether today's code fits it.
    async fn replays(&self, registry: &Registry) -> Result<bool, StoreError> {
        let decoder = Decoder::<Job>::default();
        let (mut history, mut after) = (Vec::new(), 0);
        loop {
            let page = self.repository.raw_stream(Job::TYPE, &self.id, after, READ).await?;
            for raw in &page {
                history.push((raw.sequence, decoder.decode(raw)?));
            }
            match page.last() {
                Some(last) => after = last.sequence,
                None => break,
            }
        }
        let replayed = replay(registry, &history);
        Ok(replayed.is_ok_and(|replayed| matches!(replayed.verdict, Verdict::Fits { .. })))
    }
}

async fn median_ms<T, F>(look: impl Fn() -> F) -> Result<f64, Failure>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut lengths = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let begun = Instant::now();
        look().await?;
        lengths.push(begun.elapsed());
    }
    lengths.sort_unstable();
    Ok(percentile(&lengths, 50).as_secs_f64() * 1_000.0)
}

/// Works and sleeps, without end.
fn pacer() -> Workflow {
    Workflow::new("pacer", |ctx: Context, (): ()| async move {
        loop {
            let until: DateTime<Utc> = ctx.step("work", &RetryPolicy::once(), |_| async { Ok(wall()) }).await?;
            ctx.sleep_until(until).await?;
        }
        #[expect(unreachable_code, reason = "it says what the workflow's result would be")]
        Ok(())
    })
}

fn history(job_id: JobId, wanted: usize) -> Vec<JobEvent> {
    let begun = wall() - TimeDelta::days(3_650);
    let bot_id = BotId::of(UserId::from_uuid(SystemEntropy.uuid()));
    let workflow = "pacer".to_owned();
    let mut events = vec![
        JobEvent::JobCreated { job_id, bot_id, workflow, input: Value::Null, origin: Origin::Person, at: begun },
        JobEvent::JobStarted { at: begun },
    ];
    for turn in (0_u32..).step_by(2) {
        if events.len() >= wanted {
            break;
        }
        let at = begun + TimeDelta::minutes(i64::from(turn));
        let fires_at = at + TimeDelta::minutes(1);
        let (name, result) = ("work".to_owned(), json!(fires_at));
        events.extend([
            JobEvent::StepCompleted { index: turn, name, attempt: 1, result, at },
            JobEvent::TimerSet { index: turn + 1, fires_at, at },
            JobEvent::TimerFired { index: turn + 1, at: fires_at },
        ]);
    }
    events
}

async fn store(core: &Core, job_id: JobId, events: &[JobEvent]) -> Result<(), Failure> {
    let mut expected_sequence = 0;
    for chunk in events.chunks(CHUNK) {
        let request_id = RequestId::from_uuid(SystemEntropy.uuid());
        let appended = core
            .repository()
            .append(AppendRequest {
                request_id,
                aggregate_type: Job::TYPE.to_owned(),
                aggregate_id: job_id.to_string(),
                expected_sequence,
                events: chunk.iter().map(NewEvent::of).collect::<Result<_, _>>()?,
                metadata: Metadata::root(request_id, Actor::System("bench".to_owned()), wall()),
                held_epoch: None,
            })
            .await?;
        expected_sequence = appended.last_sequence;
    }
    Ok(())
}
