//! What a person asks of the workers: a change of many jobs, and a look at an action in doubt.

use domain::bot::{ActionKind, BotEvent, Mode, Settlement};
use domain::entropy::Entropy;
use domain::ids::{JobId, RequestId, UserId};
use domain::job::{Job, JobChange, JobCommand, JobPriority, Origin};
use domain::metadata::{Actor, Metadata};
use serde_json::json;
use store::bulk::{self, BulkOperation, NewBulkOperation};
use store::command_queue::NewCommand;
use uuid::Uuid;
use workers::platform::sandbox::FaultKind;

use super::scene::{ACCOUNT, User, World, until};
use super::time::TestEntropy;

const MANY: usize = 400;

/// A job that no workflow runs.
async fn idle(world: &World, user: &User<'_>) -> JobId {
    let (job_id, at) = (JobId::from_uuid(TestEntropy.uuid()), world.now());
    let (workflow, input, origin) = ("nothing".to_owned(), json!(null), Origin::Person);
    tell(world, job_id, JobCommand::Create { job_id, bot_id: user.bot_id, workflow, input, origin, at }).await;
    job_id
}

async fn tell(world: &World, job: JobId, command: JobCommand) {
    let request = RequestId::from_uuid(TestEntropy.uuid());
    let metadata = Metadata::root(request, Actor::System("test".to_owned()), world.now());
    world.office.bus.execute::<Job>(&job.to_string(), command, &metadata).await.expect("the job takes it");
}

async fn begin(world: &World, user: &User<'_>, change: JobChange, jobs: &[JobId]) -> (Uuid, Actor) {
    let (id, actor) = (TestEntropy.uuid(), Actor::User(UserId::from_uuid(user.bot_id.uuid())));
    let operation = NewBulkOperation {
        id,
        bot_id: user.bot_id,
        change: change.as_str().to_owned(),
        priority: (change == JobChange::Prioritize).then(|| JobPriority::Urgent.as_str().to_owned()),
        reason: "enough".to_owned(),
        actor: actor.to_string(),
        correlation_id: id,
        at: world.now(),
    };
    let command = NewCommand {
        id,
        bot_id: user.bot_id,
        kind: "change_jobs".to_owned(),
        payload: json!({ "work": "change_jobs", "operation_id": id }),
        dedupe_key: None,
        group_key: Some(id),
        priority: 10,
        not_before: world.now(),
        max_attempts: 10,
        correlation_id: id,
        causation_id: id,
        actor: actor.to_string(),
    };
    bulk::begin(world.database.pool(), &operation, jobs, command).await.expect("it is stored");
    (id, actor)
}

async fn found(world: &World, id: Uuid) -> BulkOperation {
    bulk::find(world.database.pool(), id).await.expect("it reads").expect("it is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_many_jobs_goes_on_after_a_crash_and_tells_each_job_once_by_whom() {
    let world = World::new().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    let mut jobs = Vec::new();
    for _ in 0..MANY {
        jobs.push(idle(&world, &user).await);
    }
    tell(&world, jobs[7], JobCommand::Terminate { reason: "before".to_owned(), at: world.now() }).await;
    let (id, actor) = begin(&world, &user, JobChange::Terminate, &jobs).await;
    let doomed = world.workers().await;
    until("some of them", async || (found(&world, id).await.done > 3).then_some(())).await;
    doomed.kill().await;
    let heirs = world.workers().await;
    let ended =
        until("all of them", async || Some(found(&world, id).await).filter(|it| it.finished_at.is_some())).await;
    assert_eq!((ended.total, ended.done, ended.refused), (400, 399, 1));
    let results = bulk::results(world.database.pool(), id, None, None, false, 1_000).await.expect("it reads");
    for result in results {
        let history = world.history(result.job_id).await;
        let ends: Vec<_> = history.iter().filter(|event| event.event_type == "JobTerminated").collect();
        assert_eq!(ends.len(), 1, "each is ended once");
        if result.job_id == jobs[7] {
            assert_eq!(result.code.as_deref(), Some("JOB_COMMAND_NOT_ALLOWED"));
        } else {
            assert_eq!(result.status, "DONE");
            assert_eq!(ends[0].metadata["actor"], actor.to_string());
            assert_eq!(ends[0].payload["reason"], "enough");
        }
    }
    heirs.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_priority_is_in_the_history_of_each_job_by_whoever_asked() {
    let world = World::new().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    let jobs = [idle(&world, &user).await, idle(&world, &user).await];
    let (id, actor) = begin(&world, &user, JobChange::Prioritize, &jobs).await;
    let workers = world.workers().await;
    until("both of them", async || found(&world, id).await.finished_at).await;
    for job in jobs {
        let history = world.history(job).await;
        let set: Vec<_> = history.iter().filter(|event| event.event_type == "JobPrioritized").collect();
        assert_eq!(set.len(), 1, "{history:?}");
        assert_eq!(
            (&set[0].metadata["actor"], &set[0].payload["priority"]),
            (&json!(actor.to_string()), &json!("URGENT"))
        );
    }
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_were_settled_long_ago_are_forgotten() {
    let world = World::new().await;
    let user = world.user(ACCOUNT);
    user.link().await;
    let (id, _) = begin(&world, &user, JobChange::Terminate, &[idle(&world, &user).await]).await;
    let workers = world.workers().await;
    world.settled(id, |command| command.settled_at.is_some()).await;
    workers.stop().await;
    sqlx::query("UPDATE commands SET settled_at = settled_at - interval '31 days'")
        .execute(world.database.pool())
        .await
        .expect("it works");
    let workers = world.workers().await;
    until("the command", || async { world.office.queue.find(id).await.expect("it reads").is_none().then_some(()) })
        .await;
    workers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_settles_what_the_platform_shows() {
    let world = World::new().await;
    let workers = world.workers().await;
    let user = world.user(ACCOUNT);
    let plot = user.live().await;
    let silent = FaultKind::Fail { exc_type: "ConnectProxyError".to_owned(), detail: None };
    user.inject("GET /direct/thread/by/participants", silent, 10_000);
    user.inject("POST /direct/message", FaultKind::LostReply { exc_type: None }, 1);
    let target = world.targets().await.people.remove(0);
    user.plan(plot, ActionKind::Dm, &target).await;
    let BotEvent::ActionInDoubt { action_id, .. } = user.event("ActionInDoubt").await else { unreachable!() };
    let payload = json!({ "work": "probe_action", "action_id": action_id });
    // A platform that is still silent tells nothing, and the doubt stays.
    let probe = user.enqueue("probe_action", payload.clone()).await;
    let told = world.settled(probe, |command| command.settled_at.is_some()).await;
    assert_eq!(told.result.as_ref().map(|result| &result["outcome"]), Some(&json!("IN_DOUBT")), "{told:?}");
    world.clear_faults().await;
    let probe = user.enqueue("probe_action", payload.clone()).await;
    let BotEvent::ActionReconciled { settlement, evidence, .. } = user.event("ActionReconciled").await else {
        unreachable!()
    };
    assert_eq!((settlement, evidence.as_str()), (Settlement::Performed, "a probe: READ_TEXT"));
    let told = world.settled(probe, |command| command.settled_at.is_some()).await;
    assert_eq!(told.result, Some(json!({ "outcome": "PERFORMED", "finding": "READ_TEXT" })));
    assert_eq!(user.requests("POST /direct/message").await, 1);
    let again = user.enqueue("probe_action", payload).await;
    let told = world.settled(again, |command| command.settled_at.is_some()).await;
    assert_eq!(told.result, Some(json!({ "outcome": "SETTLED_BEFORE" })));
    world.projected().await;
    let counted = user.counters(Mode::Live).await;
    assert_eq!((counted.performed, counted.in_doubt, counted.open), (1, 0, 0));
    workers.stop().await;
}
