//! Jobs as people see them, and as whoever takes over their partitions does.

use chrono::TimeDelta;
use domain::decide::{Decide, fold};
use domain::ids::{BotId, CampaignId, JobId, derive, partition_of};
use domain::job::{Entry, Job, JobCommand, JobEvent, JobState, Origin, Outcome};
use projections::audit_trail::{self, AuditFilter};
use projections::jobs::{self, JobFilter, JobView, Jobs};
use projections::rebuild::silent;
use projections::{Order, PageRequest, Rebuild, events};
use serde_json::json;

use crate::support::walk::Dice;
use crate::support::{World, at};

fn bot() -> BotId {
    BotId::from_uuid(derive(&["bot"]))
}

fn campaign() -> CampaignId {
    CampaignId::from_uuid(derive(&["campaign"]))
}

/// A job and what was written of it.
struct Life {
    id: JobId,
    job: Job,
    now: i64,
    sequence: i64,
}

impl Life {
    fn new(name: &str) -> Self {
        Self { id: JobId::from_uuid(derive(&["job", name])), job: Job::default(), now: 0, sequence: 0 }
    }

    fn ask(&mut self, command: JobCommand) -> Vec<JobEvent> {
        let events = self.job.decide(command).unwrap_or_default();
        self.job = fold(std::mem::take(&mut self.job), events.clone());
        events
    }

    async fn tell(&mut self, world: &World, commands: Vec<JobCommand>) -> JobView {
        let mut events = Vec::new();
        for command in commands {
            let name = command.name();
            let more = self.ask(command);
            assert!(!more.is_empty(), "{name} was refused");
            events.extend(more);
        }
        self.sequence = world.append("Job", &self.id.to_string(), &events).await.last_sequence;
        world.runner(Jobs).catch_up().await.expect("it goes on");
        jobs::by_id(world.pool(), self.id).await.expect("the query runs").expect("a row")
    }

    fn create(&self) -> JobCommand {
        let origin = Origin::Campaign { campaign_id: campaign(), due_at: at(0) };
        let workflow = "campaign_run".to_owned();
        JobCommand::Create { job_id: self.id, bot_id: bot(), workflow, input: json!({}), origin, at: at(0) }
    }
}

fn start(seconds: i64) -> JobCommand {
    JobCommand::Start { at: at(seconds) }
}

fn fail(index: u32, retry_after: Option<i64>, seconds: i64) -> JobCommand {
    JobCommand::FailStep {
        index,
        name: "like:3".to_owned(),
        code: "NO_ANSWER".to_owned(),
        message: "the platform was silent".to_owned(),
        retry_at: retry_after.map(at),
        at: at(seconds),
    }
}

#[tokio::test]
async fn row_says_why_a_job_runs_and_does_nothing() {
    let world = World::create().await;
    let mut life = Life::new("a");
    let create = life.create();
    let row = life.tell(&world, vec![create]).await;
    assert_eq!((row.state, row.wake_at, row.campaign_id), (JobState::Pending, Some(at(0)), Some(campaign())));
    let row = life.tell(&world, vec![start(1), fail(0, Some(60), 2)]).await;
    assert_eq!(row.waiting_for.as_deref(), Some("retry of step like:3"));
    assert_eq!((row.wake_at, row.retrying, row.attempts), (Some(at(60)), true, 1));
    assert_eq!(row.failure.as_ref().map(|failure| failure.code.as_str()), Some("NO_ANSWER"));
    let row = life
        .tell(
            &world,
            vec![
                JobCommand::CompleteStep { index: 0, name: "like:3".to_owned(), result: json!(1), at: at(61) },
                JobCommand::SetTimer { index: 1, fires_at: at(500), at: at(61) },
            ],
        )
        .await;
    assert_eq!((row.waiting_for.as_deref(), row.wake_at), (Some("timer"), Some(at(500))));
    assert_eq!((row.retrying, row.failure, row.attempts), (false, None, 2));
    let row = life.tell(&world, vec![JobCommand::Pause { reason: "a look".to_owned(), at: at(100) }]).await;
    assert_eq!((row.state, row.wake_at, row.waiting_for), (JobState::Paused, None, None));
    assert_eq!(row.reason.as_deref(), Some("a look"));
    let resume = JobCommand::Resume { at: at(200) };
    let row = life.tell(&world, vec![resume]).await;
    assert_eq!((row.state, row.wake_at, row.runnable), (JobState::Running, Some(at(200)), true));
    let wait = JobCommand::AwaitSignal {
        index: 2,
        name: "bot_resumed".to_owned(),
        until: None,
        in_cleanup: false,
        at: at(601),
    };
    let row = life.tell(&world, vec![JobCommand::FireTimer { index: 1, at: at(600) }, wait]).await;
    assert_eq!((row.waiting_for.as_deref(), row.wake_at), (Some("signal bot_resumed"), None));
    let signal = JobCommand::Signal { name: "bot_resumed".to_owned(), payload: json!(null), at: at(700) };
    let row = life.tell(&world, vec![signal]).await;
    assert_eq!((row.waiting_for, row.wake_at), (None, Some(at(700))));
    let row = life.tell(&world, vec![JobCommand::Complete { result: json!({ "done": 1 }), at: at(701) }]).await;
    assert_eq!((row.state, row.ended_at, row.result), (JobState::Completed, Some(at(701)), Some(json!({ "done": 1 }))));
    assert_eq!(row.last_sequence, life.sequence);
    let reset = JobCommand::Reset { index: 1, reason: "again".to_owned(), at: at(800) };
    let row = life.tell(&world, vec![reset]).await;
    assert_eq!((row.state, row.ended_at, row.result, row.wake_at), (JobState::Running, None, None, Some(at(800))));
}

/// Some command: often one that the journal takes.
fn anything(life: &mut Life, dice: &mut Dice) -> JobCommand {
    life.now += i64::try_from(dice.below(50)).expect("a small number");
    let (now, edge) = (at(life.now), life.job.journal().edge());
    let index = if dice.below(3) == 0 { edge } else { u32::try_from(dice.below(u64::from(edge) + 1)).expect("small") };
    let later = now + TimeDelta::seconds(i64::try_from(dice.below(300)).expect("a small number"));
    let name = dice.pick(&["like", "follow"]).to_owned();
    let until = (dice.below(2) == 0).then_some(later);
    let retry_at = (dice.below(3) > 0).then_some(later);
    let code = "NO_ANSWER".to_owned();
    match dice.below(30) {
        0 => life.create(),
        3..=5 => JobCommand::StartStep { index, name, at: now },
        6 | 7 => JobCommand::CompleteStep { index, name, result: json!(null), at: now },
        8 | 9 => JobCommand::FailStep { index, name, code, message: "silent".to_owned(), retry_at, at: now },
        10 | 11 => JobCommand::SetTimer { index, fires_at: later, at: now },
        12 | 13 => JobCommand::FireTimer { index, at: now },
        14 | 15 => JobCommand::AwaitSignal { index, name, until, in_cleanup: false, at: now },
        16 => JobCommand::TimeOutSignal { index, at: now },
        17 => JobCommand::Signal { name, payload: json!(null), at: now },
        18 => {
            let child = JobId::from_uuid(derive(&["child", &life.now.to_string()]));
            JobCommand::StartChild { index, child, workflow: "child".to_owned(), at: now }
        }
        19 => JobCommand::FinishChild { index, outcome: Outcome::Cancelled, at: now },
        20 => JobCommand::MarkPatch { index, patch: name, at: now },
        21 => JobCommand::Pause { reason: "later".to_owned(), at: now },
        22 | 23 => JobCommand::Resume { at: now },
        24 => JobCommand::Reset { index, reason: "again".to_owned(), at: now },
        25 if dice.below(8) == 0 => JobCommand::RequestCancel { reason: "enough".to_owned(), at: now },
        26 if dice.below(4) == 0 => JobCommand::Fail { code, message: "silent".to_owned(), at: now },
        27 if dice.below(8) == 0 => JobCommand::Terminate { reason: "enough".to_owned(), at: now },
        _ => JobCommand::Start { at: now },
    }
}

fn assert_row(row: &JobView, job: &Job) {
    assert_eq!(row.state, job.state());
    let entries: Vec<_> = job.journal().entries().collect();
    let retrying = entries.iter().any(|(_, entry)| match entry {
        Entry::Step { result: None, attempts, unsettled, .. } => !unsettled || *attempts > 1,
        _ => false,
    });
    let works = matches!(row.state, JobState::Pending | JobState::Running);
    if works {
        assert_eq!(row.retrying, retrying, "{entries:?}");
    }
    if works && !row.runnable {
        // A wait for a signal that came already is over, which the journal's own figure does not say.
        let waits = entries.iter().any(|(_, entry)| matches!(entry, Entry::Signal { .. }));
        if !waits {
            assert_eq!(row.wake_at, job.journal().next_due(), "{entries:?}");
        }
        assert!(row.waiting_for.is_some());
    }
    assert_eq!(row.ended_at.is_some(), job.state().is_over());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_agree_with_the_aggregate_at_any_point_and_however_they_are_built() {
    let world = World::create().await;
    let mut lives: Vec<_> = (0..12).map(|seed| (Life::new(&seed.to_string()), Dice::new(seed))).collect();
    for _ in 0..40 {
        for (life, dice) in &mut lives {
            let mut events = Vec::new();
            for _ in 0..6 {
                let command = anything(life, dice);
                events.extend(life.ask(command));
            }
            if !events.is_empty() {
                life.sequence = world.append("Job", &life.id.to_string(), &events).await.last_sequence;
            }
        }
        world.runner(Jobs).catch_up().await.expect("it goes on");
        for (life, _) in lives.iter().filter(|(life, _)| life.sequence > 0) {
            let row = jobs::by_id(world.pool(), life.id).await.expect("the query runs").expect("a row");
            assert_eq!(row.last_sequence, life.sequence);
            assert_row(&row, &life.job);
        }
    }
    assert_eq!(world.value::<i64>("SELECT count(*) FROM projection_parked").await, 0);
    assert!(world.value::<i64>("SELECT count(DISTINCT state) FROM jobs").await > 2, "the lives went nowhere");
    let report = Rebuild::new(world.pool(), std::sync::Arc::new(Jobs), 0).verify(silent()).await.expect("it is built");
    assert!(report.agrees(), "{report:?}");
}

#[tokio::test]
async fn takeover_sees_live_jobs_and_where_to_read_on() {
    let world = World::create().await;
    let (mut one, mut over) = (Life::new("a"), Life::new("b"));
    let create = one.create();
    one.tell(&world, vec![create, start(1), fail(0, Some(60), 2)]).await;
    let create = over.create();
    over.tell(&world, vec![create, start(1), JobCommand::Complete { result: json!(null), at: at(2) }]).await;
    let head = world.value::<i64>("SELECT count(*) FROM events").await;
    let (position, live) = jobs::live(world.pool(), &[partition_of(bot())]).await.expect("the query runs");
    assert_eq!(position, head);
    let seen: Vec<_> = live.iter().map(|job| (job.job_id, job.bot_id, job.state, job.wake_at)).collect();
    assert_eq!(seen, [(one.id, bot(), JobState::Running, Some(at(60)))]);
    assert_eq!(live, jobs::live_of_bot(world.pool(), bot()).await.expect("the query runs"));
    let elsewhere = (partition_of(bot()) + 1) % domain::ids::PARTITIONS;
    assert!(jobs::live(world.pool(), &[elsewhere]).await.expect("the query runs").1.is_empty());
}

#[tokio::test]
async fn filters_find_what_is_stuck() {
    let world = World::create().await;
    let mut retries = Life::new("a");
    let mut sleeps = Life::new("b");
    let mut diverged = Life::new("c");
    let create = retries.create();
    retries.tell(&world, vec![create, start(1), fail(0, Some(60), 2)]).await;
    let create = sleeps.create();
    let timer = JobCommand::SetTimer { index: 0, fires_at: at(5_000), at: at(2) };
    sleeps.tell(&world, vec![create, start(1), timer]).await;
    let create = diverged.create();
    let divergence = domain::job::Divergence { index: 0, recorded: "sleep".to_owned(), attempted: "step x".to_owned() };
    let row = diverged.tell(&world, vec![create, start(1), JobCommand::Diverge { divergence, at: at(3) }]).await;
    assert_eq!(row.divergence.map(|divergence| divergence.attempted).as_deref(), Some("step x"));
    for (stuck, now, expected) in [
        (true, 100, vec![retries.id, diverged.id]),
        (false, 100, vec![sleeps.id]),
        // Nobody woke it.
        (true, 6_000, vec![retries.id, sleeps.id, diverged.id]),
    ] {
        let filter = JobFilter { stuck: Some((stuck, at(now))), bot_id: Some(bot()), ..JobFilter::default() };
        let page = PageRequest::first(10, Order::OldestFirst);
        let found = jobs::list(world.pool(), &filter, &page).await.expect("the query runs").items;
        assert_eq!(found.iter().map(|row| row.job_id).collect::<Vec<_>>(), expected);
        let count = jobs::count(world.pool(), &filter, 100).await.expect("the query runs");
        assert_eq!(usize::try_from(count).expect("a small number"), expected.len());
    }
    let filter =
        JobFilter { states: vec![JobState::NeedsAttention], campaign_id: Some(campaign()), ..JobFilter::default() };
    assert_eq!(jobs::count(world.pool(), &filter, 100).await.expect("the query runs"), 1);
}

#[tokio::test]
async fn audit_trail_tells_a_jobs_turns_and_leaves_its_steps_to_its_history() {
    let world = World::create().await;
    let mut life = Life::new("a");
    let create = life.create();
    life.tell(&world, vec![create, start(1), fail(0, Some(60), 2)]).await;
    world.catch_up().await;
    life.tell(&world, vec![JobCommand::Pause { reason: "a look".to_owned(), at: at(5) }]).await;
    world.catch_up().await;
    let mine = AuditFilter { user_id: Some(bot().owner()), ..AuditFilter::default() };
    let page = PageRequest::first(10, Order::OldestFirst);
    let entries = audit_trail::list(world.pool(), &mine, &page).await.expect("the query runs").items;
    let told: Vec<_> = entries.iter().map(|entry| entry.summary.as_str()).collect();
    assert_eq!(
        told,
        ["created the job: campaign_run, a campaign was due at 2026-03-02 10:00:00 UTC", "paused the job: a look"]
    );
}

/// A history that no workflow would let grow so long; the pages must not care.
#[tokio::test(flavor = "multi_thread")]
async fn heavy_any_page_of_a_history_of_100_000_events_costs_the_same() {
    let world = World::create().await;
    let id = JobId::from_uuid(derive(&["job", "long"])).to_string();
    for round in 0..100_u32 {
        let step = |number| {
            let index = round * 1_000 + number;
            JobEvent::StepCompleted { index, name: format!("s{index}"), attempt: 1, result: json!(index), at: at(0) }
        };
        world.append("Job", &id, &(0..1_000).map(step).collect::<Vec<_>>()).await;
    }
    world.execute("ANALYZE events").await;
    for (page, first) in [
        (PageRequest::first(100, Order::OldestFirst), 1),
        (PageRequest::first(100, Order::NewestFirst), 100_000),
        (PageRequest::after(50_000, 100, Order::OldestFirst), 50_001),
        (PageRequest::after(50_000, 100, Order::NewestFirst), 49_999),
        (PageRequest::after(99_900, 100, Order::OldestFirst), 99_901),
    ] {
        let began = std::time::Instant::now();
        let found = events::of_stream_by_sequence(world.pool(), "Job", &id, &page).await.expect("the query runs").items;
        let took = began.elapsed();
        assert_eq!((found.len(), found[0].sequence), (100, first));
        // A hundredth of what reading the whole history takes.
        assert!(took < std::time::Duration::from_millis(500), "the page at {first} took {took:?}");
    }
    assert_eq!(events::length_of_stream(world.pool(), "Job", &id).await.expect("the query runs"), 100_000);
}
