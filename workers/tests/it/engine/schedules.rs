//! Campaigns that run by schedules: what is due is decided once, whoever comes, goes and dies.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{BotCommand, BotState, Mode};
use domain::campaign::schedule::{BotStanding, DraftTiming, Overlap, ScheduleDraft, SkipReason};
use domain::campaign::{Campaign, CampaignCommand, CampaignEvent, Module, RunEnding, Withdrawal};
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::{CampaignId, JobId, RequestId};
use domain::job::{Job, JobCommand, JobState};
use domain::metadata::{Actor, Metadata};

use super::scene::{User, World, until};
use super::time::TestEntropy;

const EVERY: TimeDelta = TimeDelta::minutes(10);

fn metadata(world: &World) -> Metadata {
    Metadata::root(RequestId::from_uuid(TestEntropy.uuid()), Actor::System("test".to_owned()), world.now())
}

/// A campaign that runs every ten minutes.
struct Scheduled<'a> {
    world: &'a World,
    user: &'a User<'a>,
    campaign_id: CampaignId,
    since: DateTime<Utc>,
}

impl<'a> Scheduled<'a> {
    async fn begin(world: &'a World, user: &'a User<'a>, overlap: Overlap) -> Self {
        let campaign_id = user.campaign_on("nothing_at_all", Module::Like, 1).await;
        let since = world.clock.now();
        let scheduled = Self { world, user, campaign_id, since };
        let timing = DraftTiming::Interval { minutes: 10, anchored_at: since };
        let draft = ScheduleDraft { timing, jitter_seconds: 0, overlap, catch_up_minutes: 60 };
        scheduled.tell(|bot, at| CampaignCommand::SetSchedule { draft, bot, at }).await;
        scheduled
    }

    async fn tell(&self, command: impl FnOnce(BotStanding, DateTime<Utc>) -> CampaignCommand) {
        let standing = BotStanding::of(self.user.bot().await.as_ref(), self.campaign_id);
        let (command, metadata) = (command(standing, self.world.now()), metadata(self.world));
        let bus = &self.world.office.bus;
        bus.execute::<Campaign>(&self.campaign_id.to_string(), command, &metadata).await.expect("it is allowed");
    }

    async fn events(&self) -> Vec<CampaignEvent> {
        let id = self.campaign_id.to_string();
        let stored = self.world.office.repository.stream("Campaign", &id, 0, 10_000).await.expect("it reads");
        stored.into_iter().map(|event| serde_json::from_value(event.payload).expect("it decodes")).collect()
    }

    async fn event<T>(&self, what: &str, found: impl Fn(&CampaignEvent) -> Option<T>) -> T {
        until(what, || async { self.events().await.iter().find_map(&found) }).await
    }

    /// How often each due time was decided, by its number.
    async fn decided(&self) -> BTreeMap<i64, u32> {
        let mut decided = BTreeMap::new();
        for event in self.events().await {
            let (first, count) = match event {
                CampaignEvent::RunPlanned { run, .. } => (run.due_at, 1),
                CampaignEvent::RunsSkipped { span, .. } | CampaignEvent::RunsMissed { span, .. } => {
                    (span.first_due_at, i64::try_from(span.count).expect("a small number"))
                }
                _ => continue,
            };
            let first = (first - self.since).num_minutes() / EVERY.num_minutes();
            for number in first..first + count {
                *decided.entry(number).or_default() += 1;
            }
        }
        decided
    }

    /// Waits until so many due times are decided, and each of them once.
    async fn decides(&self, count: usize) {
        let decided =
            until("the decisions", || async { Some(self.decided().await).filter(|decided| decided.len() >= count) })
                .await;
        let numbers: Vec<i64> = decided.keys().copied().collect();
        let expected: Vec<i64> = (1..).take(decided.len()).collect();
        assert_eq!(numbers, expected, "a due time is missing");
        assert!(decided.values().all(|times| *times == 1), "decided twice: {decided:?}");
    }

    async fn first_job(&self) -> JobId {
        self.event("a planned run", |event| match event {
            CampaignEvent::RunPlanned { run, .. } => Some(run.job_id),
            _ => None,
        })
        .await
    }
}

/// A bot that runs the campaign live.
async fn enable(user: &User<'_>, campaign_id: CampaignId) {
    user.verify().await;
    user.enable(campaign_id, Mode::Live).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_decided_once_by_processes_that_come_and_die() {
    let world = World::new().await;
    let first = world.workers().await;
    let user = world.user(super::scene::ACCOUNT);
    user.log_in().await;
    let scheduled = Scheduled::begin(&world, &user, Overlap::Skip).await;
    enable(&user, scheduled.campaign_id).await;
    world.clock.set_speed(1_200.0);
    scheduled.decides(4).await;
    let second = world.workers().await;
    scheduled.decides(8).await;
    first.kill().await;
    scheduled.decides(16).await;
    second.stop().await;
    let third = world.workers().await;
    scheduled.decides(20).await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_due_becomes_a_job_and_its_end_lets_the_next_start() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(super::scene::ACCOUNT);
    user.log_in().await;
    let scheduled = Scheduled::begin(&world, &user, Overlap::Queue).await;
    enable(&user, scheduled.campaign_id).await;
    world.clock.set_speed(600.0);
    let job_id = scheduled.first_job().await;
    let bus = &world.office.bus;
    let state = || async { bus.load::<Job>(&job_id.to_string()).await.expect("it loads").state.state() };
    until("the job", || async { (state().await != JobState::NotCreated).then_some(()) }).await;
    scheduled.decides(2).await;
    // It may have come to its own end; then this is refused.
    let end = JobCommand::Terminate { reason: "a test".to_owned(), at: world.now() };
    let _ = bus.execute::<Job>(&job_id.to_string(), end, &metadata(&world)).await;
    let ending = scheduled
        .event("the end of the run", |event| match event {
            CampaignEvent::RunEnded { job_id: ended, ending, .. } if *ended == job_id => Some(*ending),
            _ => None,
        })
        .await;
    assert!(matches!(ending, RunEnding::Terminated | RunEnding::Completed), "{ending}");
    let next = scheduled
        .event("the next run", |event| match event {
            CampaignEvent::RunReleased { run, .. } => Some(run.job_id),
            CampaignEvent::RunPlanned { run, waits: false, .. } if run.job_id != job_id => Some(run.job_id),
            _ => None,
        })
        .await;
    until("its job", || async {
        let state = bus.load::<Job>(&next.to_string()).await.expect("it loads").state.state();
        (state != JobState::NotCreated).then_some(())
    })
    .await;
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_due_while_the_bot_was_paused_is_skipped_when_it_resumes() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(super::scene::ACCOUNT);
    user.log_in().await;
    let scheduled = Scheduled::begin(&world, &user, Overlap::Skip).await;
    enable(&user, scheduled.campaign_id).await;
    user.tell(BotCommand::PauseAutomation { reason: "a test".to_owned(), at: world.now() }).await;
    world.clock.set_speed(1_200.0);
    let later = scheduled.since + EVERY * 5;
    until("an hour", || async { (world.now() > later).then_some(()) }).await;
    assert_eq!(scheduled.decided().await.len(), 0, "nothing is decided while it is surely for nothing");
    user.tell(BotCommand::ResumeAutomation { at: world.now() }).await;
    let (skipped, reason) = scheduled
        .event("the skipped runs", |event| match event {
            CampaignEvent::RunsSkipped { span, reason, .. } => Some((span.count, reason.clone())),
            _ => None,
        })
        .await;
    assert!(skipped >= 5, "{skipped}");
    assert_eq!(reason, SkipReason::BotNotRunning { state: BotState::Paused });
    scheduled.first_job().await;
    scheduled.decides(7).await;
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_job_was_never_made_does_not_block_the_next() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(super::scene::ACCOUNT);
    user.log_in().await;
    let scheduled = Scheduled::begin(&world, &user, Overlap::Skip).await;
    enable(&user, scheduled.campaign_id).await;
    workers.stop().await;
    // Nobody but us decides, and what would make the job is taken away.
    world.clock.set_speed(1_200.0);
    until("the due time", || async { (world.now() > scheduled.since + EVERY).then_some(()) }).await;
    world.clock.set_speed(1.0);
    scheduled.tell(|bot, at| CampaignCommand::DecideDue { bot, at }).await;
    let job_id = scheduled.first_job().await;
    until("the command", || async {
        let taken = sqlx::query("DELETE FROM commands WHERE kind = 'start_job' AND group_key = $1")
            .bind(job_id.uuid())
            .execute(world.database.pool())
            .await
            .expect("it runs");
        (taken.rows_affected() == 1).then_some(())
    })
    .await;
    let workers = world.workers().await;
    let reason = scheduled
        .event("the run to be taken back", |event| match event {
            CampaignEvent::RunWithdrawn { job_id: taken, reason, .. } if *taken == job_id => Some(*reason),
            _ => None,
        })
        .await;
    assert_eq!(reason, Withdrawal::NotStarted);
    workers.stop().await;
}
