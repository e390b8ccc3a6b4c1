//! Records histories of the shipped workflows from the demo, when `REPRISE_RECORD` is set and they have no file.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::histories;
use crate::support::binary::{Done, reprise, run};
use crate::support::service::{Service, folder};

/// Which job of the demo is which history, in their order.
const RUNS: [(&str, &str); 2] = [
    ("dry_run", "A dry run that simulates six likes, and waits for its pace and for each hour's allowance."),
    ("likes_six_posts", "A live run that likes six posts, waits for its pace and for each hour's allowance, and ends."),
];

fn says(data_dir: &Path, arguments: &[&str]) -> Done {
    let done = run(reprise(data_dir.parent().expect("it has a parent"), arguments).arg("--data-dir").arg(data_dir));
    assert_eq!(done.status, 0, "{arguments:?}: {}{}", done.stdout, done.stderr);
    done
}

#[test]
fn heavy_missing_histories_of_shipped_workflows_are_recorded_on_demand() {
    let kept = histories().join("campaign_run").join(env!("CARGO_PKG_VERSION"));
    let is_missing = |name: &str| !kept.join(format!("{name}.json")).exists();
    if std::env::var_os("REPRISE_RECORD").is_none() || !RUNS.iter().any(|(name, _)| is_missing(name)) {
        return;
    }
    let folder = folder();
    let data_dir = folder.path().join("data");
    let service = Service::start(&data_dir, &[]);
    says(&data_dir, &["demo", "--timeout", "300"]);
    service.signal(Signal::SIGTERM);
    service.ended();
    let log = says(&data_dir, &["events", "export"]).stdout;
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"));
    let jobs = events.filter(|event| event["event_type"] == "JobCreated");
    fs::create_dir_all(&kept).expect("the folder is made");
    for (job, (name, shows)) in jobs.zip(RUNS).filter(|(_, (name, _))| is_missing(name)) {
        let stream = format!("Job-{}", job["aggregate_id"].as_str().expect("an id"));
        let out = kept.join(format!("{name}.json")).display().to_string();
        says(
            &data_dir,
            &["events", "export", "--stream", &stream, "--form", "history", "--shows", shows, "--out", &out],
        );
    }
}
