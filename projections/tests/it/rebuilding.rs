//! Rebuilds: equal to what is live, able to find and repair damage while writers go on, and to be undone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::bot::BotState;
use projections::bot_status::{self, BotStatuses};
use projections::rebuild::{Phase, silent};
use projections::users::Users;
use projections::{Projections, Rebuild, catalogue};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::World;
use crate::support::life::Life;
use crate::support::walk::Dice;

const SOON: Duration = Duration::from_secs(30);

async fn with_lives(count: u64) -> (World, Vec<Life>) {
    let world = World::create().await;
    let mut lives = Vec::new();
    for seed in 0..count {
        let mut life = Life::of(&seed.to_string());
        let mut dice = Dice::new(seed + 100);
        let mut events = Vec::new();
        for _ in 0..400 {
            let command = life.anything(&mut dice);
            events.extend(life.ask(command));
        }
        world.append("Bot", &life.id(), &events).await;
        lives.push(life);
    }
    (world, lives)
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuild_is_equal_to_what_is_live() {
    let (world, _) = with_lives(6).await;
    // Some poison, which both sides must park.
    world.append_raw("Bot", "nobody", "Nonsense", &json!({})).await;
    world.catch_up().await;
    for projection in catalogue::read_models() {
        let name = projection.name();
        let rebuild = Rebuild::new(world.pool(), projection, 0);
        let report = rebuild.verify(silent()).await.unwrap_or_else(|error| panic!("{name}: {}", error.reason()));
        assert!(report.agrees(), "{name}: {report:?}");
        assert!(!report.swapped);
        assert_eq!(report.parked_live, report.parked_rebuilt, "{name}");
        let swapped = rebuild.swap(silent()).await.unwrap_or_else(|error| panic!("{name}: {}", error.reason()));
        assert!(swapped.agrees() && swapped.swapped, "{name}: {swapped:?}");
    }
    let rows: i64 = world.value("SELECT count(*) FROM actions").await;
    assert!(rows > 10, "there was something to compare");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rebuild%'").await, 0);
}

#[tokio::test]
async fn verify_names_every_kind_of_damage_and_changes_nothing() {
    let (world, lives) = with_lives(4).await;
    world.catch_up().await;
    let (missing, wrong) = (lives[0].bot_id, lives[1].bot_id);
    world.execute(&format!("DELETE FROM bot_status WHERE bot_id = '{missing}'")).await;
    world.execute(&format!("UPDATE bot_status SET state = 'PAUSED', reason = 'x' WHERE bot_id = '{wrong}'")).await;
    world
        .execute(
            "INSERT INTO bot_status (bot_id, state, login_attempt, login_failures, two_factor_pending, kind_blocks,
                                     stopped_modules, last_sequence, created_at, updated_at)
             VALUES (gen_random_uuid(), 'LOGGED_OUT', 0, 0, false, '{}', '{}', 1, now(), now())",
        )
        .await;
    let rebuild = Rebuild::new(world.pool(), Arc::new(BotStatuses), 0);
    for _ in 0..2 {
        let report = rebuild.verify(silent()).await.expect("it runs");
        assert!(!report.agrees());
        let table = &report.tables.expect("the shapes are the same")[0];
        assert_eq!((table.missing, table.surplus, table.differing), (1, 1, 1));
        assert_eq!((table.live_rows, table.rebuilt_rows), (4, 4));
        let sample =
            table.samples.iter().find(|sample| sample.key["bot_id"] == json!(wrong)).expect("the damaged row is shown");
        let live = sample.live.as_ref().expect("it is there");
        let expected = sample.rebuilt.as_ref().expect("it should be there");
        assert_eq!(live.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert_eq!(live["reason"], "x");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_repaired_while_writers_go_on() {
    let (world, lives) = with_lives(4).await;
    let world = Arc::new(world);
    world.catch_up().await;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let all = catalogue::all(&world.queue);
    let running = Projections::start(all, world.pool(), &world.log(), &tasks, &stop);
    tasks.close();

    let wrong = lives[2].bot_id;
    let right = lives[2].bot.state();
    world.execute(&format!("UPDATE bot_status SET state = 'NOT_INITIALIZED' WHERE bot_id = '{wrong}'")).await;
    let go_on = Arc::new(AtomicBool::new(true));
    let (started, has_started) = tokio::sync::oneshot::channel();
    let writer = tokio::spawn({
        let (world, go_on, running) = (Arc::clone(&world), Arc::clone(&go_on), running.clone());
        async move {
            let mut written = 0_u32;
            let mut started = Some(started);
            while go_on.load(Ordering::Relaxed) {
                let (life, events) = Life::running(&format!("writer {written}"));
                let last = world.append("Bot", &life.id(), &events).await.last_position;
                // As fast as the projection takes it, so that the test ends on any machine.
                running.wait_until("bot_status", last, SOON).await.expect("the projection goes on");
                written += 1;
                if let Some(started) = started.take_if(|_| written == 20) {
                    let _ = started.send(());
                }
            }
            written
        }
    });
    has_started.await.expect("the writer writes");

    let phases = Arc::new(Mutex::new(Vec::new()));
    let on_progress = {
        let phases = Arc::clone(&phases);
        Arc::new(move |progress: projections::Progress| {
            phases.lock().expect("no holder panicked").push((progress.phase, progress.position, progress.target));
        })
    };
    let report = Rebuild::new(world.pool(), Arc::new(BotStatuses), 0).swap(on_progress).await.expect("it runs");
    let table = &report.tables.as_ref().expect("the shapes are the same")[0];
    assert_eq!((table.missing, table.surplus, table.differing), (0, 0, 1), "only the damage differs");
    assert!(report.swapped);
    let status = bot_status::of_bot(world.pool(), wrong).await.expect("the query runs").expect("a row");
    assert_eq!(status.state, right);

    go_on.store(false, Ordering::Relaxed);
    let written = writer.await.expect("the writer ends");
    assert!(written >= 20);
    let last: i64 = world.value("SELECT head FROM shards").await;
    running.wait_until("bot_status", last, SOON).await.expect("the projection goes on after the swap");
    let running_bots: i64 =
        world.value("SELECT count(*) FROM bot_status WHERE last_sequence = 7 AND state = 'RUNNING'").await;
    assert!(running_bots >= i64::from(written), "{running_bots} of {written}");
    let again = Rebuild::new(world.pool(), Arc::new(BotStatuses), 0).verify(silent()).await.expect("it runs");
    assert!(again.agrees(), "{again:?}");

    let phases = phases.lock().expect("no holder panicked").clone();
    for phase in [Phase::Building, Phase::Comparing, Phase::Swapping] {
        assert!(phases.iter().any(|(seen, ..)| *seen == phase), "{phase:?} is told");
    }
    assert!(phases.iter().all(|(_, position, target)| position <= target));
    stop.cancel();
    tasks.wait().await;
}

#[tokio::test]
async fn swap_can_be_undone() {
    let (world, lives) = with_lives(3).await;
    world.catch_up().await;
    world.execute("UPDATE bot_status SET state = 'NOT_INITIALIZED'").await;
    let rebuild = Rebuild::new(world.pool(), Arc::new(BotStatuses), 0);
    rebuild.swap(silent()).await.expect("it runs");
    let swapped_at: i64 = world.value("SELECT head FROM shards").await;
    let (later, events) = Life::running("later");
    world.append("Bot", &later.id(), &events).await;
    world.runner(BotStatuses).catch_up().await.expect("it goes on");

    let position = rebuild.restore().await.expect("it runs");
    assert_eq!(position, swapped_at);
    let status = bot_status::of_bot(world.pool(), lives[0].bot_id).await.expect("the query runs").expect("a row");
    assert_eq!(status.state, BotState::NotInitialized, "the earlier rows are back, as they were");
    assert!(bot_status::of_bot(world.pool(), later.bot_id).await.expect("the query runs").is_none());
    world.runner(BotStatuses).catch_up().await.expect("it goes on from there");
    assert!(bot_status::of_bot(world.pool(), later.bot_id).await.expect("the query runs").is_some());
    let again = rebuild.restore().await.expect_err("there is nothing more");
    assert_eq!(again.code(), "PROJECTION_NOTHING_TO_RESTORE");
}

#[tokio::test]
async fn swapped_tables_keep_their_constraints_indexes_options_and_grants() {
    let (world, _) = with_lives(1).await;
    world.catch_up().await;
    world.execute("GRANT SELECT ON bot_status TO PUBLIC").await;
    let shapes = "SELECT string_agg(definition, E'\\n' ORDER BY definition)
                    FROM (SELECT indexdef AS definition FROM pg_indexes WHERE schemaname = 'public'
                          UNION ALL
                          SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
                            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
                          UNION ALL
                          SELECT relname || ' ' || coalesce(reloptions::text, '') || ' ' || coalesce(relacl::text, '')
                            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
                          UNION ALL
                          SELECT format('%s.%s %s %s', table_name, column_name, data_type, generation_expression)
                            FROM information_schema.columns WHERE table_schema = 'public') AS shapes";
    let before: String = world.value(shapes).await;
    for projection in catalogue::read_models() {
        Rebuild::new(world.pool(), projection, 0).swap(silent()).await.expect("it runs");
    }
    let after: String = world.value(shapes).await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn second_rebuild_of_a_projection_is_refused_while_one_runs() {
    let (world, _) = with_lives(1).await;
    world.catch_up().await;
    let refused = Arc::new(Mutex::new(None));
    let (pool, seen) = (world.pool().clone(), Arc::clone(&refused));
    let (ask, asked) = std::sync::mpsc::channel();
    let second = std::thread::spawn({
        let pool = pool.clone();
        let handle = tokio::runtime::Handle::current();
        move || {
            asked.recv().expect("the first one is under way");
            let code = handle.block_on(async {
                let other = Rebuild::new(&pool, Arc::new(BotStatuses), 0).verify(silent()).await;
                other.map_or_else(|error| error.code(), |_| "none")
            });
            *seen.lock().expect("no holder panicked") = Some(code);
        }
    });
    let told = AtomicBool::new(false);
    let on_progress = Arc::new(move |_| {
        if !told.swap(true, Ordering::Relaxed) {
            ask.send(()).expect("the second one waits");
        }
    });
    let first = Rebuild::new(world.pool(), Arc::new(BotStatuses), 0).swap(on_progress).await;
    assert!(first.is_ok());
    tokio::task::spawn_blocking(move || second.join()).await.expect("it ends").expect("it ends");
    let code = *refused.lock().expect("no holder panicked");
    assert_eq!(code, Some("PROJECTION_REBUILD_RUNNING"));
}

#[tokio::test]
async fn reactor_is_never_rebuilt() {
    let world = World::create().await;
    for projection in catalogue::reactors(&world.queue) {
        let rebuild = Rebuild::new(world.pool(), projection, 0);
        for refused in [rebuild.verify(silent()).await, rebuild.swap(silent()).await] {
            assert_eq!(refused.expect_err("it is a reactor").code(), "PROJECTION_NOT_REBUILDABLE");
        }
    }
}

#[tokio::test]
async fn rebuild_takes_a_parked_stream_that_reads_by_now() {
    let world = World::create().await;
    let life = Life::of("ada").bot_id.owner();
    let register = domain::user::UserEvent::UserRegistered {
        user_id: life,
        username: "ada".to_owned(),
        role: domain::user::Role::User,
        credential_id: domain::ids::CredentialId::from_uuid(life.uuid()),
        must_change_password: false,
        at: crate::support::at(0),
    };
    world
        .execute(
            "INSERT INTO users (user_id, username, role, active, must_change_password, credential_id, created_at, updated_at)
             VALUES (gen_random_uuid(), 'ada', 'USER', true, false, gen_random_uuid(), now(), now())",
        )
        .await;
    world.append("User", &life.to_string(), &[register]).await;
    world.runner(Users).catch_up().await.expect("it goes on");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM projection_parked").await, 1);
    let report = Rebuild::new(world.pool(), Arc::new(Users), 0).swap(silent()).await.expect("it runs");
    assert_eq!((report.parked_live, report.parked_rebuilt), (1, 0));
    assert_eq!(world.value::<i64>("SELECT count(*) FROM projection_parked").await, 0);
    let user = projections::users::by_username(world.pool(), "ada").await.expect("the query runs").expect("a row");
    assert_eq!(user.user_id, life);
}
