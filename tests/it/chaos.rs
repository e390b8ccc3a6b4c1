//! A short play of chaos on the real binary: real processes, a real PostgreSQL, and books that balance in the end.

use serde_json::Value;

use crate::support::binary::{reprise, run};
use crate::support::service::folder;

#[test]
fn books_balance_after_a_dozen_faults() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let arguments =
        ["chaos", "--json", "--faults", "12", "--bots", "2", "--seed", "7", "--timeout", "400", "--data-dir"];
    let mut arguments: Vec<&str> = arguments.to_vec();
    let data_dir = data_dir.display().to_string();
    arguments.push(&data_dir);
    let done = run(&mut reprise(folder.path(), &arguments));
    let report = done.json();
    assert_eq!(report["agree"], true, "{}\n{}", done.stdout, done.stderr);
    let faults = report["faults"].as_object().expect("it counts its faults");
    assert_eq!(faults.values().filter_map(Value::as_u64).sum::<u64>(), 12);
    assert_eq!(done.status, 0);
}
