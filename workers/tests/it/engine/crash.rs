//! Workers that die between any two steps of an action, with every kind of trouble on the way back: nothing is done twice,
//! and what is counted is what the platform saw.

use std::future::{pending, ready};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use domain::bot::{ActionKind, BotEvent, Mode};
use domain::ids::{ActionId, JobId};
use futures_util::FutureExt;
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::vault::Vault;
use tokio::process::Command;
use workers::failpoint::Failpoints;
use workers::platform::sandbox::{FaultKind, LedgerEntry};
use workers::{Supervisor, WorkerConfig};

use super::scene::{Counters, Node, User, World, config, keyring, parts, until};
use super::time::TestClock;

const CHILD: &str = "REPRISE_TEST_WORKERS_CHILD";
const KINDS: [ActionKind; 3] = [ActionKind::Like, ActionKind::Follow, ActionKind::Dm];

/// What becomes of the call that writes.
fn replies() -> [Option<FaultKind>; 6] {
    [
        None,
        Some(FaultKind::LostReply { exc_type: None }),
        Some(FaultKind::LostReply { exc_type: Some("ClientUnknownError".to_owned()) }),
        Some(FaultKind::LateSuccess { delay_ms: 500, exc_type: None }),
        Some(FaultKind::LostRequest),
        Some(FaultKind::Duplicate),
    ]
}

fn route(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Like => "POST /media/like",
        ActionKind::Follow => "POST /user/follow",
        _ => "POST /direct/message",
    }
}

/// One action of one bot, and the trouble that its call meets.
struct Case<'a> {
    user: User<'a>,
    kind: ActionKind,
    fault: Option<FaultKind>,
    job: JobId,
}

impl<'a> Case<'a> {
    /// Bots of their own for every kind and every trouble, each with an action that waits for workers.
    async fn all(world: &'a World) -> Vec<Self> {
        let first = world.workers().await;
        let combinations = KINDS.into_iter().flat_map(|kind| replies().map(|fault| (kind, fault)));
        let users = world.accounts().await.into_iter().zip(combinations).map(|(account, (kind, fault))| {
            let user = world.user(&account);
            async move { (user.live().await, user, kind, fault) }
        });
        let users = join_all(users).await;
        first.stop().await;
        let targets = world.targets().await;
        let cases = users.into_iter().enumerate().map(|(number, (plot, user, kind, fault))| {
            let target = if kind == ActionKind::Like { &targets.media[number] } else { &targets.people[number] };
            async move {
                if let Some(fault) = &fault {
                    user.inject(route(kind), fault.clone(), 1);
                }
                let job = user.plan(plot, kind, target).await;
                Self { user, kind, fault, job }
            }
        });
        join_all(cases).await
    }

    async fn is_settled(&self, world: &World) -> bool {
        world.is_over(self.job).await || self.waits_for_another_try(world).await
    }

    /// It surely had no effect, and is tried again in minutes of the engine.
    async fn waits_for_another_try(&self, world: &World) -> bool {
        let history = world.history(self.job).await;
        let [.., before, last] = &history[..] else { return false };
        last.event_type == "TimerSet" && before.payload["result"]["outcome"] == "FAILED"
    }

    /// Nothing of it is open, and nothing waits to be tried again.
    async fn is_over(&self) -> bool {
        self.user.is_idle().await && self.user.bot().await.open_reservation().is_none()
    }

    /// Whether the action must have been done by now: words are not tried again.
    fn must_be_done(&self) -> bool {
        self.kind != ActionKind::Dm
    }

    async fn check(&self, point: &str) {
        let what = format!("{} killed at {point} with {:?}", self.kind, self.fault);
        let own: Vec<LedgerEntry> = self.user.effects().into_iter().filter(|entry| !entry.injected).collect();
        assert!(own.len() <= 1, "{what}: {own:?}");
        assert!(self.user.writes().iter().all(|entry| entry.injected || !entry.duplicate), "{what}");
        assert!(!self.must_be_done() || own.len() == 1, "{what}: not done");
        let done = i64::try_from(own.len()).expect("a few");
        let counted = self.user.counters(Mode::Live).await;
        let settled = counted.performed + counted.refused + counted.failed + counted.in_doubt;
        assert_eq!((counted.open, counted.reserved), (0, settled), "{what}");
        assert_eq!((counted.performed, counted.in_doubt), (done, 0), "{what}: {counted:?}");
        self.each_reservation_has_one_outcome(&what).await;
    }

    async fn each_reservation_has_one_outcome(&self, what: &str) {
        let events = self.user.events().await;
        let reserved: Vec<ActionId> = events.iter().filter_map(reserved).collect();
        for action in reserved {
            let outcomes = events.iter().filter(|event| outcome(event) == Some(action)).count();
            assert_eq!(outcomes, 1, "{what}");
        }
    }
}

fn reserved(event: &BotEvent) -> Option<ActionId> {
    match event {
        BotEvent::ActionReserved { action_id, .. } => Some(*action_id),
        _ => None,
    }
}

fn outcome(event: &BotEvent) -> Option<ActionId> {
    match event {
        BotEvent::ActionPerformed { action_id, .. }
        | BotEvent::ActionRefused { action_id, .. }
        | BotEvent::ActionFailed { action_id, .. }
        | BotEvent::ActionInDoubt { action_id, .. } => Some(*action_id),
        _ => None,
    }
}

/// Workers that stop for ever at a point, and how many of their commands have come there.
pub fn snared(point: &'static str) -> (WorkerConfig, Arc<AtomicUsize>) {
    let hits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&hits);
    let failpoints = Failpoints::new(Arc::new(move |name| {
        if name == point {
            counter.fetch_add(1, Ordering::SeqCst);
            pending().boxed()
        } else {
            ready(()).boxed()
        }
    }));
    (WorkerConfig { failpoints, concurrency: 64, batch: 64, ..config() }, hits)
}

async fn killed_at(point: &'static str) {
    let world = World::new().await;
    let cases = Case::all(&world).await;
    let (doomed, hits) = snared(point);
    let doomed = world.workers_with(doomed).await;
    until("every command at the point or past it", || async {
        let settled = join_all(cases.iter().map(|case| case.is_settled(&world))).await;
        let settled = settled.into_iter().filter(|is_settled| *is_settled).count();
        (settled + hits.load(Ordering::SeqCst) >= cases.len()).then_some(())
    })
    .await;
    assert!(hits.load(Ordering::SeqCst) > 0, "nothing came to {point}");
    doomed.kill().await;
    world.clock.set_speed(600.0);
    let heirs = world.workers().await;
    all_over(&cases).await;
    for case in &cases {
        case.check(point).await;
    }
    heirs.stop().await;
}

async fn all_over(cases: &[Case<'_>]) {
    until("the end of every action", || async {
        let over = join_all(cases.iter().map(Case::is_over)).await;
        over.into_iter().all(|is_over| is_over).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_twice_when_nobody_is_killed() {
    let world = World::new().await;
    let cases = Case::all(&world).await;
    world.clock.set_speed(600.0);
    let workers = world.workers().await;
    all_over(&cases).await;
    for case in &cases {
        case.check("no point").await;
    }
    workers.stop().await;
}

macro_rules! killed_at {
    ($($name:ident: $point:literal;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                killed_at($point).await;
            }
        )+

        #[test]
        fn every_point_of_an_action_is_tested() {
            let tested = [$($point),+];
            let points = workers::failpoint::ALL.iter().filter(|point| !point.starts_with("run.") && !point.starts_with("login."));
            assert_eq!(points.copied().collect::<Vec<_>>(), tested);
        }
    };
}

killed_at! {
    nothing_is_done_twice_when_killed_after_the_claim: "action.claimed";
    nothing_is_done_twice_when_killed_before_the_reservation: "action.before_reserve";
    nothing_is_done_twice_when_killed_after_the_reservation: "action.reserved";
    nothing_is_done_twice_when_killed_before_the_call: "action.before_call";
    nothing_is_done_twice_when_killed_after_the_call: "action.called";
    nothing_is_done_twice_when_killed_before_the_record: "action.before_record";
    nothing_is_done_twice_when_killed_after_the_record: "action.recorded";
    nothing_is_done_twice_when_killed_before_the_command_is_settled: "action.before_complete";
    nothing_is_done_twice_when_killed_before_the_read_that_settles: "settle.before_read";
    nothing_is_done_twice_when_killed_before_the_settlement_is_recorded: "settle.before_record";
}

/// Workers in a real process, until something kills it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it is the child process of the other tests here"]
async fn child_works() {
    let Ok(given) = std::env::var(CHILD) else { return };
    let given: Vec<&str> = given.split('|').collect();
    let [database, sandbox, now] = given[..] else { panic!("three parts") };
    crate::platform::support::install_tls();
    let options = PgConnectOptions::from_str(database).expect("it is a URL");
    let pool = PgPoolOptions::new().max_connections(8).connect_lazy_with(options);
    let now: DateTime<Utc> = now.parse().expect("it is an instant");
    let clock = Arc::new(TestClock::starting_at(now, 1.0));
    let node = Node::start(&pool, "child").await;
    let vault = Vault::new(pool.clone(), keyring());
    let _handle = Supervisor::start(config(), parts(&pool, &node, &vault, sandbox, clock));
    pending::<()>().await;
}

/// Runs workers in a process that kills itself at a failpoint.
async fn killed_process(world: &World, failpoint: &str) {
    let binary = std::env::current_exe().expect("this binary is somewhere");
    let given = format!("{}|{}|{}", world.database.url(), world.sandbox.url(), world.now().to_rfc3339());
    let mut child = Command::new(binary)
        .args(["--exact", "engine::crash::child_works", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, given)
        .env("REPRISE_FAILPOINT", failpoint)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), child.wait()).await;
    let status = ended.expect("it is killed in time").expect("it can be waited for");
    assert_eq!(status.signal(), Some(9), "{failpoint}: {status}");
}

async fn process_killed_at(failpoint: &str, kind: ActionKind, fault: Option<FaultKind>) {
    let world = World::new().await;
    let first = world.workers().await;
    let user = world.user(super::scene::ACCOUNT);
    let plot = user.live().await;
    first.stop().await;
    if let Some(fault) = &fault {
        user.inject(route(kind), fault.clone(), 1);
    }
    let targets = world.targets().await;
    let target = if kind == ActionKind::Like { &targets.media[0] } else { &targets.people[0] };
    let job = user.plan(plot, kind, target).await;
    let case = Case { user, kind, fault, job };
    killed_process(&world, &format!("{failpoint}:kill")).await;
    world.clock.set_speed(600.0);
    let heirs = world.workers().await;
    until("the end of the action", || async { case.is_over().await.then_some(()) }).await;
    case.check(failpoint).await;
    heirs.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_after_a_like_whose_reply_was_lost_does_not_like_again() {
    process_killed_at("action.called", ActionKind::Like, Some(FaultKind::LostReply { exc_type: None })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_after_a_message_does_not_send_it_again() {
    process_killed_at("action.called", ActionKind::Dm, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_before_a_late_follow_does_not_follow_again() {
    let late = FaultKind::LateSuccess { delay_ms: 1_000, exc_type: None };
    process_killed_at("action.called", ActionKind::Follow, Some(late)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_between_reservation_and_call_leaves_the_like_to_the_next() {
    process_killed_at("action.before_call", ActionKind::Like, None).await;
}

/// The events of an action in a process of its own: counted requests, the proof of the session, the reservation, the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_killed_at_any_of_its_commits_likes_once() {
    for number in 1..=4 {
        process_killed_at_commit(number).await;
    }
}

async fn process_killed_at_commit(number: u32) {
    let world = World::new().await;
    let first = world.workers().await;
    let user = world.user(super::scene::ACCOUNT);
    let plot = user.live().await;
    first.stop().await;
    let target = world.targets().await.media.remove(0);
    let job = user.plan(plot, ActionKind::Like, &target).await;
    let case = Case { user, kind: ActionKind::Like, fault: None, job };
    killed_process(&world, &format!("append.committed:kill@{number}")).await;
    world.clock.set_speed(600.0);
    let heirs = world.workers().await;
    until("the end of the action", || async { case.is_over().await.then_some(()) }).await;
    case.check("append.committed").await;
    let counted = case.user.counters(Mode::Live).await;
    assert_eq!(counted.performed, 1, "{counted:?}");
    heirs.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_that_loses_its_lease_in_the_middle_of_a_call_likes_once() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(super::scene::ACCOUNT);
    let plot = user.live().await;
    user.inject("POST /media/like", FaultKind::Latency { delay_ms: 800 }, 1);
    let target = world.targets().await.media.remove(0);
    let job = user.plan(plot, ActionKind::Like, &target).await;
    let case = Case { user, kind: ActionKind::Like, fault: None, job };
    case.user.event("ActionReserved").await;
    sqlx::query("UPDATE writers SET lease_until = clock_timestamp() - interval '1 second' WHERE name = 'workers'")
        .execute(world.database.pool())
        .await
        .expect("the statement is good");
    until("the end of the action", || async { case.is_over().await.then_some(()) }).await;
    case.check("a lost lease").await;
    let BotEvent::ActionPerformed { evidence, .. } = case.user.event("ActionPerformed").await else { unreachable!() };
    assert_eq!(evidence, "READ_LIKED", "the call's own answer came too late to be recorded");
    workers.stop().await;
}

/// A message whose fate nothing tells.
async fn unsettled_message(fault: FaultKind, kill: bool) -> (usize, Counters) {
    let world = World::new().await;
    let first = world.workers().await;
    let user = world.user(super::scene::ACCOUNT);
    let plot = user.live().await;
    let silent = FaultKind::Fail { exc_type: "ConnectProxyError".to_owned(), detail: None };
    user.inject("GET /direct/thread/by/participants", silent, 10_000);
    user.inject("POST /direct/message", fault, 1);
    let target = world.targets().await.people.remove(0);
    let workers = if kill {
        first.stop().await;
        user.plan(plot, ActionKind::Dm, &target).await;
        killed_process(&world, "action.called:kill").await;
        world.workers().await
    } else {
        user.plan(plot, ActionKind::Dm, &target).await;
        first
    };
    user.event("ActionInDoubt").await;
    world.clear_faults().await;
    // Long after, with a platform that would tell: the person decides, and nobody else.
    world.clock.set_speed(3_600.0);
    let later = world.now() + chrono::TimeDelta::hours(6);
    until("six hours", || async { (world.now() > later).then_some(()) }).await;
    assert_eq!(user.requests("POST /direct/message").await, 1);
    let counted = user.counters(Mode::Live).await;
    workers.stop().await;
    (user.effects().len(), counted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_that_cannot_be_settled_is_in_doubt_and_not_sent_again() {
    let (sent, counted) = unsettled_message(FaultKind::LostReply { exc_type: None }, false).await;
    assert_eq!(sent, 1);
    assert_eq!(counted, Counters { reserved: 1, in_doubt: 1, ..Counters::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_that_never_left_and_cannot_be_settled_is_in_doubt_too() {
    let (sent, counted) = unsettled_message(FaultKind::LostRequest, false).await;
    assert_eq!(sent, 0);
    assert_eq!(counted, Counters { reserved: 1, in_doubt: 1, ..Counters::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_of_a_killed_process_that_cannot_be_settled_is_not_sent_again() {
    let (sent, counted) = unsettled_message(FaultKind::LostReply { exc_type: None }, true).await;
    assert_eq!(sent, 1);
    assert_eq!(counted, Counters { reserved: 1, in_doubt: 1, ..Counters::default() });
}
