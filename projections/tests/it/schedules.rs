//! Schedules of campaigns: the read model says what the campaign says, and the reactor asks for its jobs once.

use domain::bot::{Activity, BotState};
use domain::campaign::schedule::{BotStanding, DraftTiming, Overlap, ScheduleDraft, job_id};
use domain::campaign::{
    Campaign, CampaignCommand, CampaignEvent, Draft, DraftSource, HashtagTab, Module, RunEnding, Runs,
};
use domain::decide::{Decide, fold};
use domain::ids::{BotId, CampaignId, JobId, derive};
use domain::job::{JobEvent, Origin};
use projections::campaign_schedules::{self, MOST_DECISIONS};
use projections::reactor::campaign_due::{CampaignDue, start_of};
use projections::reactor::work::{RunNews, Work};
use serde_json::{Value, json};

use crate::support::life::Life;
use crate::support::{World, at};

fn campaign_id() -> CampaignId {
    CampaignId::from_uuid(derive(&["scheduled campaign"]))
}

fn due(minute: i64) -> JobId {
    job_id(campaign_id(), at(60 * minute))
}

/// A campaign of a bot that runs it, every ten minutes.
struct Scene {
    world: World,
    bot_id: BotId,
    state: Campaign,
}

fn running() -> BotStanding {
    let activity =
        Activity { state: BotState::Running, before: BotState::LoggedIn, ran_since: Some(at(-600)), ran_until: None };
    BotStanding { activity, in_plan: true }
}

impl Scene {
    async fn begin(overlap: Overlap) -> Self {
        let world = World::create().await;
        let bot_id = Life::of("ada").bot_id;
        let mut scene = Self { world, bot_id, state: Campaign::default() };
        let source = DraftSource::Hashtag { name: "alps".to_owned(), tab: HashtagTab::Top };
        let draft = Draft::new("one", Module::Like, source, 7);
        scene.tell(CampaignCommand::Define { campaign_id: campaign_id(), bot_id, draft, at: at(0) }).await;
        let timing = DraftTiming::Interval { minutes: 10, anchored_at: at(0) };
        let draft = ScheduleDraft { timing, jitter_seconds: 0, overlap, catch_up_minutes: 60 };
        scene.tell(CampaignCommand::SetSchedule { draft, bot: running(), at: at(0) }).await;
        scene
    }

    async fn tell(&mut self, command: CampaignCommand) -> Vec<CampaignEvent> {
        let events = self.state.decide(command).expect("it is allowed");
        self.state = fold(std::mem::take(&mut self.state), events.clone());
        if !events.is_empty() {
            self.world.append("Campaign", &campaign_id().to_string(), &events).await;
        }
        events
    }

    async fn decide(&mut self, minute: i64) {
        self.tell(CampaignCommand::DecideDue { bot: running(), at: at(60 * minute) }).await;
    }

    async fn end(&mut self, minute: i64, at_minute: i64) {
        let (job_id, bot, at) = (due(minute), BotState::Running, at(60 * at_minute));
        self.tell(CampaignCommand::RecordRunEnded { job_id, ending: RunEnding::Completed, bot, at }).await;
    }

    async fn row(&self) -> campaign_schedules::CampaignSchedule {
        self.world.catch_up().await;
        let row = campaign_schedules::by_id(self.world.pool(), campaign_id()).await.expect("the query runs");
        row.expect("a row")
    }

    /// The row says what the campaign says.
    async fn agrees(&self) {
        let row = self.row().await;
        let scheduled = self.state.schedule();
        assert_eq!(row.schedule.as_ref(), scheduled.map(|scheduled| &scheduled.schedule));
        assert_eq!(row.decided_until, scheduled.map(|scheduled| scheduled.decided_until));
        let runs = self.state.runs().expect("it is defined");
        assert_eq!(row.open_runs, runs.open());
        assert_eq!(row.missed, i64::try_from(Runs::missed(runs)).expect("a small number"));
        assert_eq!(row.archived, !self.state.is_active());
    }

    async fn react(&self) {
        self.world.runner(CampaignDue::new(self.world.queue.clone())).catch_up().await.expect("it reacts");
    }

    /// What was asked of the workers, in order.
    async fn work(&self) -> Vec<Work> {
        let rows: Vec<(String, Value)> = sqlx::query_as(
            "SELECT kind, payload FROM commands WHERE bot_id = $1 ORDER BY created_at, not_before, kind",
        )
        .bind(self.bot_id.uuid())
        .fetch_all(self.world.pool())
        .await
        .expect("the query runs");
        rows.into_iter().map(|(kind, payload)| Work::decode(&kind, payload).expect("it reads")).collect()
    }
}

#[tokio::test]
async fn the_row_of_a_schedule_says_what_the_campaign_says() {
    let mut scene = Scene::begin(Overlap::Queue).await;
    scene.agrees().await;
    scene.decide(30).await;
    scene.agrees().await;
    scene.end(10, 31).await;
    scene.agrees().await;
    let next = JobId::from_uuid(derive(&["next"]));
    scene.tell(CampaignCommand::RecordRunContinued { job_id: due(20), next, at: at(1_900) }).await;
    scene.agrees().await;
    scene.tell(CampaignCommand::PauseSchedule { reason: "a\0b".to_owned(), bot: running(), at: at(1_920) }).await;
    let pause = scene.row().await.schedule.and_then(|schedule| schedule.pause);
    assert_eq!(pause.map(|pause| pause.reason).as_deref(), Some("a\u{fffd}b"));
    assert!(scene.row().await.paused_by.is_some_and(|by| by.starts_with("user:")));
    scene.tell(CampaignCommand::ResumeSchedule { bot: running(), at: at(60 * 60) }).await;
    scene.agrees().await;
    // Long without anybody who decides.
    scene.decide(60 * 24).await;
    scene.agrees().await;
    assert!(scene.row().await.missed > 100);
    assert_eq!(campaign_schedules::missed(scene.world.pool()).await.expect("it reads"), scene.row().await.missed);
    scene.tell(CampaignCommand::ClearSchedule { bot: running(), at: at(60 * 60 * 24) }).await;
    scene.agrees().await;
    scene.tell(CampaignCommand::Archive { at: at(60 * 60 * 24) }).await;
    scene.agrees().await;
    let decisions = scene.row().await.decisions;
    assert!(matches!(decisions[0], CampaignEvent::RunWithdrawn { .. }), "newest first");
    assert!(decisions.len() <= MOST_DECISIONS);
}

#[tokio::test]
async fn changes_are_followed_by_their_position() {
    let mut scene = Scene::begin(Overlap::Skip).await;
    let first = scene.row().await;
    assert!(!first.bot_running);
    let pool = scene.world.pool().clone();
    let seen = campaign_schedules::newest_change(&pool).await.expect("it reads");
    assert_eq!(campaign_schedules::changed(&pool, seen, 9).await.expect("it reads"), []);
    let (_, events) = Life::running("ada");
    scene.world.append("Bot", &scene.bot_id.to_string(), &events).await;
    scene.decide(10).await;
    assert!(scene.row().await.bot_running);
    let changed = campaign_schedules::changed(&pool, seen, 9).await.expect("it reads");
    assert_eq!(changed.iter().map(|(bot_id, _)| *bot_id).collect::<Vec<_>>(), [scene.bot_id; 2]);
    assert!(changed[0].1 > seen && changed[1].1 > changed[0].1);
    let rows = campaign_schedules::of_bots(&pool, &[scene.bot_id]).await.expect("it reads");
    assert_eq!(rows[0].next_decision_at(), Some(at(1_200)));
    assert_eq!(campaign_schedules::looked_after(&pool, None, 9).await.expect("it reads"), rows);
}

#[tokio::test]
async fn a_planned_run_asks_for_its_job_once_and_not_before_its_start() {
    let mut scene = Scene::begin(Overlap::Queue).await;
    scene.decide(20).await;
    scene.react().await;
    let run = scene.state.runs().expect("it is defined").open()[0].run;
    assert_eq!(scene.work().await, [start_of(campaign_id(), &run)]);
    scene.world.execute("UPDATE projection_checkpoints SET position = 0 WHERE projection LIKE 'reactor%'").await;
    scene.react().await;
    assert_eq!(scene.work().await.len(), 1);
    let not_before = scene.world.value::<chrono::DateTime<chrono::Utc>>("SELECT min(not_before) FROM commands").await;
    assert_eq!(not_before, run.start_at.max(not_before));
    // The second waited; it is asked for when the first is over.
    scene.end(10, 21).await;
    scene.react().await;
    let second = scene.state.runs().expect("it is defined").open()[0].run;
    assert_eq!(scene.work().await[1], start_of(campaign_id(), &second));
}

#[tokio::test]
async fn a_run_that_is_replaced_is_asked_to_end() {
    let mut scene = Scene::begin(Overlap::CancelPrevious).await;
    scene.decide(10).await;
    scene.decide(20).await;
    scene.react().await;
    let work = scene.work().await;
    assert!(
        matches!(&work[..], [Work::StartJob { .. }, Work::CancelJobs { jobs, .. }] if *jobs == [due(10)]),
        "{work:?}"
    );
}

#[tokio::test]
async fn the_end_of_a_job_is_told_to_its_campaign_also_under_another_id() {
    let scene = Scene::begin(Overlap::Skip).await;
    let (job_id, next) = (due(10), JobId::from_uuid(derive(&["next"])));
    let origin = Origin::Campaign { campaign_id: campaign_id(), due_at: at(600) };
    let created = |job_id, origin| JobEvent::JobCreated {
        job_id,
        bot_id: scene.bot_id,
        workflow: "campaign_run".to_owned(),
        input: json!({}),
        origin,
        at: at(600),
    };
    let first = [created(job_id, origin), JobEvent::JobContinuedAsNew { next, input: json!({}), at: at(601) }];
    scene.world.append("Job", &job_id.to_string(), &first).await;
    let code = || "OOPS".to_owned();
    let failed = JobEvent::JobFailed { code: code(), message: code(), at: at(602) };
    let reset = JobEvent::JobReset { index: 0, reason: code(), at: at(603) };
    let second = [created(next, Origin::Continued { job_id }), failed.clone(), reset];
    scene.world.append("Job", &next.to_string(), &second).await;
    // Somebody else's job.
    let other = JobId::from_uuid(derive(&["other"]));
    scene.world.append("Job", &other.to_string(), &[created(other, Origin::Person), failed]).await;
    scene.react().await;
    let told = |job_id, news| Work::RecordRun { campaign_id: campaign_id(), job_id, due_at: at(600), news };
    let work = scene.work().await;
    assert_eq!(work.len(), 3, "{work:?}");
    for news in [
        told(job_id, RunNews::Continued { next }),
        told(next, RunNews::Ended { ending: RunEnding::Failed }),
        told(next, RunNews::Reopened {}),
    ] {
        assert!(work.contains(&news), "{news:?} in {work:?}");
    }
}
