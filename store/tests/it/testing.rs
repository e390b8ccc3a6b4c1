//! The databases that tests get are migrated, apart from each other, and gone afterwards.

use std::process::ExitCode;

use sqlx::Row;
use store::testing::{TestDatabase, TestServer, TestingError, run_with_server};

async fn names_like(database: &TestDatabase, name: &str) -> i64 {
    sqlx::query("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_one(database.pool())
        .await
        .expect("the catalogue is readable")
        .get(0)
}

async fn current_name(database: &TestDatabase) -> String {
    sqlx::query("SELECT current_database()::text")
        .fetch_one(database.pool())
        .await
        .expect("the database answers")
        .get(0)
}

#[tokio::test]
async fn test_database_has_every_migration() {
    let database = TestDatabase::create().await;
    let applied: i64 = sqlx::query("SELECT count(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(database.pool())
        .await
        .expect("it is migrated")
        .get(0);
    assert!(applied > 0);
    store::migrate(database.pool()).await.expect("nothing is left to migrate");
}

#[tokio::test]
async fn test_databases_do_not_see_each_other() {
    let (one, other) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    sqlx::query("CREATE TABLE only_here (id int)").execute(one.pool()).await.expect("a table can be made");
    let seen: Option<String> = sqlx::query("SELECT to_regclass('only_here')::text")
        .fetch_one(other.pool())
        .await
        .expect("the database answers")
        .get(0);
    assert_eq!(seen, None);
}

#[tokio::test]
async fn dropped_test_database_is_gone_even_while_connected() {
    let witness = TestDatabase::create().await;
    let database = TestDatabase::create().await;
    let name = current_name(&database).await;
    assert_eq!(names_like(&witness, &name).await, 1);
    let open = database.another_pool(1).acquire().await.expect("a connection");
    drop(database);
    assert_eq!(names_like(&witness, &name).await, 0);
    drop(open);
}

#[tokio::test]
async fn url_of_a_test_database_leads_to_it() {
    let database = TestDatabase::create().await;
    let pool = sqlx::PgPool::connect(&database.url()).await.expect("the URL works");
    let name: String =
        sqlx::query("SELECT current_database()::text").fetch_one(&pool).await.expect("the database answers").get(0);
    assert_eq!(name, current_name(&database).await);
    pool.close().await;
}

#[tokio::test]
async fn killed_test_server_starts_again_with_what_was_acknowledged() {
    let mut server = TestServer::start().await;
    let pool = server.pool(1);
    for statement in ["CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (7)"] {
        sqlx::query(statement).execute(&pool).await.expect("it is written");
    }
    server.kill().await;
    server.restart().await;
    let kept: i32 =
        sqlx::query("SELECT id FROM kept").fetch_one(&server.pool(1)).await.expect("it is still there").get(0);
    assert_eq!(kept, 7);
    server.stop().await;
}

async fn run(command: &[&str]) -> Result<ExitCode, TestingError> {
    run_with_server(command.iter().map(Into::into).collect()).await
}

#[tokio::test]
async fn command_beside_a_server_gets_its_url_and_gives_its_exit_code() {
    let script = r#"[ "${REPRISE_TEST_DATABASE_URL#postgres://}" != "$REPRISE_TEST_DATABASE_URL" ] && exit 42"#;
    let code = run(&["sh", "-c", script]).await.expect("the command runs");
    assert_eq!(code, ExitCode::from(42));
}

#[tokio::test]
async fn command_that_does_not_exist_is_named() {
    let error = run(&["no-such-command-here"]).await.expect_err("there is none");
    assert_eq!(error.code(), "TESTING_COMMAND_FAILED");
    assert!(error.to_string().contains("no-such-command-here"));
}
