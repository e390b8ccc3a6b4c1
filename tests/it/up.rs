//! `reprise up` as a person meets it: it starts, says where it is, stops in order, survives being killed, and says what is
//! wrong when it cannot start.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use serde_json::json;

use crate::support::binary::{reprise, run};
use crate::support::service::{Service, folder};

#[test]
fn process_starts_says_where_it_is_and_stops_in_order() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let service = Service::start(&data_dir, &[]);
    assert!(service.ready["database_url"].as_str().is_some_and(|url| url.starts_with("postgres://")));
    assert!(service.ready["sandbox_url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")));
    assert!(data_dir.join("running.json").exists());
    let (status, body) = service.get("/health/ready");
    assert_eq!((status, body.contains("\"status\":\"ready\"")), (200, true), "{body}");
    service.signal(Signal::SIGTERM);
    let log = service.log();
    assert_eq!(service.ended().code(), Some(0), "{log}");
    assert!(!data_dir.join("running.json").exists());
    assert!(!data_dir.join("postgres/cluster/postmaster.pid").exists(), "PostgreSQL was not stopped");
}

#[test]
fn killed_process_leaves_nothing_that_stops_the_next_start() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let killed = Service::start(&data_dir, &[]);
    killed.signal(Signal::SIGKILL);
    assert_eq!(killed.ended().code(), None);
    let next = Service::start(&data_dir, &[]);
    next.signal(Signal::SIGINT);
    assert_eq!(next.ended().code(), Some(0));
}

#[test]
fn second_process_on_the_same_folder_is_told_of_the_first() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let first = Service::start(&data_dir, &[]);
    let Err(second) = Service::try_start(&data_dir, &[]) else { panic!("two processes have one folder") };
    assert_eq!(second.status, 75, "{}", second.stderr);
    assert!(second.stdout.contains("DATA_DIR_IN_USE"), "{}", second.stdout);
    let process = first.ready["process"].as_u64().expect("a number").to_string();
    assert!(second.stdout.contains(&process), "{}", second.stdout);
}

#[test]
fn commands_find_the_database_of_a_running_process() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let _service = Service::start(&data_dir, &[]);
    let path = data_dir.to_str().expect("a text path");
    let status = run(&mut reprise(folder.path(), &["projections", "status", "--json", "--data-dir", path]));
    assert_eq!(status.status, 0, "{}", status.stderr);
    assert!(status.json()["projections"].as_array().is_some_and(|rows| rows.len() >= 8));
    let doctor = run(&mut reprise(folder.path(), &["doctor", "--json", "--data-dir", path]));
    assert_eq!(doctor.status, 0, "{}", doctor.stdout);
}

#[test]
fn address_in_use_is_told_before_anything_is_made() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has an address").to_string();
    let Err(refused) = Service::try_start(&data_dir, &["--listen", &address]) else { panic!("the address is taken") };
    assert_eq!(refused.status, 69, "{}", refused.stderr);
    assert!(refused.stdout.contains("LISTEN_ADDRESS_IN_USE"), "{}", refused.stdout);
    assert!(!data_dir.join("postgres").exists());
}

#[test]
fn public_address_is_refused_while_everybody_knows_the_first_password() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let path = data_dir.to_str().expect("a text path");
    let Err(refused) = Service::try_start(&data_dir, &["--listen", "0.0.0.0:0"]) else { panic!("it listens to all") };
    assert_eq!(refused.status, 78, "{}", refused.stderr);
    assert!(refused.stdout.contains("FIRST_ADMIN_STANDS"), "{}", refused.stdout);
    let reset = run(&mut reprise(folder.path(), &["user", "reset-password", "admin", "--json", "--data-dir", path]));
    assert_eq!(reset.status, 0, "{}", reset.stdout);
    let service = Service::start(&data_dir, &["--listen", "0.0.0.0:0"]);
    assert_eq!(service.ready["first_admin"], false);
}

#[test]
fn running_engine_follows_its_settings_and_its_metrics_say_so() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let service = Service::start(&data_dir, &[]);
    let figure = |service: &Service, line: &str| {
        let (status, body) = service.get("/metrics");
        (status == 200 && body.lines().any(|known| known == line)).then_some(())
    };
    service.until("the first figures", |service| figure(service, "reprise_desk_limit{limit=\"running\"} 512"));
    let (first, chosen) = ("admin", "a longer password of one's own");
    let cookie = service.post("/auth/login", &json!({ "username": "admin", "password": first }), "").cookie;
    let change = json!({ "currentPassword": first, "newPassword": chosen });
    assert_eq!(service.post("/auth/change-password", &change, &cookie).status, 200);
    let cookie = service.post("/auth/login", &json!({ "username": "admin", "password": chosen }), "").cookie;
    let mutation = "mutation { setEngineSettings(input: { maxRunning: 7, jobsPaused: true, pauseReason: \"a look\" }) {
        engineSettings { revision } userErrors { code } } }";
    let done = service.post("/graphql", &json!({ "query": mutation }), &cookie);
    assert!(done.body.contains("\"revision\":1"), "{}", done.body);
    for line in ["reprise_desk_limit{limit=\"running\"} 7", "reprise_desk_paused 1"] {
        service.until(line, |service| figure(service, line));
    }
}

#[test]
fn file_in_place_of_the_folder_is_told_as_such() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    fs::write(&data_dir, "a file").expect("the file is written");
    let Err(refused) = Service::try_start(&data_dir, &[]) else { panic!("a file is no folder") };
    assert_eq!(refused.status, 73, "{}", refused.stderr);
    assert!(refused.stdout.contains("DATA_DIR_NOT_A_FOLDER"), "{}", refused.stdout);
}

/// A small file system of its own, as far as this user may make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn try_new() -> Option<Self> {
        let folder = folder();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|done| done.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).output();
    }
}

#[test]
fn full_disk_is_told_before_anything_is_made() {
    if !geteuid().is_root() {
        // Only root can make a disk; the check itself has a test of its own beside it.
        return;
    }
    let Some(disk) = SmallDisk::try_new() else { return };
    let data_dir = disk.0.path().join("data");
    let Err(refused) = Service::try_start(&data_dir, &[]) else { panic!("8 MiB are too few") };
    assert_eq!(refused.status, 74, "{}", refused.stderr);
    assert!(refused.stdout.contains("DATA_DIR_FULL"), "{}", refused.stdout);
    assert!(!data_dir.join("postgres").exists());
}
