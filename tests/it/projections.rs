//! `reprise projections` as a person meets it: what it says of a damaged view, how it mends one, and its exit status.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::ids::{CredentialId, RequestId, UserId, derive};
use domain::metadata::{Actor, Metadata};
use domain::user::{Role, User, UserCommand};
use projections::{Log, Runner, catalogue};
use store::command_bus::CommandBus;
use store::repository::{DEFAULT_SHARD, PostgresRepository, RepositoryConfig};
use store::testing::TestDatabase;
use store::wakeup::Wakeup;
use store::writer::{Writer, WriterConfig};

use crate::support::binary::{Done, reprise, run};

/// Registers people and brings the views up to it.
async fn register(database: &TestDatabase, names: &[&str]) {
    let pool = database.pool().clone();
    let writer = Writer::register(&pool, WriterConfig::named("test")).await.expect("a writer registers");
    let wakeup = Wakeup::in_process();
    let repository = PostgresRepository::start(pool.clone(), writer, wakeup.clone(), &RepositoryConfig::default());
    let bus = CommandBus::new(Arc::new(repository.clone()), None);
    let at = DateTime::<Utc>::UNIX_EPOCH;
    for name in names {
        let user_id = UserId::from_uuid(derive(&["user", name]));
        let command = UserCommand::Register {
            user_id,
            username: (*name).to_owned(),
            role: Role::User,
            credential_id: CredentialId::from_uuid(derive(&["credential", name])),
            must_change_password: false,
            at,
        };
        let request = RequestId::from_uuid(derive(&["request", name]));
        let metadata = Metadata::root(request, Actor::System("test".to_owned()), at);
        bus.execute::<User>(&user_id.to_string(), command, &metadata).await.expect("it is registered");
    }
    let log = Log { repository: Arc::new(repository), wakeup, shard: DEFAULT_SHARD };
    for projection in catalogue::read_models() {
        Runner::new(projection, pool.clone(), log.clone()).catch_up().await.expect("it catches up");
    }
}

async fn execute(database: &TestDatabase, sql: &str) {
    sqlx::query(sql).execute(database.pool()).await.expect("the statement runs");
}

async fn projections(database: &TestDatabase, arguments: &[&str]) -> Done {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = reprise(folder.path(), &["projections"]);
    command.args(arguments).env("DATABASE_URL", database.url());
    tokio::task::spawn_blocking(move || run(&mut command)).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_mended_and_the_mending_undone() {
    let database = TestDatabase::create().await;
    register(&database, &["ada", "bob"]).await;
    let sound = projections(&database, &["verify"]).await;
    assert_eq!(sound.status, 0, "{}{}", sound.stdout, sound.stderr);
    execute(&database, "UPDATE users SET role = 'ADMIN' WHERE username = 'bob'").await;

    let found = projections(&database, &["verify", "users", "--json"]).await;
    assert_eq!(found.status, 1);
    let table = &found.json()[0]["tables"][0];
    assert_eq!((table["differing"].as_i64(), table["missing"].as_i64()), (Some(1), Some(0)));
    assert_eq!(table["samples"][0]["live"]["role"], "ADMIN");
    assert_eq!(table["samples"][0]["rebuilt"]["role"], "USER");
    let told = projections(&database, &["verify", "users"]).await;
    assert!(told.stdout.contains("DIFFERS") && told.stdout.contains("role=\"ADMIN\""), "{}", told.stdout);

    let mended = projections(&database, &["rebuild", "users"]).await;
    assert_eq!(mended.status, 0, "{}{}", mended.stdout, mended.stderr);
    assert_eq!(projections(&database, &["verify", "users"]).await.status, 0);

    let undone = projections(&database, &["restore", "users", "--json"]).await;
    assert_eq!(undone.status, 0, "{}{}", undone.stdout, undone.stderr);
    assert_eq!(projections(&database, &["verify", "users"]).await.status, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_parked_streams_and_retry_takes_them_back() {
    let database = TestDatabase::create().await;
    execute(
        &database,
        "INSERT INTO users (user_id, username, role, active, must_change_password, credential_id, created_at, updated_at)
         VALUES (gen_random_uuid(), 'ada', 'USER', true, false, gen_random_uuid(), now(), now())",
    )
    .await;
    register(&database, &["ada"]).await;
    let status = projections(&database, &["status", "--json"]).await;
    assert_eq!(status.status, 0, "{}{}", status.stdout, status.stderr);
    let status = status.json();
    let users = status["projections"].as_array().expect("a list").iter().find(|row| row["projection"] == "users");
    assert_eq!(users.expect("it is there")["parked_streams"], 1);
    assert_eq!(status["parked"][0]["code"], "PROJECTION_DATABASE");

    assert_eq!(projections(&database, &["retry"]).await.status, 1);
    execute(&database, "DELETE FROM users").await;
    let retried = projections(&database, &["retry", "users", "--json"]).await;
    assert_eq!(retried.status, 0, "{}{}", retried.stdout, retried.stderr);
    assert_eq!(retried.json()[0]["applied"], 1);
    assert_eq!(projections(&database, &["verify", "users"]).await.status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_names_are_errors_that_say_what_to_do() {
    let database = TestDatabase::create().await;
    let unknown = projections(&database, &["verify", "usres", "--json"]).await;
    assert_eq!(unknown.status, 64);
    assert_eq!(unknown.json()["error"]["code"], "PROJECTION_UNKNOWN");
    let reactor = projections(&database, &["rebuild", "reactor_accounts", "--json"]).await;
    assert_eq!(reactor.status, 64);
    assert_eq!(reactor.json()["error"]["code"], "PROJECTION_NOT_REBUILDABLE");
    let nothing = projections(&database, &["restore", "users", "--json"]).await;
    assert_eq!(nothing.status, 65);
    assert_eq!(nothing.json()["error"]["code"], "PROJECTION_NOTHING_TO_RESTORE");
}
