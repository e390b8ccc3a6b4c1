//! Changes of many jobs: chosen at once, carried out by workers, which are not here.

use chrono::TimeDelta;
use domain::clock::Clock;
use domain::job::{JobCommand, Origin};
use serde_json::{Value, json};

use crate::jobs::{global, id_of};
use crate::support::poll::until;
use crate::support::{Person, TestApp};

const FIELDS: &str = "operation { id action priority reason actor total done refused pending finishedAt
    results(first: 10) { totalCount nodes { jobId status code job { state } } } } ";

async fn in_read_model(person: &Person, jobs: usize) {
    until("the jobs are in the read model", async || {
        let found = person.client.query("{ jobs { totalCount } }", json!({})).await;
        (found["jobs"]["totalCount"] == jobs).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_takes_the_jobs_that_can_take_it_and_is_begun_once() {
    let app = TestApp::start().await;
    let (person, tom) = (app.user("marta").await, app.user("tom").await);
    let first = app.world.begun(person.id, Origin::Person).await;
    let over = app.world.begun(person.id, Origin::Person).await;
    app.world.job(over, JobCommand::Complete { result: json!(null), at: app.world.clock.now() }).await;
    app.world.begun(tom.id, Origin::Person).await;
    app.world.clock.advance(TimeDelta::hours(1));
    let second = app.world.begun(person.id, Origin::Person).await;
    in_read_model(&person, 3).await;
    let input = json!({ "filter": {}, "action": "PAUSE", "reason": "a look", "idempotencyKey": "all of them" });
    let begun = person.client.done("changeJobs", input.clone(), FIELDS).await["operation"].take();
    let pending =
        |job| json!({ "jobId": id_of(job), "status": "PENDING", "code": null, "job": { "state": "RUNNING" } });
    assert_eq!(begun["results"]["nodes"], json!([pending(first), pending(second)]));
    assert_eq!((&begun["total"], &begun["pending"], &begun["finishedAt"]), (&json!(2), &json!(2), &json!(null)));
    assert_eq!(begun["actor"], format!("user:{}", person.id));
    let again = person.client.done("changeJobs", input, FIELDS).await["operation"].take();
    assert_eq!(again["id"], begun["id"]);
    assert_eq!(app.world.count("SELECT count(*) FROM commands WHERE kind = 'change_jobs'").await, 1);
    let old = json!({ "filter": { "createdBefore": app.world.clock.now() }, "action": "TERMINATE" });
    let older = person.client.done("changeJobs", old, FIELDS).await["operation"].take();
    assert_eq!(older["results"]["nodes"], json!([pending(first)]));
    let urgent = json!({ "filter": {}, "action": "PRIORITIZE", "priority": "URGENT" });
    let urgent = person.client.done("changeJobs", urgent, FIELDS).await["operation"].take();
    assert_eq!(
        (&urgent["action"], &urgent["priority"], &urgent["total"]),
        (&json!("PRIORITIZE"), &json!("URGENT"), &json!(2))
    );
    // Nothing is left to do where nothing was found.
    let none = json!({ "filter": { "workflow": "nothing" }, "action": "CANCEL" });
    let none = person.client.done("changeJobs", none, FIELDS).await["operation"].take();
    assert!(none["finishedAt"].is_string() && none["total"] == 0, "{none}");
    let list = person.client.query("{ jobBulkOperations { nodes { id } } }", json!({})).await;
    let ids: Vec<&Value> = [&none, &urgent, &older, &begun].map(|operation| &operation["id"]).to_vec();
    let listed = list["jobBulkOperations"]["nodes"].as_array().expect("a list");
    assert_eq!(listed.iter().map(|node| &node["id"]).collect::<Vec<_>>(), ids);
    let by_id = "query($id: ID!) { node(id: $id) { ... on JobBulkOperation { total } } }";
    let id = json!({ "id": begun["id"] });
    assert_eq!(person.client.query(by_id, id.clone()).await["node"]["total"], 2);
    assert_eq!(tom.client.query(by_id, id).await["node"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_others_jobs_or_of_too_many_is_refused_and_begins_nothing() {
    let app = TestApp::start().await;
    let (person, root) = (app.user("marta").await, app.admin().await);
    app.world.begun(person.id, Origin::Person).await;
    in_read_model(&person, 1).await;
    for filter in [json!({ "botId": global("Bot", person.id) }), json!({ "everyone": true })] {
        let (code, path) = root.client.refused("changeJobs", json!({ "filter": filter, "action": "CANCEL" })).await;
        assert_eq!((code.as_str(), path), ("FORBIDDEN", json!(["input", "filter"])));
    }
    let long = json!({ "filter": {}, "action": "CANCEL", "reason": "x".repeat(501) });
    assert_eq!(person.client.refused("changeJobs", long).await.0, "JOB_TEXT_TOO_LONG");
    for input in [json!({ "action": "PRIORITIZE" }), json!({ "action": "PAUSE", "priority": "LOW" })] {
        let mut input = input;
        input["filter"] = json!({});
        let (code, path) = person.client.refused("changeJobs", input).await;
        assert_eq!((code.as_str(), path), ("BAD_INPUT", json!(["input", "priority"])));
    }
    app.world
        .execute(
            "INSERT INTO jobs
             SELECT (jsonb_populate_record(jobs, jsonb_build_object('job_id', gen_random_uuid(),
                                                                    'first_position', 1000 + number))).*
               FROM jobs, generate_series(1, 10000) AS number",
        )
        .await;
    let (code, path) = person.client.refused("changeJobs", json!({ "filter": {}, "action": "CANCEL" })).await;
    assert_eq!((code.as_str(), path), ("JOB_SELECTION_TOO_LARGE", json!(["input", "filter"])));
    assert_eq!(app.world.count("SELECT count(*) FROM job_bulk_operations").await, 0);
}
