//! Reactors: what they ask of the workers, once, and what they take back.

use domain::bot::{BotCommand, Mode};
use domain::ids::BotId;
use domain::job::Origin;
use projections::reactor::accounts::Accounts;
use projections::reactor::automation::{Automation, run_of};
use projections::reactor::work::{CAMPAIGN_RUN, Work};
use serde_json::Value;
use store::command_queue::NewCommand;

use crate::support::life::{Life, campaign};
use crate::support::{World, at};

/// A command as the queue has it.
type Row = (String, Value, String, Option<String>);

async fn commands(world: &World, bot_id: BotId) -> Vec<Row> {
    sqlx::query_as(
        "SELECT kind, payload, status, reason
           FROM commands
          WHERE bot_id = $1
          ORDER BY not_before, kind, command_id",
    )
    .bind(bot_id.uuid())
    .fetch_all(world.pool())
    .await
    .expect("the query runs")
}

async fn react(world: &World) {
    world.runner(Accounts::new(world.queue.clone())).catch_up().await.expect("it reacts");
    world.runner(Automation::new(world.queue.clone())).catch_up().await.expect("it reacts");
}

async fn written(world: &World, name: &str, events: &[domain::bot::BotEvent]) {
    world.append("Bot", &Life::of(name).id(), events).await;
}

#[tokio::test]
async fn requested_login_and_test_become_one_command_each() {
    let world = World::create().await;
    let mut life = Life::of("ada");
    written(&world, "ada", &life.link()).await;
    written(&world, "ada", &life.log_in()).await;
    let asked = life.tell(&world, BotCommand::RequestConnectionTest { at: at(life.now) }).await;
    assert_eq!(asked.len(), 1);
    react(&world).await;

    let found = commands(&world, life.bot_id).await;
    let work: Vec<_> = found
        .iter()
        .map(|(kind, payload, status, _)| {
            assert_eq!(status, "PENDING");
            Work::decode(kind, payload.clone()).expect("it reads")
        })
        .collect();
    let password = life.bot.account().expect("it is linked").password;
    assert_eq!(work, [Work::Login { attempt: 1, password, verification_code: None }, Work::TestConnection {}]);
}

#[tokio::test]
async fn command_carries_on_what_led_to_it() {
    let world = World::create().await;
    let mut life = Life::of("ada");
    written(&world, "ada", &life.link()).await;
    let asked = life.tell(&world, BotCommand::RequestLogin { verification_code: None, at: at(life.now) }).await;
    assert_eq!(asked.len(), 1);
    react(&world).await;
    let agrees: bool = world
        .value(
            "SELECT commands.causation_id = events.event_id
                    AND commands.correlation_id::text = events.metadata ->> 'correlation_id'
                    AND commands.actor = events.metadata ->> 'actor'
                    AND commands.not_before = events.recorded_at
               FROM commands, events
              WHERE events.event_type = 'LoginRequested'",
        )
        .await;
    assert!(agrees);
}

#[tokio::test]
async fn event_that_is_seen_twice_asks_once() {
    let world = World::create().await;
    let (life, events) = Life::running("ada");
    written(&world, "ada", &events).await;
    react(&world).await;
    let before = commands(&world, life.bot_id).await;
    assert_eq!(before.len(), 2);
    world.execute("UPDATE projection_checkpoints SET position = 0 WHERE projection LIKE 'reactor%'").await;
    react(&world).await;
    assert_eq!(commands(&world, life.bot_id).await, before);
}

#[tokio::test]
async fn enabling_begins_one_run_for_each_campaign() {
    let world = World::create().await;
    let (life, events) = Life::running("ada");
    written(&world, "ada", &events).await;
    react(&world).await;
    let enablement_id = life.bot.enablement().expect("it is on").enablement_id;
    let found = commands(&world, life.bot_id).await;
    let runs: Vec<_> = found.iter().filter(|(kind, ..)| kind == "start_job").collect();
    assert_eq!(runs.len(), 1);
    let work = Work::decode(&runs[0].0, runs[0].1.clone()).expect("it reads");
    let Work::StartJob { job_id, workflow, input, origin } = work else { panic!("{work:?}") };
    assert_eq!((job_id, workflow.as_str()), (run_of(enablement_id, campaign()), CAMPAIGN_RUN));
    assert_eq!(input, serde_json::json!({ "campaign_id": campaign(), "enablement_id": enablement_id }));
    assert!(matches!(origin, Origin::Campaign { campaign_id, .. } if campaign_id == campaign()));
}

/// Work that a worker planned.
fn planned(life: &Life, work: &Work, name: &str) -> NewCommand {
    let id = domain::ids::derive(&["planned", name]);
    NewCommand {
        id,
        bot_id: life.bot_id,
        kind: work.kind().to_owned(),
        payload: work.payload(),
        dedupe_key: None,
        group_key: None,
        priority: work.priority(),
        not_before: at(life.now),
        max_attempts: 3,
        correlation_id: id,
        causation_id: id,
        actor: "worker:test".to_owned(),
    }
}

/// How automation ends at a second.
type End = fn(i64) -> BotCommand;

#[tokio::test]
async fn every_end_of_automation_cancels_what_waits() {
    let ends: [(&str, End); 5] = [
        ("disabled", |now| BotCommand::DisableAutomation { reason: "enough".to_owned(), at: at(now) }),
        ("logged out", |now| BotCommand::Logout { at: at(now) }),
        ("session", |now| BotCommand::RecordSessionExpired { code: "LOGIN_REQUIRED".to_owned(), at: at(now) }),
        ("person", |now| BotCommand::RaiseChallenge { kind: "CHECKPOINT".to_owned(), at: at(now) }),
        ("failed", |now| BotCommand::FailBot { reason: "broken".to_owned(), at: at(now) }),
    ];
    let world = World::create().await;
    for (word, end) in ends {
        let (mut life, events) = Life::running(word);
        written(&world, word, &events).await;
        react(&world).await;
        let settle = Work::SettleAction { action_id: domain::ids::ActionId::from_uuid(domain::ids::derive(&[word])) };
        let settle = planned(&life, &settle, &format!("{word} settle"));
        world.queue.enqueue(&[settle]).await.expect("it is enqueued");
        life.tell(&world, end(life.now)).await;
        react(&world).await;

        for (kind, _, status, reason) in commands(&world, life.bot_id).await {
            if kind == "start_job" {
                assert_eq!(status, "CANCELLED", "{word}: {kind}");
                assert!(reason.is_some_and(|reason| reason.contains(word)), "{word}: {kind} says why");
            } else {
                assert_eq!(status, "PENDING", "{word}: {kind}");
            }
        }
        let found = commands(&world, life.bot_id).await;
        let told = found.iter().filter(|(kind, ..)| kind == "cancel_jobs").map(|(_, payload, ..)| payload);
        let reasons: Vec<&str> = told.filter_map(|payload| payload["reason"].as_str()).collect();
        assert!(reasons.len() == 1 && reasons[0].contains(word), "{word}: {reasons:?}");
    }
}

#[tokio::test]
async fn resuming_tells_the_jobs_of_the_bot() {
    let world = World::create().await;
    let (mut life, events) = Life::running("ada");
    written(&world, "ada", &events).await;
    life.tell(&world, BotCommand::PauseAutomation { reason: "later".to_owned(), at: at(life.now) }).await;
    react(&world).await;
    let told = |found: Vec<Row>| found.into_iter().filter(|(kind, ..)| kind == "signal_jobs").count();
    assert_eq!(told(commands(&world, life.bot_id).await), 0);
    life.tell(&world, BotCommand::ResumeAutomation { at: at(life.now) }).await;
    react(&world).await;
    assert_eq!(told(commands(&world, life.bot_id).await), 1);
}

#[tokio::test]
async fn enabling_again_after_a_disable_begins_a_run_of_its_own() {
    let world = World::create().await;
    let (mut life, events) = Life::running("ada");
    written(&world, "ada", &events).await;
    life.tell(&world, BotCommand::DisableAutomation { reason: "enough".to_owned(), at: at(life.now) }).await;
    written(&world, "ada", &life.enable(Mode::Live)).await;
    react(&world).await;
    let found = commands(&world, life.bot_id).await;
    let statuses: Vec<_> =
        found.iter().filter(|(kind, ..)| kind == "start_job").map(|(_, _, status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["CANCELLED", "PENDING"]);
}

#[tokio::test]
async fn leaving_the_account_asks_to_forget_its_secrets() {
    let world = World::create().await;
    let (mut life, events) = Life::running("ada");
    written(&world, "ada", &events).await;
    life.tell(&world, BotCommand::Logout { at: at(life.now) }).await;
    life.tell(&world, BotCommand::UnlinkAccount { at: at(life.now) }).await;
    react(&world).await;
    let found = commands(&world, life.bot_id).await;
    assert_eq!(found.iter().filter(|(kind, ..)| kind == "erase_secrets").count(), 2);
}

#[tokio::test]
async fn reactor_without_a_checkpoint_asks_for_nothing_that_was_before_it() {
    let world = World::create().await;
    world.execute("DELETE FROM projection_checkpoints").await;
    let (mut life, events) = Life::running("ada");
    written(&world, "ada", &events).await;
    react(&world).await;
    assert_eq!(commands(&world, life.bot_id).await, []);
    life.tell(&world, BotCommand::RequestConnectionTest { at: at(life.now) }).await;
    react(&world).await;
    assert_eq!(commands(&world, life.bot_id).await.len(), 1);
}
