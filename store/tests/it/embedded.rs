//! The private PostgreSQL survives every way in which it or its owner can end, and says what is wrong otherwise.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::{Connection, PgConnection, Row};
use store::embedded::{EmbeddedConfig, EmbeddedError, EmbeddedPostgres};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

/// A folder that the server's user can reach.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = fs::Permissions::from_mode(0o711);
    fs::set_permissions(folder.path(), mode).expect("it is ours");
    folder
}

fn quick(data_dir: &Path) -> EmbeddedConfig {
    EmbeddedConfig { durable: false, ..EmbeddedConfig::new(data_dir) }
}

async fn start(data_dir: &Path) -> EmbeddedPostgres {
    EmbeddedPostgres::start(quick(data_dir)).await.expect("it starts")
}

async fn refusal(config: EmbeddedConfig) -> EmbeddedError {
    EmbeddedPostgres::start(config).await.expect_err("it does not start")
}

async fn ask(postgres: &EmbeddedPostgres, question: &str) -> String {
    let mut connection = PgConnection::connect(&postgres.url()).await.expect("it answers");
    let answer = sqlx::query(question).fetch_one(&mut connection).await;
    answer.expect("the question is good").get(0)
}

async fn execute(postgres: &EmbeddedPostgres, statement: &str) {
    let mut connection = PgConnection::connect(&postgres.url()).await.expect("it answers");
    sqlx::query(statement).execute(&mut connection).await.expect("the statement is good");
}

async fn stop(postgres: EmbeddedPostgres) {
    postgres.stop().await.expect("it stops");
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("the process is there");
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

#[tokio::test]
async fn new_server_is_durable_private_and_checks_its_pages() {
    let folder = folder();
    let data_dir = folder.path().join("postgres");
    let postgres = EmbeddedPostgres::start(EmbeddedConfig::new(&data_dir)).await.expect("it starts");
    let settings = [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ];
    for (name, expected) in settings {
        assert_eq!(ask(&postgres, &format!("SHOW {name}")).await, expected, "{name}");
    }
    assert_eq!(ask(&postgres, "SELECT current_database()::text").await, "reprise");
    let socket = fs::metadata(data_dir.join("socket")).expect("it has a socket folder");
    assert_eq!(socket.mode() & 0o777, 0o700);
    stop(postgres).await;
    assert!(!data_dir.join("cluster/postmaster.pid").exists(), "it stopped in order");
}

#[tokio::test]
async fn server_keeps_what_it_had_over_a_restart_and_starts_fast() {
    let folder = folder();
    let first = start(folder.path()).await;
    execute(&first, "CREATE TABLE kept AS SELECT 'here' AS what").await;
    stop(first).await;
    let started = Instant::now();
    let second = start(folder.path()).await;
    assert!(started.elapsed() < Duration::from_secs(3), "took {:?}", started.elapsed());
    assert_eq!(ask(&second, "SELECT what FROM kept").await, "here");
    stop(second).await;
}

#[tokio::test]
async fn killed_server_recovers_and_its_lock_files_are_no_obstacle() {
    let folder = folder();
    let first = start(folder.path()).await;
    execute(&first, "CREATE TABLE kept AS SELECT 'here' AS what").await;
    let pid = first.process_id();
    signal(pid, Signal::SIGKILL);
    first.exited().await;
    let pid_file = folder.path().join("cluster/postmaster.pid");
    assert!(pid_file.exists(), "a killed server leaves its lock file");
    // As if the id had gone to another living process of the same user meanwhile.
    let content = fs::read_to_string(&pid_file).expect("it is readable");
    let reused = content.replacen(&pid.to_string(), &std::process::id().to_string(), 1);
    fs::write(&pid_file, reused).expect("it is writable");
    let second = start(folder.path()).await;
    assert_eq!(ask(&second, "SELECT what FROM kept").await, "here");
    stop(second).await;
}

#[tokio::test]
async fn second_start_on_the_same_data_names_the_holder() {
    let folder = folder();
    let first = start(folder.path()).await;
    let error = refusal(quick(folder.path())).await;
    assert_eq!(error.code(), "POSTGRES_DATA_IN_USE");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    assert_eq!(ask(&first, "SELECT 'undisturbed'").await, "undisturbed");
    stop(first).await;
}

#[tokio::test]
async fn dropped_server_ends_by_itself_and_gives_the_data_directory_up() {
    let folder = folder();
    let first = start(folder.path()).await;
    let pid = first.process_id();
    drop(first);
    until("the end of the dropped server", || !is_alive(pid)).await;
    let started = Instant::now();
    // Its thread gives the lock up a moment after the end.
    let second = loop {
        match EmbeddedPostgres::start(quick(folder.path())).await {
            Ok(second) => break second,
            Err(EmbeddedError::InUse { .. }) if started.elapsed() < DEADLINE => {}
            Err(error) => panic!("{error}"),
        }
    };
    stop(second).await;
}

/// Runs `owner_of_a_server` in a process of its own, which then can be killed.
fn owner_process(data_dir: &Path) -> Child {
    Command::new(std::env::current_exe().expect("we run"))
        .args(["--exact", "embedded::owner_of_a_server", "--ignored", "--nocapture"])
        .env("REPRISE_TEST_OWNED_DATA_DIR", data_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("we can run ourselves")
}

#[tokio::test]
#[ignore = "run by other tests as a process to kill"]
async fn owner_of_a_server() {
    let Some(data_dir) = std::env::var_os("REPRISE_TEST_OWNED_DATA_DIR") else { return };
    let data_dir = PathBuf::from(data_dir);
    let postgres = start(&data_dir).await;
    execute(&postgres, "CREATE TABLE kept AS SELECT 'here' AS what").await;
    let mut session = PgConnection::connect(&postgres.url()).await.expect("it answers");
    let ready = Owned { server: postgres.process_id(), session: backend_of(&mut session).await };
    let ready = format!("{} {}\n", ready.server, ready.session);
    fs::write(data_dir.join("owner.ready"), ready).expect("it is writable");
    let ended = tokio::time::timeout(DEADLINE * 4, postgres.exited()).await;
    ended.expect("somebody kills us first");
}

/// The processes of a server that another process owns.
struct Owned {
    server: u32,
    session: u32,
}

async fn owned_server(data_dir: &Path) -> (Child, Owned) {
    let owner = owner_process(data_dir);
    let ready = data_dir.join("owner.ready");
    let mut content = String::new();
    until("a server in another process", || {
        content = fs::read_to_string(&ready).unwrap_or_default();
        content.ends_with('\n')
    })
    .await;
    let mut pids = content.split_whitespace().flat_map(str::parse);
    let mut next = || pids.next().expect("the owner wrote it");
    (owner, Owned { server: next(), session: next() })
}

async fn backend_of(session: &mut PgConnection) -> u32 {
    let answer = sqlx::query("SELECT pg_backend_pid()").fetch_one(session).await;
    let pid: i32 = answer.expect("it answers").get(0);
    pid.cast_unsigned()
}

fn kill_owner(mut owner: Child) {
    owner.kill().expect("it is ours");
    owner.wait().expect("it is ours");
}

#[tokio::test]
async fn server_dies_with_its_killed_owner_and_the_next_start_waits_it_out() {
    let folder = folder();
    let (owner, left) = owned_server(folder.path()).await;
    kill_owner(owner);
    // No wait here: the server is still on its way down.
    let next = start(folder.path()).await;
    assert!(!is_alive(left.server), "the first server is gone");
    assert_eq!(ask(&next, "SELECT what FROM kept").await, "here");
    stop(next).await;
}

#[tokio::test]
async fn living_server_of_a_dead_owner_is_waited_for_with_a_limit_and_left_alone() {
    let folder = folder();
    let (owner, left) = owned_server(folder.path()).await;
    // A stopped session keeps the server, which is told of its owner's death, from ending.
    signal(left.session, Signal::SIGSTOP);
    kill_owner(owner);
    let limit = Duration::from_millis(200);
    let error = refusal(EmbeddedConfig { leftover_limit: limit, ..quick(folder.path()) }).await;
    assert_eq!(error.code(), "POSTGRES_LEFT_BEHIND");
    assert!(folder.path().join("cluster/postmaster.pid").exists(), "its lock file stays");
    assert!(is_alive(left.server));
    signal(left.session, Signal::SIGCONT);
    let next = start(folder.path()).await;
    assert_eq!(ask(&next, "SELECT what FROM kept").await, "here");
    stop(next).await;
}

#[tokio::test]
async fn left_behind_server_is_recognised_through_a_linked_data_directory() {
    let folder = folder();
    let link = folder.path().join("link");
    symlink(folder.path(), &link).expect("it is writable");
    let (owner, left) = owned_server(folder.path()).await;
    signal(left.session, Signal::SIGSTOP);
    kill_owner(owner);
    let limit = Duration::from_millis(50);
    let error = refusal(EmbeddedConfig { leftover_limit: limit, ..quick(&link) }).await;
    assert_eq!(error.code(), "POSTGRES_LEFT_BEHIND");
    signal(left.session, Signal::SIGCONT);
    until("the end of the first server", || !is_alive(left.server)).await;
}

#[tokio::test]
async fn stalled_session_does_not_keep_the_server_from_stopping() {
    let folder = folder();
    let config = EmbeddedConfig { stop_limit: Duration::from_millis(100), ..quick(folder.path()) };
    let postgres = EmbeddedPostgres::start(config).await.expect("it starts");
    let mut session = PgConnection::connect(&postgres.url()).await.expect("it answers");
    let backend = backend_of(&mut session).await;
    // A stopped session keeps a fast shutdown waiting.
    signal(backend, Signal::SIGSTOP);
    stop(postgres).await;
    assert!(!is_alive(backend));
}

#[tokio::test]
async fn unfinished_initialisation_of_an_earlier_start_is_cleared_away() {
    let folder = folder();
    let unfinished = folder.path().join("initializing-1");
    fs::create_dir_all(unfinished.join("base")).expect("it is writable");
    fs::write(unfinished.join("PG_VERSION"), "15\n").expect("it is writable");
    let postgres = start(folder.path()).await;
    assert!(!unfinished.exists());
    stop(postgres).await;
}

#[tokio::test]
async fn failed_initialisation_leaves_nothing_behind() {
    let folder = folder();
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).expect("it is writable");
    for name in ["initdb", "postgres"] {
        let program = programs.join(name);
        let script = "#!/bin/sh\necho 'no luck today' >&2\nexit 1\n";
        fs::write(&program, script).expect("it is writable");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let data_dir = folder.path().join("postgres");
    let error = refusal(EmbeddedConfig { bin_dir: Some(programs), ..quick(&data_dir) }).await;
    assert_eq!(error.code(), "POSTGRES_INIT_FAILED");
    assert!(error.to_string().contains("no luck today"), "{error}");
    let left = fs::read_dir(&data_dir).expect("it is there").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("initializing")), "{left:?}");
    assert!(!data_dir.join("cluster").exists());
    stop(start(&data_dir).await).await;
}

#[tokio::test]
async fn folder_of_something_else_is_not_taken_for_a_cluster() {
    let folder = folder();
    let cluster = folder.path().join("cluster");
    fs::create_dir(&cluster).expect("it is writable");
    fs::write(cluster.join("diary.txt"), "mine").expect("it is writable");
    let error = refusal(quick(folder.path())).await;
    assert_eq!(error.code(), "POSTGRES_NOT_A_CLUSTER");
    assert_eq!(fs::read_to_string(cluster.join("diary.txt")).expect("it stays"), "mine");
}

#[tokio::test]
async fn full_disk_is_refused_before_anything_is_made() {
    let folder = folder();
    let config = EmbeddedConfig { min_free_bytes: u64::MAX / 2, ..quick(folder.path()) };
    let error = refusal(config).await;
    assert_eq!(error.code(), "POSTGRES_DISK_FULL");
    assert!(!folder.path().join("cluster").exists());
    assert!(error.remedy().contains(&folder.path().display().to_string()));
}

#[tokio::test]
async fn setting_that_the_server_refuses_is_told_with_its_own_words() {
    let folder = folder();
    let settings = vec![("max_connections".to_owned(), "many".to_owned())];
    let error = refusal(EmbeddedConfig { settings, ..quick(folder.path()) }).await;
    assert_eq!(error.code(), "POSTGRES_START_FAILED");
    assert!(error.to_string().contains("max_connections"), "{error}");
}

#[tokio::test]
async fn data_directory_too_deep_for_a_socket_works_with_a_short_private_folder() {
    let folder = folder();
    let deep = folder.path().join("a-rather-long-name-".repeat(6)).join("postgres");
    let postgres = start(&deep).await;
    assert!(!deep.join("socket").exists());
    let socket_folder = PathBuf::from(ask(&postgres, "SHOW unix_socket_directories").await);
    let found = fs::metadata(&socket_folder).expect("it is there");
    assert_eq!(found.mode() & 0o777, 0o700);
    stop(postgres).await;
    fs::remove_dir_all(socket_folder).expect("it is ours");
}

#[tokio::test]
async fn root_hands_over_to_another_user_and_names_a_folder_that_one_cannot_pass() {
    if !geteuid().is_root() {
        return;
    }
    let folder = folder();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).expect("it is writable");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let error = refusal(quick(&closed.join("postgres"))).await;
    assert_eq!(error.code(), "POSTGRES_DATA_NOT_REACHABLE");
    assert!(error.remedy().contains(&closed.display().to_string()), "{}", error.remedy());

    let postgres = start(&folder.path().join("postgres")).await;
    let process = fs::metadata(format!("/proc/{}", postgres.process_id())).expect("it runs");
    assert_ne!(process.uid(), 0);
    stop(postgres).await;
}
