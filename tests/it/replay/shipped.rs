//! Records histories of the shipped workflows from the demo, when `REPRISE_RECORD` is set: the first run that ended of each
//! module and mode, unless it has a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::histories;
use crate::support::binary::{Done, reprise, run};
use crate::support::service::{Service, folder};

fn says(data_dir: &Path, arguments: &[&str]) -> Done {
    let done = run(reprise(data_dir.parent().expect("it has a parent"), arguments).arg("--data-dir").arg(data_dir));
    assert_eq!(done.status, 0, "{arguments:?}: {}{}", done.stdout, done.stderr);
    done
}

/// The runs that ended, by what they are: `live_like`.
fn ended_runs(log: &str) -> BTreeMap<String, String> {
    let (mut ended, mut plans, mut runs) = (BTreeSet::new(), Vec::new(), BTreeMap::new());
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).expect("it is JSON");
        let id = event["aggregate_id"].as_str().unwrap_or_default().to_owned();
        let payload = &event["payload"];
        if event["event_type"] == "JobCompleted" {
            ended.insert(id);
        } else if event["event_type"] == "StepCompleted" && payload["name"] == "plan" {
            let module = &payload["result"]["definition"]["module"];
            let module = module.as_str().or(module["kind"].as_str()).unwrap_or("other");
            let mode = payload["result"]["mode"].as_str().unwrap_or("other");
            plans.push((format!("{mode}_{module}").to_lowercase(), id));
        }
    }
    for (name, id) in plans.into_iter().filter(|(_, id)| ended.contains(id)) {
        runs.entry(name).or_insert(id);
    }
    runs
}

#[test]
fn heavy_histories_of_shipped_workflows_are_recorded_on_demand() {
    if std::env::var_os("REPRISE_RECORD").is_none() {
        return;
    }
    let kept = histories().join("campaign_run").join(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(&kept).expect("the folder is made");
    let folder = folder();
    let data_dir = folder.path().join("data");
    let service = Service::start(&data_dir, &[]);
    says(&data_dir, &["demo", "--timeout", "300"]);
    service.signal(Signal::SIGTERM);
    service.ended();
    for (name, id) in ended_runs(&says(&data_dir, &["events", "export"]).stdout) {
        let path = kept.join(format!("{name}.json"));
        if path.exists() {
            continue;
        }
        let (stream, out) = (format!("Job-{id}"), path.display().to_string());
        let shows = format!("The demo's first run that ended: {name}.");
        let export = ["events", "export", "--stream", &stream, "--form", "history", "--shows", &shows, "--out", &out];
        says(&data_dir, &export);
    }
}
