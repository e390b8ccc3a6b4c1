//! The whole way of a bot: logged in, tested, run dry, run live.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use domain::bot::{ActionKind, BotCommand, BotEvent, BotState, Mode};
use domain::campaign::Module;
use domain::ids::JobId;

use workers::WorkerConfig;

use super::scene::{ACCOUNT, Counters, User, World, config, until};

async fn finished(user: &User<'_>, runs: usize) {
    until("the end of the run", || async { (user.count("RunFinished").await == runs).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dry_run_writes_nothing_and_the_live_run_exactly_what_is_counted() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.verify().await;
    let campaign = user.campaign(Module::Like, 3).await;
    user.enable(campaign, Mode::DryRun).await;
    world.clock.set_speed(3_600.0);
    finished(&user, 1).await;
    assert_eq!(user.count("DryRunFinished").await, 1);
    let dry = Counters { reserved: 3, simulated: 3, ..Counters::default() };
    assert_eq!(user.counters(Mode::DryRun).await, dry);
    assert_eq!(user.writes(), []);

    world.clock.set_speed(1.0);
    user.tell(BotCommand::DisableAutomation { reason: "next".to_owned(), at: world.now() }).await;
    user.verify().await;
    user.enable(campaign, Mode::Live).await;
    world.clock.set_speed(3_600.0);
    finished(&user, 2).await;
    assert_eq!(user.counters(Mode::Live).await, Counters { reserved: 3, performed: 3, ..Counters::default() });
    let likes = user.effects();
    assert_eq!((likes.len(), user.writes().len()), (3, 3));
    assert!(likes.iter().all(|entry| entry.kind == "LIKE"));
    assert_eq!(user.bot().await.state(), BotState::Running);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_follows_the_authors_of_posts_each_once() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.verify().await;
    let campaign = user.campaign(Module::Follow, 3).await;
    user.enable_at(campaign, Mode::Live, world.now() - TimeDelta::days(8)).await;
    world.clock.set_speed(3_600.0);
    finished(&user, 1).await;
    let follows = user.effects();
    let people: BTreeSet<&str> = follows.iter().map(|entry| entry.target.as_str()).collect();
    assert!(follows.iter().all(|entry| entry.kind == "FOLLOW"), "{follows:?}");
    assert_eq!((people.len(), user.writes().len()), (3, 3));
    let counters = user.counters(Mode::Live).await;
    assert_eq!(counters, Counters { reserved: 3, performed: 3, ..Counters::default() });
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_with_a_long_history_goes_on_as_new_jobs_and_is_one_run_all_the_same() {
    let world = World::new().await;
    let workers = world.workers_with(WorkerConfig { history_limit: 20, ..config() }).await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.verify().await;
    let campaign = user.campaign(Module::Follow, 6).await;
    user.enable_at(campaign, Mode::Live, world.now() - TimeDelta::days(8)).await;
    world.clock.set_speed(3_600.0);
    finished(&user, 1).await;
    assert_eq!((user.effects().len(), user.writes().len()), (6, 6));
    assert_eq!(user.count("RunStarted").await, 1);
    let BotEvent::RunStarted { run_id, targets, .. } = user.event("RunStarted").await else { unreachable!() };
    assert_eq!(targets, 6);
    let (mut job, mut jobs) = (JobId::from_uuid(run_id.uuid()), 1);
    let report = loop {
        until("the end of the job", || async { world.is_over(job).await.then_some(()) }).await;
        let mut last = world.history(job).await.pop().expect("it has a history");
        if last.event_type != "JobContinuedAsNew" {
            break last.payload["result"].take();
        }
        job = last.payload["next"].as_str().and_then(|next| next.parse().ok()).expect("the next job");
        jobs += 1;
    };
    assert!(jobs > 1, "the history was never long");
    assert_eq!((&report["performed"], &report["targets"]), (&6.into(), &6.into()), "{report}");
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_of_a_private_person_counts_once_its_request_is_out() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    let person = world.private_person().await;
    let job = user.plan(plot, ActionKind::Follow, &person).await;
    assert_eq!(world.ended(job).await, "PERFORMED");
    let BotEvent::ActionPerformed { evidence, .. } = user.event("ActionPerformed").await else { unreachable!() };
    assert_eq!(evidence, "READ_REQUESTED");
    assert_eq!((user.effects().len(), user.writes().len()), (1, 1));
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_liked_is_not_listed_again() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.verify().await;
    let campaign = user.campaign(Module::Like, 2).await;
    for run in 1..=2 {
        world.clock.set_speed(1.0);
        user.enable_at(campaign, Mode::Live, world.now() - TimeDelta::days(8)).await;
        world.clock.set_speed(3_600.0);
        finished(&user, run).await;
        user.tell(BotCommand::DisableAutomation { reason: "next".to_owned(), at: world.now() }).await;
        world.clock.set_speed(1.0);
        user.verify().await;
    }
    let targets: BTreeSet<String> = user.effects().into_iter().map(|entry| entry.target).collect();
    assert_eq!((targets.len(), user.writes().len()), (4, 4));
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_run_say_who_caused_them_and_share_the_request_that_began_it() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.verify().await;
    let campaign = user.campaign(Module::Like, 1).await;
    user.enable(campaign, Mode::DryRun).await;
    finished(&user, 1).await;
    let stored = user.stored().await;
    let of = |name: &str| stored.iter().find(|event| event.event_type == name).expect("it happened");
    let enabled = of("AutomationEnabled");
    // What a run does follows from its job, and the job from the switching on.
    let job = match user.event("RunStarted").await {
        BotEvent::RunStarted { run_id, .. } => JobId::from_uuid(run_id.uuid()),
        _ => unreachable!(),
    };
    let created = &world.history(job).await[0];
    assert_eq!(created.metadata["causation_id"], enabled.event_id.to_string());
    for event in ["RunStarted", "ActionReserved", "ActionSimulated", "RunFinished"] {
        let metadata = &of(event).metadata;
        assert_eq!(metadata["correlation_id"], enabled.metadata["correlation_id"], "{event}");
        assert_eq!(metadata["causation_id"], created.event_id.to_string(), "{event}");
        assert_eq!(metadata["actor"], "worker:test", "{event}");
    }
    workers.stop().await;
}
