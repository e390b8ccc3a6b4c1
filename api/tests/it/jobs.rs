//! Jobs through the API: what people see of them and do to them. What workers would record is recorded here.

use chrono::TimeDelta;
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::{BotId, CampaignId, JobId, UserId};
use domain::job::{Job, JobCommand, Origin};
use serde_json::{Value, json};

use crate::support::poll::until;
use crate::support::{Person, TestApp, TestEntropy, World};

const FIELDS: &str = "job { id state reason lastActor waitingFor historyLength stuck
    step { index name attempts retrying failure { code } } } ";

pub fn global(kind: &str, id: impl std::fmt::Display) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{kind}:{id}"))
}

pub fn id_of(job: JobId) -> String {
    global("Job", job)
}

impl World {
    /// Executes what a worker would.
    pub async fn job(&self, id: JobId, command: JobCommand) {
        self.bus.execute::<Job>(&id.to_string(), command, &self.metadata()).await.expect("the job takes the command");
    }

    /// A job of `user` that began.
    pub async fn begun(&self, user: UserId, origin: Origin) -> JobId {
        let (job_id, at) = (JobId::from_uuid(TestEntropy.uuid()), self.clock.now());
        let input = json!({ "page": 1 });
        let workflow = "campaign_run".to_owned();
        self.job(job_id, JobCommand::Create { job_id, bot_id: BotId::of(user), workflow, input, origin, at }).await;
        self.job(job_id, JobCommand::Start { at }).await;
        job_id
    }

    async fn step(&self, id: JobId, index: u32) {
        let (name, at) = (format!("like:{index}"), self.clock.now());
        self.job(id, JobCommand::CompleteStep { index, name, result: json!(index), at }).await;
    }

    async fn failed_step(&self, id: JobId, index: u32) {
        let at = self.clock.now();
        let failure = JobCommand::FailStep {
            index,
            name: format!("like:{index}"),
            code: "NO_ANSWER".to_owned(),
            message: "the platform was silent".to_owned(),
            retry_at: Some(at + TimeDelta::minutes(5)),
            at,
        };
        self.job(id, failure).await;
    }
}

async fn history(person: &Person, job: JobId) -> Vec<(String, String)> {
    let query = "query($id: ID!) { node(id: $id) { ... on Job { history(first: 100) { nodes { type actor } } } } }";
    let data = person.client.query(query, json!({ "id": id_of(job) })).await;
    let nodes = data["node"]["history"]["nodes"].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    nodes.iter().map(|node| (text(&node["type"]), text(&node["actor"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn running_sleeping_and_retrying_jobs_are_paused_signalled_cancelled_and_the_history_says_by_whom() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let (client, world) = (&person.client, &app.world);
    let at = world.clock.now();
    let running = world.begun(person.id, Origin::Person).await;
    let sleeping = world.begun(person.id, Origin::Person).await;
    world.job(sleeping, JobCommand::SetTimer { index: 0, fires_at: at + TimeDelta::days(20), at }).await;
    let retrying = world.begun(person.id, Origin::Person).await;
    world.failed_step(retrying, 0).await;
    for job in [running, sleeping, retrying] {
        let id = id_of(job);
        let input = json!({ "jobId": id, "reason": "a look first", "idempotencyKey": format!("pause {id}") });
        let paused = client.done("pauseJob", input.clone(), FIELDS).await;
        assert_eq!(paused["job"]["state"], "PAUSED");
        assert_eq!(paused["job"]["reason"], "a look first");
        assert_eq!(paused["job"]["lastActor"], format!("user:{}", person.id));
        // Repeated with its key it is not done again, and without one it is refused.
        assert_eq!(client.done("pauseJob", input, FIELDS).await["job"]["state"], "PAUSED");
        let (code, path) = client.refused("pauseJob", json!({ "jobId": id })).await;
        assert_eq!((code.as_str(), path), ("JOB_COMMAND_NOT_ALLOWED", json!(["input", "jobId"])));
        let resumed = client.done("resumeJob", json!({ "jobId": id }), FIELDS).await;
        assert_eq!(resumed["job"]["state"], "RUNNING");
        let signal = json!({ "jobId": id, "name": "bot_resumed", "payload": { "by": "a person" } });
        client.done("signalJob", signal, FIELDS).await;
        let cancelled = client.done("cancelJob", json!({ "jobId": id, "reason": "enough" }), FIELDS).await;
        assert_eq!(cancelled["job"]["state"], "CANCELLING");
        let ended = client.done("terminateJob", json!({ "jobId": id, "reason": "now" }), FIELDS).await;
        assert_eq!(ended["job"]["state"], "TERMINATED");
        let told = history(&person, job).await;
        let mine = format!("user:{}", person.id);
        let by_me: Vec<_> = told.iter().filter(|(_, actor)| *actor == mine).map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(by_me, ["JobPaused", "JobResumed", "SignalReceived", "JobCancelRequested", "JobTerminated"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sleep_because_of_what_a_step_was_told_says_why() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let job = app.world.begun(person.id, Origin::Person).await;
    let at = app.world.clock.now();
    let later = at + TimeDelta::minutes(4) + TimeDelta::nanoseconds(123_456_789);
    let result = json!({ "not_now": "WAIT", "reason": "OUTCOME_UNKNOWN", "until": later });
    let told = JobCommand::CompleteStep { index: 0, name: "like:7".to_owned(), result, at };
    app.world.job(job, told).await;
    app.world.job(job, JobCommand::SetTimer { index: 1, fires_at: later, at }).await;
    let listed = "{ jobs(filter: { states: [RUNNING] }) { nodes { waitingFor } } }";
    until("the sleep is in the read model", async || {
        let found = person.client.query(listed, json!({})).await;
        (found["jobs"]["nodes"][0]["waitingFor"] == "timer").then_some(())
    })
    .await;
    let query =
        "query($id: ID!) { node(id: $id) { ... on Job { wakeAt waiting { reason code freesAt explanation } } } }";
    let seen = person.client.query(query, json!({ "id": id_of(job) })).await["node"].take();
    assert_eq!(seen["waiting"]["reason"], "NOT_NOW");
    assert_eq!(seen["waiting"]["code"], "OUTCOME_UNKNOWN");
    assert_eq!(seen["waiting"]["freesAt"], seen["wakeAt"]);
    assert!(seen["waiting"]["explanation"].as_str().is_some_and(|text| text.contains("like:7")), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn running_never_hides_stuck() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let retrying = app.world.begun(person.id, Origin::Person).await;
    app.world.failed_step(retrying, 0).await;
    let sleeping = app.world.begun(person.id, Origin::Person).await;
    let at = app.world.clock.now();
    app.world.job(sleeping, JobCommand::SetTimer { index: 0, fires_at: at + TimeDelta::days(20), at }).await;
    let query = "query($stuck: Boolean) {
        jobs(filter: { stuck: $stuck, states: [RUNNING] }) {
            totalCount
            nodes { id stuck wakeAt step { attempts retrying failure { code message } } waiting { reason code freesAt } }
        }
    }";
    let found = until("the jobs are in the read model", async || {
        let found = person.client.query(query, json!({ "stuck": true })).await["jobs"].take();
        // The count and the nodes are two looks.
        (found["totalCount"] == 1 && found["nodes"][0].is_object()).then_some(found)
    })
    .await;
    let node = &found["nodes"][0];
    assert_eq!(node["id"], id_of(retrying));
    assert_eq!(node["step"]["failure"]["code"], "NO_ANSWER");
    assert_eq!(node["waiting"]["reason"], "RETRY");
    assert_eq!(node["waiting"]["code"], "NO_ANSWER");
    assert_eq!(node["waiting"]["freesAt"], node["wakeAt"]);
    let found = person.client.query(query, json!({ "stuck": false })).await["jobs"].take();
    assert_eq!(found["nodes"][0]["id"], id_of(sleeping));
    assert_eq!(found["nodes"][0]["waiting"]["reason"], "TIMER");
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_failed_and_diverged_jobs_run_again_from_a_step() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let (client, world) = (&person.client, &app.world);
    let at = world.clock.now();
    let finished = world.begun(person.id, Origin::Person).await;
    world.step(finished, 0).await;
    world.step(finished, 1).await;
    world.job(finished, JobCommand::Complete { result: json!({ "performed": 2 }), at }).await;
    let retry = json!({ "jobId": id_of(finished), "index": 1, "reason": "once more" });
    let again = client.done("retryJobFromStep", retry, "job { state result step { index } }").await;
    assert_eq!(again["job"], json!({ "state": "RUNNING", "result": null, "step": { "index": 1 } }));
    let (code, path) = client.refused("retryJobFromStep", json!({ "jobId": id_of(finished), "index": 7 })).await;
    assert_eq!((code.as_str(), path), ("JOB_NO_SUCH_STEP", json!(["input", "index"])));

    let failed = world.begun(person.id, Origin::Person).await;
    world.step(failed, 0).await;
    let last = JobCommand::FailStep {
        index: 1,
        name: "like:1".to_owned(),
        code: "NO_ANSWER".to_owned(),
        message: "silent".to_owned(),
        retry_at: None,
        at,
    };
    world.job(failed, last).await;
    world.job(failed, JobCommand::Fail { code: "NO_ANSWER".to_owned(), message: "silent".to_owned(), at }).await;
    // Without an index it is the step that failed.
    let again =
        client.done("retryJobFromStep", json!({ "jobId": id_of(failed) }), "job { state endCode step { index } }");
    assert_eq!(again.await["job"], json!({ "state": "RUNNING", "endCode": null, "step": { "index": 1 } }));

    let diverged = world.begun(person.id, Origin::Person).await;
    world.step(diverged, 0).await;
    let divergence =
        domain::job::Divergence { index: 0, recorded: "step like:0".to_owned(), attempted: "sleep".to_owned() };
    world.job(diverged, JobCommand::Diverge { divergence, at }).await;
    let query = "query($id: ID!) { node(id: $id) { ... on Job {
        state stuck divergence { index recorded attempted } waiting { reason explanation } } } }";
    let seen = client.query(query, json!({ "id": id_of(diverged) })).await;
    assert_eq!(seen["node"]["state"], "NEEDS_ATTENTION");
    assert_eq!(seen["node"]["waiting"]["reason"], "NEEDS_ATTENTION");
    assert_eq!(seen["node"]["divergence"], json!({ "index": 0, "recorded": "step like:0", "attempted": "sleep" }));
    let again =
        client.done("retryJobFromStep", json!({ "jobId": id_of(diverged) }), "job { state divergence { index } }");
    assert_eq!(again.await["job"], json!({ "state": "RUNNING", "divergence": null }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_begins_with_the_history_before_its_step_and_the_original_stays() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let original = app.world.begun(person.id, Origin::Person).await;
    for index in 0..3 {
        app.world.step(original, index).await;
    }
    let input = json!({
        "jobId": id_of(original), "index": 2, "input": { "page": 9 }, "idempotencyKey": "fork once",
    });
    let fields = "job { id state workflow input origin originIndex forkedFrom { id } historyLength }";
    let forked = person.client.done("forkJob", input.clone(), fields).await["job"].take();
    assert_eq!(forked["state"], "PENDING");
    assert_eq!(forked["input"], json!({ "page": 9 }));
    assert_eq!((&forked["origin"], &forked["originIndex"]), (&json!("FORKED"), &json!(2)));
    let again = person.client.done("forkJob", input, fields).await["job"].take();
    assert_eq!(again["id"], forked["id"], "a repeated request comes to the same fork");
    let query = "query($id: ID!) { node(id: $id) { ... on Job {
        state historyLength children { totalCount nodes { id forkedFrom { id } } }
        history(first: 100) { totalCount nodes { type } } } } }";
    let fork = person.client.query(query, json!({ "id": forked["id"] })).await["node"].take();
    assert_eq!(fork["history"]["nodes"], json!([{ "type": "JobCreated" }, { "type": "JobForked" }]));
    let seen = until("the fork is among what came from the original", async || {
        let seen = person.client.query(query, json!({ "id": id_of(original) })).await["node"].take();
        (seen["children"]["totalCount"] == 1).then_some(seen)
    })
    .await;
    assert_eq!(seen["state"], "RUNNING");
    assert_eq!(seen["historyLength"], 5);
    assert_eq!(seen["children"]["nodes"][0]["forkedFrom"]["id"], id_of(original));
    let (code, path) = person.client.refused("forkJob", json!({ "jobId": id_of(original), "index": 4 })).await;
    assert_eq!((code.as_str(), path), ("JOB_NO_SUCH_STEP", json!(["input", "index"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_others_look_missing_and_administrators_see_no_data() {
    let app = TestApp::start().await;
    let (marta, tom, root) = (app.user("marta").await, app.user("tom").await, app.admin().await);
    let job = app.world.begun(marta.id, Origin::Person).await;
    app.world.step(job, 0).await;
    for (mutation, input) in [
        ("pauseJob", json!({ "jobId": id_of(job) })),
        ("resumeJob", json!({ "jobId": id_of(job) })),
        ("cancelJob", json!({ "jobId": id_of(job) })),
        ("terminateJob", json!({ "jobId": id_of(job) })),
        ("signalJob", json!({ "jobId": id_of(job), "name": "x" })),
        ("retryJobFromStep", json!({ "jobId": id_of(job), "index": 0 })),
        ("forkJob", json!({ "jobId": id_of(job), "index": 0 })),
    ] {
        for person in [&tom, &root] {
            let (code, path) = person.client.refused(mutation, input.clone()).await;
            assert_eq!((code.as_str(), path), ("NOT_FOUND", json!(["input", "jobId"])), "{mutation}");
        }
    }
    let query = "query($id: ID!) { node(id: $id) { ... on Job {
        state input result history(first: 10) { nodes { type data summary } } } } }";
    assert_eq!(tom.client.query(query, json!({ "id": id_of(job) })).await["node"], json!(null));
    let seen = root.client.query(query, json!({ "id": id_of(job) })).await["node"].take();
    assert_eq!(seen["state"], "RUNNING");
    assert_eq!(seen["input"], json!(null));
    assert_eq!(seen["history"]["nodes"][2], json!({ "type": "StepCompleted", "data": null, "summary": null }));
    let mine = marta.client.query(query, json!({ "id": id_of(job) })).await["node"].take();
    assert_eq!(mine["history"]["nodes"][2]["data"]["result"], 0);

    let list = "query($filter: JobFilter) { jobs(filter: $filter) { nodes { id } } }";
    let of_marta = json!({ "filter": { "botId": global("Bot", marta.id) } });
    assert_eq!(tom.client.graphql(list, of_marta.clone()).await.code(), "FORBIDDEN");
    assert_eq!(tom.client.graphql(list, json!({ "filter": { "everyone": true } })).await.code(), "FORBIDDEN");
    for filter in [of_marta, json!({ "filter": { "everyone": true } })] {
        let seen = until("the job is in the read model", async || {
            let seen = root.client.query(list, filter.clone()).await["jobs"]["nodes"].take();
            (seen != json!([])).then_some(seen)
        })
        .await;
        assert_eq!(seen, json!([{ "id": id_of(job) }]));
    }
    assert_eq!(root.client.query(list, json!({})).await["jobs"]["nodes"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_campaign_says_what_holds_its_bot() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    person.client.done("initializeBot", json!({}), "bot { state }").await;
    let campaign = json!({
        "name": "Coffee", "module": "LIKE", "source": { "hashtag": { "name": "coffee" } }, "maxTargets": 5,
    });
    let defined = person.client.done("defineCampaign", campaign, "campaign { id }").await["campaign"]["id"].take();
    let campaign_id: CampaignId = {
        use base64::Engine;
        let id = defined.as_str().expect("an id");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(id).expect("it is base64");
        let text = String::from_utf8(bytes).expect("it is text");
        text.split_once(':').expect("type and id").1.parse().expect("a UUID")
    };
    let due_at = app.world.clock.now();
    let job = app.world.begun(person.id, Origin::Campaign { campaign_id, due_at }).await;
    let query = "query($id: ID!) { node(id: $id) { ... on Job {
        campaign { name } dueAt waiting { reason code explanation freesAt bot { kind free state } } } } }";
    let seen = until("the campaign is in the read model", async || {
        let seen = person.client.query(query, json!({ "id": id_of(job) })).await["node"].take();
        (seen["campaign"]["name"] == "Coffee").then_some(seen)
    })
    .await;
    assert_eq!(seen["waiting"]["reason"], "BOT_NOT_RUNNING");
    assert_eq!(seen["waiting"]["code"], "LOGGED_OUT");
    assert_eq!(seen["waiting"]["bot"], json!({ "kind": "LIKE", "free": false, "state": "LOGGED_OUT" }));
    let of_campaign = "query($id: ID!) { node(id: $id) { ... on Campaign { jobs { totalCount nodes { id } } } } }";
    let jobs = until("the job is in the read model", async || {
        let jobs = person.client.query(of_campaign, json!({ "id": defined })).await["node"]["jobs"].take();
        (jobs["totalCount"] == 1).then_some(jobs)
    })
    .await;
    assert_eq!(jobs["nodes"][0]["id"], id_of(job));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_read_from_both_ends() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let job = app.world.begun(person.id, Origin::Person).await;
    for index in 0..8 {
        app.world.step(job, index).await;
    }
    let query = "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
        node(id: $id) { ... on Job { history(first: $first, after: $after, last: $last, before: $before) {
            totalCount nodes { sequence index requestId } pageInfo { endCursor startCursor hasNextPage } } } } }";
    let page = async |arguments: Value| {
        let mut variables = arguments;
        variables["id"] = json!(id_of(job));
        person.client.query(query, variables).await["node"]["history"].take()
    };
    let sequences = |page: &Value| {
        let nodes = page["nodes"].as_array().expect("a list").clone();
        nodes.iter().filter_map(|node| node["sequence"].as_i64()).collect::<Vec<_>>()
    };
    let first = page(json!({ "first": 4 })).await;
    assert_eq!((sequences(&first), &first["totalCount"]), (vec![1, 2, 3, 4], &json!(10)));
    let second = page(json!({ "first": 4, "after": first["pageInfo"]["endCursor"] })).await;
    assert_eq!((sequences(&second), &second["nodes"][0]["index"]), (vec![5, 6, 7, 8], &json!(2)));
    let last = page(json!({ "last": 3 })).await;
    assert_eq!(sequences(&last), [8, 9, 10]);
    let before = page(json!({ "last": 3, "before": last["pageInfo"]["startCursor"] })).await;
    assert_eq!((sequences(&before), &before["pageInfo"]["hasNextPage"]), (vec![5, 6, 7], &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn priority_follows_from_who_asked_and_is_changed_while_the_job_lives() {
    let app = TestApp::start().await;
    let (person, tom) = (app.user("marta").await, app.user("tom").await);
    let at = app.world.clock.now();
    let asked_for = app.world.begun(person.id, Origin::Person).await;
    let campaign = Origin::Campaign { campaign_id: CampaignId::from_uuid(TestEntropy.uuid()), due_at: at };
    let due = app.world.begun(person.id, campaign).await;
    let fields = "job { priority lastActor historyLength }";
    let input = |job, priority: &str| json!({ "jobId": id_of(job), "priority": priority });
    let changed = person.client.done("prioritizeJob", input(due, "URGENT"), fields).await["job"].take();
    assert_eq!((&changed["priority"], &changed["historyLength"]), (&json!("URGENT"), &json!(3)));
    assert_eq!(changed["lastActor"], format!("user:{}", person.id));
    assert_eq!(history(&person, due).await[2], ("JobPrioritized".to_owned(), format!("user:{}", person.id)));
    // The one that it has already is no news.
    let same = person.client.done("prioritizeJob", input(asked_for, "HIGH"), fields).await["job"].take();
    assert_eq!((&same["priority"], &same["historyLength"]), (&json!("HIGH"), &json!(2)));
    let fork = json!({ "jobId": id_of(due), "index": 0, "priority": "LOW" });
    assert_eq!(person.client.done("forkJob", fork, "job { priority }").await["job"]["priority"], "LOW");
    let heir = json!({ "jobId": id_of(due), "index": 0 });
    assert_eq!(person.client.done("forkJob", heir, "job { priority }").await["job"]["priority"], "URGENT");
    assert_eq!(tom.client.refused("prioritizeJob", input(due, "LOW")).await.0, "NOT_FOUND");
    app.world.job(due, JobCommand::Complete { result: json!(null), at }).await;
    let over = person.client.refused("prioritizeJob", input(due, "LOW")).await;
    assert_eq!(over, ("JOB_COMMAND_NOT_ALLOWED".to_owned(), json!(["input", "jobId"])));
    let root = app.admin().await;
    let trail = "{ auditTrail(filter: { events: [\"JobPrioritized\"] }, last: 1) { nodes { summary actor } } }";
    let entry = until("the entry", || async {
        let mut nodes = root.client.query(trail, json!({})).await["auditTrail"]["nodes"].take();
        Some(nodes[0].take()).filter(|entry| !entry.is_null())
    });
    let expected = json!({ "summary": "set the priority to URGENT", "actor": format!("user:{}", person.id) });
    assert_eq!(entry.await, expected);
}
