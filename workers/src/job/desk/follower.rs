//! Hears what happens to jobs: from this process's own commits as they are made, from others' by reading the log; and takes
//! up partitions, in the order of the log.
//!
//! Only names are looked at, and the ids in the events that make jobs. Whatever happens to a known job makes it due; its
//! activation finds out what it was.

use std::sync::Arc;
use std::time::Duration;

use cqrs_es::Aggregate;
use domain::ids::{BotId, JobId, partition_of};
use domain::job::{Job, JobPriority};
use serde::Deserialize;
use store::error::StoreError;
use store::event::RawEvent;
use store::repository::DEFAULT_SHARD;
use store::tap::{Commit, News, Pick, Wanted};
use tokio::sync::{mpsc, watch};

use super::agenda::{Children, NEVER, Seed};
use super::{Shared, micros};

/// Events of one read.
const PAGE: i64 = 1_000;
/// The longest pause while nobody tells of other processes' commits, and while somebody does.
const POLL: Duration = Duration::from_millis(250);
const POLL_WHEN_TOLD: Duration = Duration::from_secs(5);
const TROUBLE_PAUSE: Duration = Duration::from_millis(250);

/// Changes the place in the line, and needs no activation.
const PRIORITIZED: &str = "JobPrioritized";

/// Which events of jobs matter to a desk: those that others than its own activations write, and those that make jobs.
fn pick(event_type: &str) -> Pick {
    match event_type {
        "JobCreated" | PRIORITIZED => Pick::Payload,
        "JobForked" | "JobResumed" | "JobReset" | "JobCancelRequested" | "SignalReceived" | "JobPaused"
        | "JobTerminated" => Pick::Name,
        _ => Pick::Nothing,
    }
}

/// Whether the event can make a job live that was not.
fn revives(event_type: &str) -> bool {
    matches!(event_type, "JobResumed" | "JobReset" | "JobCancelRequested")
}

#[derive(Deserialize)]
struct Created {
    bot_id: BotId,
    origin: Origin,
}

#[derive(Deserialize)]
struct Origin {
    kind: String,
}

impl Created {
    fn of(payload: &str) -> Option<Self> {
        serde_json::from_str(payload).ok()
    }

    /// As it is before somebody sets it.
    fn priority(&self) -> JobPriority {
        // As `JobPriority::of_origin` has it.
        match self.origin.kind.as_str() {
            "PERSON" | "FORKED" => JobPriority::High,
            _ => JobPriority::Normal,
        }
    }
}

#[derive(Deserialize)]
struct Prioritized {
    priority: JobPriority,
}

/// The priority that an event sets, if it is one that does.
fn priority_in(event_type: &str, payload: &str) -> Option<JobPriority> {
    let set = (event_type == PRIORITIZED).then(|| serde_json::from_str::<Prioritized>(payload).ok())?;
    set.map(|Prioritized { priority }| priority)
}

/// What happened to jobs while nobody listened.
#[derive(Default)]
struct Missed {
    /// With their bots, as far as the events name them.
    jobs: Vec<(JobId, Option<(BotId, JobPriority)>)>,
    priorities: Vec<(JobId, JobPriority)>,
}

struct Follower {
    shared: Arc<Shared>,
    commits: mpsc::Receiver<Commit>,
    heads: watch::Receiver<i64>,
    /// Everything up to here is heard.
    position: i64,
    /// Jobs that were not live and may be now.
    revived: Vec<JobId>,
}

enum Heard {
    Commit(Option<Commit>),
    Head,
    Tenures,
    Nothing,
}

/// Follows until the desk closes.
pub(super) async fn follow(shared: Arc<Shared>) {
    let wanted = Wanted { shard: DEFAULT_SHARD, aggregate_type: Job::TYPE, pick };
    let commits = shared.parts.wakeup.tap(wanted);
    let heads = shared.parts.wakeup.subscribe(DEFAULT_SHARD);
    let closing = shared.closing.clone();
    let mut follower = Follower { shared, commits, heads, position: 0, revived: Vec::new() };
    tokio::select! {
        () = closing.cancelled() => {}
        () = follower.run() => {}
    }
}

impl Follower {
    async fn run(&mut self) {
        while let Err(error) = self.begin().await {
            trouble(&error, "the head of the log could not be read");
            tokio::time::sleep(TROUBLE_PAUSE).await;
        }
        loop {
            if let Err(error) = self.step().await {
                trouble(&error, "the desk could not follow the log; trying again");
                tokio::time::sleep(TROUBLE_PAUSE).await;
            }
        }
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        self.position = self.shared.parts.repository.head(DEFAULT_SHARD).await?;
        self.take_up().await
    }

    /// Waits for one thing, and does what it asks for.
    async fn step(&mut self) -> Result<(), StoreError> {
        let told = self.shared.parts.wakeup.is_listening();
        let poll = if told { POLL_WHEN_TOLD } else { POLL };
        let tenures = self.shared.config.tenure_pause.min(poll);
        let position = self.position;
        self.revive().await?;
        let heard = tokio::select! {
            biased;
            commit = self.commits.recv() => Heard::Commit(commit),
            _ = self.heads.wait_for(|head| *head > position) => Heard::Head,
            () = self.shared.tenures.notified() => Heard::Tenures,
            () = tokio::time::sleep(tenures) => Heard::Nothing,
        };
        match heard {
            Heard::Commit(Some(commit)) => self.hear(commit).await,
            // Nobody commits in this process any more.
            Heard::Commit(None) => std::future::pending().await,
            Heard::Head => self.read_on().await,
            Heard::Tenures => self.take_up().await,
            Heard::Nothing => {
                self.take_up().await?;
                if told { Ok(()) } else { self.read_on().await }
            }
        }
    }

    /// Takes in a commit of this process, after what is before it.
    async fn hear(&mut self, commit: Commit) -> Result<(), StoreError> {
        if commit.first_position > self.position + 1 {
            self.read_until(commit.first_position - 1).await?;
        }
        if commit.last_position <= self.position {
            return Ok(());
        }
        self.position = commit.last_position;
        self.apply(commit.news);
        self.shared.pump();
        self.revive().await
    }

    /// Reads what nobody told.
    async fn read_on(&mut self) -> Result<(), StoreError> {
        while let Ok(commit) = self.commits.try_recv() {
            self.hear(commit).await?;
        }
        loop {
            let page = self.read(self.position).await?;
            let is_end = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            self.take_in(page).await?;
            if is_end {
                return Ok(());
            }
        }
    }

    async fn read_until(&mut self, position: i64) -> Result<(), StoreError> {
        while self.position < position {
            let page = self.read(self.position).await?;
            if page.is_empty() {
                return Err(missing(self.position + 1));
            }
            self.take_in(page).await?;
        }
        Ok(())
    }

    async fn read(&self, after: i64) -> Result<Vec<RawEvent>, StoreError> {
        let page = self.shared.parts.repository.raw_read(DEFAULT_SHARD, after, PAGE).await?;
        let gap = (after + 1..).zip(&page).find(|(expected, event)| event.position != *expected);
        gap.map_or(Ok(()), |(expected, _)| Err(missing(expected)))?;
        Ok(page)
    }

    async fn take_in(&mut self, page: Vec<RawEvent>) -> Result<(), StoreError> {
        let Some(last) = page.last().map(|event| event.position) else { return Ok(()) };
        self.apply(page.into_iter().filter_map(news));
        self.position = last;
        self.shared.pump();
        self.revive().await
    }

    /// Puts news into the agenda.
    fn apply(&mut self, news: impl IntoIterator<Item = News>) {
        let now = self.shared.now();
        let mut agenda = self.shared.agenda();
        for News { aggregate_id, event_type, event_id, correlation_id, payload, .. } in news {
            let Ok(job) = aggregate_id.parse::<JobId>() else { continue };
            let Some(payload) = payload else {
                agenda.ask_children(job, Children::All);
                if !agenda.poke(job, now) && revives(&event_type) {
                    self.revived.push(job);
                }
                continue;
            };
            if let Some(priority) = priority_in(&event_type, &payload) {
                agenda.prioritize(job, priority);
                continue;
            }
            let Some(created) = Created::of(&payload) else { continue };
            if !agenda.knows(job) {
                agenda.add(job, created.bot_id, created.priority(), now, now);
                if !correlation_id.is_nil() {
                    agenda.seed(job, Seed { payload: payload.into_boxed_str(), event_id, correlation_id });
                }
            }
        }
    }

    /// Takes up jobs that somebody brought back to life, if they are this process's.
    async fn revive(&mut self) -> Result<(), StoreError> {
        while let Some(&job) = self.revived.last() {
            let first = self.shared.parts.repository.raw_stream(Job::TYPE, &job.to_string(), 0, 1).await?;
            self.revived.pop();
            let created = first.first().and_then(|raw| Created::of(&raw.payload));
            if let Some(created) = created {
                let now = self.shared.now();
                let mut agenda = self.shared.agenda();
                // A person acted on it; its activation tells what was set.
                agenda.add(job, created.bot_id, JobPriority::High, now, now);
                agenda.ask_children(job, Children::All);
            }
        }
        Ok(())
    }

    /// Takes up the partitions that this process has got: their live jobs, and what happened since those were known.
    async fn take_up(&mut self) -> Result<(), StoreError> {
        let (epoch, new) = self.shared.new_tenures();
        if new.is_empty() {
            self.shared.pump();
            return Ok(());
        }
        let live = self.shared.parts.live.live(&new).await?;
        let missed = self.missed(live.position, &new).await?;
        {
            let now = self.shared.now();
            let mut agenda = self.shared.agenda();
            for partition in &new {
                agenda.hold(*partition, epoch);
            }
            for job in &live.jobs {
                agenda.add(job.job_id, job.bot_id, job.priority, job.due_at.map_or(now, micros), now);
                agenda.ask_children(job.job_id, Children::All);
            }
            for (job, about) in &missed.jobs {
                match about {
                    Some((bot, priority)) => agenda.add(*job, *bot, *priority, now, now),
                    None => drop(agenda.poke(*job, now)),
                }
                agenda.ask_children(*job, Children::All);
            }
            for (job, priority) in &missed.priorities {
                agenda.prioritize(*job, *priority);
            }
        }
        tracing::info!(partitions = new.len(), jobs = live.jobs.len(), "took up the jobs of partitions");
        self.shared.sooner.notify_one();
        self.shared.pump();
        Ok(())
    }

    /// The jobs of `partitions` to which something happened between `from` and what is heard.
    async fn missed(&self, from: i64, partitions: &[i32]) -> Result<Missed, StoreError> {
        let mut missed = Missed::default();
        let mut revived = Vec::new();
        let mut position = from;
        while position < self.position {
            let page = self.read(position).await?;
            let Some(last) = page.last() else { return Err(missing(position + 1)) };
            position = last.position;
            for event in page.iter().filter(|event| event.aggregate_type == Job::TYPE) {
                let Ok(job) = event.aggregate_id.parse::<JobId>() else { continue };
                missed
                    .priorities
                    .extend(priority_in(&event.event_type, &event.payload).map(|priority| (job, priority)));
                let about = if event.event_type == "JobCreated" {
                    Created::of(&event.payload).map(|created| (created.bot_id, created.priority()))
                } else {
                    None
                };
                if revives(&event.event_type) {
                    revived.push(job);
                }
                if about.is_none_or(|(bot, _)| partitions.contains(&partition_of(bot))) {
                    missed.jobs.push((job, about));
                }
            }
        }
        for job in revived {
            let first = self.shared.parts.repository.raw_stream(Job::TYPE, &job.to_string(), 0, 1).await?;
            let created = first.first().and_then(|raw| Created::of(&raw.payload));
            missed.jobs.extend(created.map(|created| (job, Some((created.bot_id, created.priority())))));
        }
        Ok(missed)
    }
}

fn news(event: RawEvent) -> Option<News> {
    if event.aggregate_type != Job::TYPE {
        return None;
    }
    let pick = pick(&event.event_type);
    (pick != Pick::Nothing).then(|| News {
        // The activation reads the stream, which tells it.
        event_id: event.event_id,
        correlation_id: uuid::Uuid::nil(),
        payload: (pick == Pick::Payload).then_some(event.payload),
        aggregate_id: event.aggregate_id,
        event_type: event.event_type,
        sequence: event.sequence,
    })
}

fn missing(position: i64) -> StoreError {
    StoreError::Corrupt { shard: DEFAULT_SHARD, position, reason: "it is missing from the log".to_owned() }
}

fn trouble(error: &StoreError, what: &'static str) {
    tracing::warn!(code = error.code(), error = error as &dyn std::error::Error, "{what}");
}

/// So that the sleeping set's bound is visible here.
const _: () = assert!(NEVER == i64::MAX);
