//! What a careful client does about each class of failure; and what limits do to a run.

use chrono::TimeDelta;
use domain::bot::{ActionKind, BotCommand, BotEvent, BotState, FailureClass, Limits, Mode, WorkingHours};
use domain::campaign::Module;
use workers::platform::sandbox::FaultKind;

use super::scene::{ACCOUNT, Counters, User, World, until};

fn fail(exc_type: &str) -> FaultKind {
    FaultKind::Fail { exc_type: exc_type.to_owned(), detail: None }
}

/// A live run of likes that meets `fault` so many times.
async fn run(user: &User<'_>, world: &World, targets: u32, fault: FaultKind, times: u32) {
    user.log_in().await;
    user.verify().await;
    let campaign = user.campaign(Module::Like, targets).await;
    user.inject("POST /media/like", fault, times);
    user.enable_at(campaign, Mode::Live, world.now() - TimeDelta::days(8)).await;
    world.clock.set_speed(3_600.0);
}

async fn stopped_by(user: &User<'_>) -> Option<String> {
    let BotEvent::RunFinished { stopped_by, .. } = user.event("RunFinished").await else { unreachable!() };
    stopped_by
}

/// One like that fails so, in a bot that does nothing else.
async fn like(world: &World, user: &User<'_>, fault: FaultKind) -> String {
    let plot = user.live().await;
    user.inject("POST /media/like", fault, 1);
    let target = world.targets().await.media.remove(0);
    let job = user.plan(plot, ActionKind::Like, &target).await;
    world.ended(job).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_targets_skipped_in_a_row_end_the_run() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    run(&user, &world, 8, fail("MediaUnavailable"), 100).await;
    assert_eq!(stopped_by(&user).await.as_deref(), Some("FIVE_TARGETS_SKIPPED"));
    assert_eq!(user.requests("POST /media/like").await, 5);
    assert_eq!(user.counters(Mode::Live).await, Counters { reserved: 5, refused: 5, ..Counters::default() });
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skipped_targets_with_a_success_between_them_do_not_end_the_run() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    run(&user, &world, 7, fail("MediaUnavailable"), 4).await;
    assert_eq!(stopped_by(&user).await, None);
    assert_eq!(user.effects().len(), 3);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_that_nobody_understands_stops_the_module_and_its_run() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    run(&user, &world, 5, fail("UnknownError"), 1).await;
    assert_eq!(stopped_by(&user).await.as_deref(), Some("MODULE_STOPPED"));
    assert_eq!(user.requests("POST /media/like").await, 1);
    assert_eq!((user.count("ModuleStopped").await, user.bot().await.state()), (1, BotState::Running));
    assert_eq!(user.writes().iter().filter(|entry| entry.reason.is_none()).count(), 0);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_contract_stops_the_module_at_once_and_the_action_is_looked_up() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    like(&world, &user, FaultKind::LostReply { exc_type: Some("KeyError".to_owned()) }).await;
    let BotEvent::ModuleStopped { class, .. } = user.event("ModuleStopped").await else { unreachable!() };
    assert_eq!(class, FailureClass::ContractBroken);
    let BotEvent::ActionPerformed { evidence, .. } = user.event("ActionPerformed").await else { unreachable!() };
    assert_eq!(evidence, "READ_LIKED");
    assert_eq!(user.effects().len(), 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocked_action_is_a_refusal_and_blocks_its_kind_for_a_day() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    run(&user, &world, 3, fail("FeedbackRequired"), 1).await;
    let BotEvent::ActionKindBlocked { until: end, at, .. } = user.event("ActionKindBlocked").await else {
        unreachable!()
    };
    assert_eq!(end - at, TimeDelta::hours(24));
    assert_eq!(stopped_by(&user).await, None);
    let performed: Vec<_> = user.effects().into_iter().map(|entry| entry.at).collect();
    assert_eq!(performed.len(), 2);
    assert!(performed.iter().all(|at| *at >= end), "{performed:?} {end}");
    assert_eq!(user.count("ActionSuppressed").await, 1, "one wait is told once");
    assert_eq!(
        user.counters(Mode::Live).await,
        Counters { reserved: 3, performed: 2, refused: 1, ..Counters::default() }
    );
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn platform_that_asks_to_slow_down_is_left_alone_for_half_an_hour() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    run(&user, &world, 2, fail("PleaseWaitFewMinutes"), 1).await;
    let BotEvent::SlowDownStarted { until: end, .. } = user.event("SlowDownStarted").await else { unreachable!() };
    assert_eq!(stopped_by(&user).await, None);
    let performed: Vec<_> = user.effects().into_iter().map(|entry| entry.at).collect();
    assert!(performed.len() == 1 && performed[0] >= end, "{performed:?} {end}");
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn challenge_stops_everything_and_locks_the_login() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    run(&user, &world, 4, fail("ChallengeRequired"), 1).await;
    user.reaches(BotState::Error).await;
    until("the end of its jobs", || async { user.is_idle().await.then_some(()) }).await;
    assert_eq!(user.requests("POST /media/like").await, 1);
    assert_eq!(user.counters(Mode::Live).await, Counters { reserved: 1, refused: 1, ..Counters::default() });
    assert!(user.bot().await.login().challenge.is_some());
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn like_whose_request_was_lost_is_made_again_as_another_action() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.inject("POST /media/like", FaultKind::LostRequest, 1);
    let target = world.targets().await.media.remove(0);
    world.clock.set_speed(600.0);
    user.plan(plot, ActionKind::Like, &target).await;
    user.event("ActionPerformed").await;
    let counted = Counters { reserved: 2, performed: 1, failed: 1, ..Counters::default() };
    assert_eq!(user.counters(Mode::Live).await, counted);
    assert_eq!(user.effects().len(), 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_that_cannot_be_read_back_waits_and_is_settled_later() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.inject("POST /user/follow", FaultKind::LostReply { exc_type: None }, 1);
    user.inject("GET /user/friendship", fail("ResponseValidationError"), 1);
    let target = world.targets().await.people.remove(0);
    user.plan(plot, ActionKind::Follow, &target).await;
    user.event("SlowDownStarted").await;
    world.clock.set_speed(3_600.0);
    let BotEvent::ActionPerformed { evidence, .. } = user.event("ActionPerformed").await else { unreachable!() };
    assert_eq!((evidence.as_str(), user.effects().len()), ("READ_FOLLOWING", 1));
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_that_cannot_be_read_is_tried_again() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.verify().await;
    let campaign = user.campaign(Module::Like, 1).await;
    // As often as the client itself tries, and once more.
    user.inject("GET /hashtag/media/recent", FaultKind::LostRequest, 3);
    user.enable_at(campaign, Mode::Live, world.now() - TimeDelta::days(8)).await;
    assert_eq!(stopped_by(&user).await, None);
    assert_eq!(user.effects().len(), 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_hour_hold_in_a_run_and_each_wait_is_told_once() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.verify().await;
    let campaign = user.campaign(Module::Like, 4).await;
    // In the warm-up one like an hour.
    user.enable(campaign, Mode::Live).await;
    world.clock.set_speed(3_600.0);
    assert_eq!(stopped_by(&user).await, None);
    let likes: Vec<_> = user.effects().into_iter().map(|entry| entry.at).collect();
    assert_eq!(likes.len(), 4);
    assert!(likes.windows(2).all(|pair| pair[1] - pair[0] >= TimeDelta::minutes(59)), "{likes:?}");
    assert!(user.count("ActionSuppressed").await <= 3, "one for each hour");
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_without_allowance_for_its_reads_waits_and_says_so_once() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    user.log_in().await;
    user.verify().await;
    let hours = WorkingHours { from: 0, until: 24 };
    // Three an hour, all of which the login took.
    let limits = Limits { hours, request: 18, ..Limits::default() };
    user.tell(BotCommand::ChangeLimits { limits, at: world.now() }).await;
    let campaign = user.campaign(Module::Like, 1).await;
    user.enable_at(campaign, Mode::DryRun, world.now()).await;
    user.event("RequestsSuppressed").await;
    world.clock.set_speed(3_600.0);
    assert_eq!(stopped_by(&user).await, None);
    assert_eq!(user.count("RequestsSuppressed").await, 1);
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_goes_to_one_person_once() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    let target = world.targets().await.people.remove(0);
    let job = user.plan(plot, ActionKind::Dm, &target).await;
    assert_eq!(world.ended(job).await, "PERFORMED");
    let sent = user.effects();
    assert_eq!((sent.len(), sent[0].target.as_str()), (1, target.as_str()));
    assert_eq!(user.counters(Mode::Live).await, Counters { reserved: 1, performed: 1, ..Counters::default() });
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comment_whose_reply_was_lost_is_found_and_not_written_again() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    user.inject("POST /media/comment", FaultKind::LostReply { exc_type: None }, 1);
    let target = world.commentable().await;
    let job = user.plan(plot, ActionKind::Comment, &target).await;
    assert_eq!(world.ended(job).await, "PERFORMED");
    let BotEvent::ActionPerformed { evidence, .. } = user.event("ActionPerformed").await else { unreachable!() };
    assert_eq!((evidence.as_str(), user.effects().len()), ("READ_TEXT", 1));
    workers.stop().await;
}
