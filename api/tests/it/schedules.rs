//! Schedules of campaigns through the API: given, previewed, refused, paused, and what became of due times.

use chrono::TimeDelta;
use domain::campaign::schedule::BotStanding;
use domain::campaign::{Campaign, CampaignCommand};
use domain::clock::Clock;
use domain::ids::CampaignId;
use serde_json::{Value, json};

use crate::support::{Person, TestApp};

const SHOWN: &str = "campaign { id schedule {
    timing { __typename ... on CronTiming { expression timeZone } ... on IntervalTiming { everyMinutes anchoredAt } }
    jitterSeconds overlap catchUpMinutes pause { reason by }
    nextDue(first: 3) { dueAt startAt } plannedRuns skippedRuns missedRuns
    lastDecisions { kind reason count firstDueAt lastDueAt summary } openRuns { dueAt stage backfill run { id } } } }";

async fn campaign(person: &Person) -> Value {
    let input =
        json!({ "name": "Coffee", "module": "LIKE", "source": { "hashtag": { "name": "#Coffee" } }, "maxTargets": 5 });
    person.client.done("defineCampaign", input, "campaign { id schedule { overlap } }").await["campaign"].take()
}

fn cron(expression: &str, zone: &str) -> Value {
    json!({ "timing": { "cron": { "expression": expression, "timeZone": zone } } })
}

async fn schedule(person: &Person, id: &Value) -> Value {
    let query =
        format!("query($id: ID!) {{ node(id: $id) {{ ... on Campaign {{ {} }} }} }}", &SHOWN[11..SHOWN.len() - 2]);
    person.client.query(&query, json!({ "id": id })).await["node"]["schedule"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_set_shown_paused_resumed_and_cleared() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let made = campaign(&person).await;
    assert_eq!(made["schedule"], Value::Null);
    let id = made["id"].clone();
    let input = json!({ "campaignId": id, "schedule": cron("0 9 * * 1-5", "Europe/Istanbul") });
    let done = person.client.done("setCampaignSchedule", input.clone(), SHOWN).await;
    let shown = &done["campaign"]["schedule"];
    // The clock stands at Monday, 2 March 2026, 10:00 UTC; it is nine in Istanbul at six in UTC.
    assert_eq!(
        shown["timing"],
        json!({ "__typename": "CronTiming", "expression": "0 9 * * 1-5", "timeZone": "Europe/Istanbul" })
    );
    assert_eq!(shown["nextDue"][0]["dueAt"], "2026-03-03T06:00:00+00:00");
    assert_eq!(shown["nextDue"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (&shown["overlap"], &shown["catchUpMinutes"], &shown["pause"]),
        (&json!("SKIP"), &json!(60), &Value::Null)
    );
    let paused = json!({ "campaignId": id, "reason": " holidays " });
    let done = person.client.done("pauseCampaignSchedule", paused, SHOWN).await;
    let pause = &done["campaign"]["schedule"]["pause"];
    assert_eq!((&pause["reason"], &pause["by"]), (&json!("holidays"), &json!(format!("user:{}", person.id))));
    app.world.clock.advance(TimeDelta::days(3));
    let done = person.client.done("resumeCampaignSchedule", json!({ "campaignId": id }), SHOWN).await;
    let shown = &done["campaign"]["schedule"];
    assert_eq!((&shown["pause"], &shown["skippedRuns"]), (&Value::Null, &json!(3)));
    let decision = &shown["lastDecisions"][0];
    assert_eq!(
        (&decision["kind"], &decision["reason"], &decision["count"]),
        (&json!("SKIPPED"), &json!("PAUSED"), &json!(3))
    );
    assert!(decision["summary"].as_str().is_some_and(|summary| summary.contains("holidays")), "{decision}");
    assert_eq!(schedule(&person, &id).await, *shown);
    let done = person.client.done("clearCampaignSchedule", json!({ "campaignId": id }), SHOWN).await;
    assert_eq!(done["campaign"]["schedule"], Value::Null);
    let (code, path) = person.client.refused("clearCampaignSchedule", json!({ "campaignId": id })).await;
    assert_eq!((code.as_str(), path), ("CAMPAIGN_NO_SCHEDULE", json!(["input", "campaignId"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_schedule_is_refused_with_its_code_and_its_place() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let id = campaign(&person).await["id"].clone();
    let interval = |minutes: u32| json!({ "timing": { "interval": { "everyMinutes": minutes } } });
    let with = |field: &str, value: u32| {
        let mut schedule = interval(60);
        schedule[field] = json!(value);
        schedule
    };
    let cases = [
        (cron("61 * * * *", "UTC"), "SCHEDULE_INVALID_CRON", vec!["timing", "cron", "expression"]),
        (cron("0 0 31 2 *", "UTC"), "SCHEDULE_NEVER_FIRES", vec!["timing"]),
        (cron("0 9 * * *", "Europe/Instanbul"), "SCHEDULE_UNKNOWN_ZONE", vec!["timing", "cron", "timeZone"]),
        (interval(0), "SCHEDULE_INVALID_INTERVAL", vec!["timing", "interval", "everyMinutes"]),
        (json!({ "timing": { "once": { "dueAt": "2020-01-01T00:00:00Z" } } }), "SCHEDULE_NEVER_FIRES", vec!["timing"]),
        (with("jitterSeconds", 50_000), "SCHEDULE_INVALID_JITTER", vec!["jitterSeconds"]),
        (with("catchUpMinutes", 0), "SCHEDULE_INVALID_CATCH_UP", vec!["catchUpMinutes"]),
    ];
    for (schedule, code, place) in cases {
        let input = json!({ "campaignId": id, "schedule": schedule });
        let path: Vec<&str> = ["input", "schedule"].into_iter().chain(place.iter().copied()).collect();
        assert_eq!(person.client.refused("setCampaignSchedule", input).await, (code.to_owned(), json!(path)));
        let preview = preview(&person, &schedule).await;
        assert_eq!((&preview["userErrors"][0]["code"], &preview["nextDue"]), (&json!(code), &json!([])));
        assert_eq!(preview["userErrors"][0]["path"], json!(path[1..]));
    }
    assert_eq!(schedule(&person, &id).await, Value::Null, "nothing was stored");
}

async fn preview(person: &Person, schedule: &Value) -> Value {
    let query = "query($schedule: ScheduleInput!) {
        previewSchedule(schedule: $schedule) { nextDue { dueAt } userErrors { code path } } }";
    person.client.query(query, json!({ "schedule": schedule })).await["previewSchedule"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_the_next_ten_due_times_and_stores_nothing() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    // The clocks in Berlin change on 29 March 2026.
    let shown = preview(&person, &cron("30 8 29-30 3 *", "Europe/Berlin")).await;
    let due = shown["nextDue"].as_array().expect("a list");
    assert_eq!((due.len(), &shown["userErrors"]), (10, &json!([])));
    assert_eq!(due[0]["dueAt"], "2026-03-29T06:30:00+00:00");
    assert_eq!(app.world.count("SELECT count(*) FROM campaign_schedules").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_of_somebody_else_is_not_there_and_a_backfill_needs_a_running_bot() {
    let app = TestApp::start().await;
    let (person, other) = (app.user("marta").await, app.user("otto").await);
    let id = campaign(&person).await["id"].clone();
    let input = json!({ "campaignId": id, "schedule": cron("@hourly", "UTC"), "idempotencyKey": "one" });
    let (code, _) = other.client.refused("setCampaignSchedule", input.clone()).await;
    assert_eq!(code, "NOT_FOUND");
    person.client.done("setCampaignSchedule", input.clone(), SHOWN).await;
    person.client.done("setCampaignSchedule", input, SHOWN).await;
    let backfill = json!({ "campaignId": id, "from": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z" });
    let (code, path) = person.client.refused("backfillCampaign", backfill.clone()).await;
    assert_eq!((code.as_str(), path), ("SCHEDULE_BOT_NOT_RUNNING", json!(["input", "campaignId"])));
    let set = app.world.count("SELECT count(*) FROM events WHERE event_type = 'ScheduleSet'").await;
    assert_eq!(set, 1);
}

/// The bot is taken to run, as no worker is here who could log it in.
#[tokio::test(flavor = "multi_thread")]
async fn open_runs_and_decisions_are_shown() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let made = campaign(&person).await;
    let set = json!({ "campaignId": made["id"], "schedule": {
        "timing": { "interval": { "everyMinutes": 10 } }, "overlap": "QUEUE" } });
    person.client.done("setCampaignSchedule", set, SHOWN).await;
    let campaign_id: String =
        sqlx::query_scalar("SELECT campaign_id::text FROM campaigns").fetch_one(app.world.pool()).await.expect("one");
    let campaign_id: CampaignId = campaign_id.parse().expect("an id");
    app.world.clock.advance(TimeDelta::minutes(100));
    let now = app.world.clock.now();
    let activity = domain::bot::Activity {
        state: domain::bot::BotState::Running,
        before: domain::bot::BotState::LoggedIn,
        ran_since: Some(now - TimeDelta::days(1)),
        ran_until: None,
    };
    let decide = CampaignCommand::DecideDue { bot: BotStanding { activity, in_plan: true }, at: now };
    let bus = &app.world.bus;
    bus.execute::<Campaign>(&campaign_id.to_string(), decide, &app.world.metadata()).await.expect("it decides");
    let shown = crate::support::poll::until("the runs", || async {
        Some(schedule(&person, &made["id"]).await).filter(|shown| shown["plannedRuns"] != 0)
    })
    .await;
    assert_eq!((&shown["missedRuns"], &shown["plannedRuns"]), (&json!(3), &json!(7)), "{shown}");
    assert_eq!(
        shown["openRuns"][0],
        json!({ "dueAt": "2026-03-02T10:40:00+00:00", "stage": "RELEASED", "backfill": false, "run": null })
    );
    assert_eq!(shown["openRuns"][1]["stage"], "WAITING");
    assert_eq!(shown["lastDecisions"][0]["kind"], "QUEUED");
    assert_eq!(shown["lastDecisions"][7]["kind"], "MISSED");
}
