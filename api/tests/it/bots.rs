//! The way of a person through the API, as far as it goes without workers: what they would record is recorded here.

use std::fmt::Write;

use chrono::TimeDelta;
use domain::bot::{BotCommand, NewReservation, Outcome};
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::{ActionId, EnablementId, RunId, SecretId};
use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::poll::until;
use crate::support::{Person, TestApp, TestEntropy};

const INSTAGRAM_PASSWORD: &str = "insta-secret-4711";

fn account(username: &str) -> Value {
    json!({
        "username": username, "password": INSTAGRAM_PASSWORD, "timeZone": "Europe/Berlin", "consent": "yes",
    })
}

fn campaign(name: &str) -> Value {
    json!({ "name": name, "module": "LIKE", "source": { "hashtag": { "name": "#Coffee" } }, "maxTargets": 5 })
}

impl TestApp {
    /// A person with a linked account and a session that was just verified.
    async fn logged_in(&self, username: &str) -> Person {
        let person = self.user(username).await;
        person.client.done("initializeBot", json!({}), "bot { state }").await;
        person.client.done("linkAccount", account(username), "bot { state }").await;
        person.client.done("requestLogin", json!({}), "bot { state }").await;
        self.log_in(&person).await;
        self.world.bot(person.id, BotCommand::RecordConnectionVerified { at: self.world.clock.now() }).await;
        person
    }

    async fn log_in(&self, person: &Person) {
        let at = self.world.clock.now();
        let success = BotCommand::RecordLoginSuccess {
            attempt: 1,
            platform_pk: "77".to_owned(),
            session: SecretId::from_uuid(TestEntropy.uuid()),
            key_id: "key".to_owned(),
            session_expires_at: at + TimeDelta::days(90),
            at,
        };
        self.world.bot(person.id, success).await;
    }
}

async fn bot(person: &Person, fields: &str) -> Value {
    let query = format!("{{ viewer {{ bot {{ {fields} }} }} }}");
    person.client.query(&query, json!({})).await["viewer"]["bot"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_goes_all_the_way_to_automation_and_back() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let client = &person.client;
    assert_eq!(bot(&person, "state account { id }").await, json!({ "state": "NOT_INITIALIZED", "account": null }));
    let done = client.done("initializeBot", json!({}), "bot { state }").await;
    assert_eq!(done["bot"]["state"], "LOGGED_OUT");
    let done = client.done("linkAccount", account("@Marta.Cooks"), "bot { account { username timeZone } }").await;
    assert_eq!(done["bot"]["account"], json!({ "username": "marta.cooks", "timeZone": "Europe/Berlin" }));
    let done = client.done("requestLogin", json!({}), "bot { state login { attempt hasSession } }").await;
    assert_eq!(done["bot"], json!({ "state": "LOGGING_IN", "login": { "attempt": 1, "hasSession": false } }));
    app.log_in(&person).await;
    client.done("testConnection", json!({}), "bot { state }").await;
    let (code, _) = client.refused("authorizeAutomation", json!({ "mode": "DRY_RUN" })).await;
    assert_eq!(code, "BOT_CONNECTION_NOT_VERIFIED");
    app.world.bot(person.id, BotCommand::RecordConnectionVerified { at: app.world.clock.now() }).await;
    let (code, _) = client.refused("authorizeAutomation", json!({ "mode": "DRY_RUN" })).await;
    assert_eq!(code, "BOT_PLAN_EMPTY");
    let defined = client
        .done(
            "defineCampaign",
            campaign("Coffee"),
            "campaign { id revision source { __typename ... on HashtagSource { name tab } } }",
        )
        .await;
    assert_eq!(
        defined["campaign"]["source"],
        json!({ "__typename": "HashtagSource", "name": "coffee", "tab": "RECENT" })
    );
    let (code, path) = client.refused("authorizeAutomation", json!({ "mode": "LIVE" })).await;
    assert_eq!((code.as_str(), path), ("BOT_DRY_RUN_REQUIRED", json!(["input", "mode"])));
    let authorized = client
        .done(
            "authorizeAutomation",
            json!({ "mode": "DRY_RUN" }),
            "bot { plan { hash } authorization { planHash mode } }",
        )
        .await;
    let hash = authorized["bot"]["authorization"]["planHash"].clone();
    assert_eq!(authorized["bot"]["plan"]["hash"], hash);
    let enabled = client
        .done(
            "enableAutomation",
            json!({ "planHash": hash }),
            "bot { state mode enablement { planHash unfinishedCampaigns { name } } }",
        )
        .await;
    assert_eq!(enabled["bot"]["state"], "RUNNING");
    assert_eq!(enabled["bot"]["mode"], "DRY_RUN");
    assert_eq!(enabled["bot"]["enablement"]["unfinishedCampaigns"], json!([{ "name": "Coffee" }]));
    let paused = client.done("pauseAutomation", json!({ "reason": "lunch" }), "bot { state reason }").await;
    assert_eq!(paused["bot"], json!({ "state": "PAUSED", "reason": "lunch" }));
    assert_eq!(client.done("resumeAutomation", json!({}), "bot { state }").await["bot"]["state"], "RUNNING");
    assert_eq!(client.done("disableAutomation", json!({}), "bot { state }").await["bot"]["state"], "LOGGED_IN");
    let out = client.done("logoutAccount", json!({}), "bot { state login { hasSession } }").await;
    assert_eq!(out["bot"], json!({ "state": "LOGGED_OUT", "login": { "hasSession": false } }));
    assert_eq!(client.done("unlinkAccount", json!({}), "bot { account { id } }").await["bot"]["account"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn command_out_of_state_is_refused_with_its_code_and_appends_nothing() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    for (mutation, input) in [
        ("linkAccount", account("marta")),
        ("requestLogin", json!({})),
        ("testConnection", json!({})),
        ("authorizeAutomation", json!({ "mode": "DRY_RUN" })),
        ("enableAutomation", json!({ "planHash": "0".repeat(64) })),
        ("pauseAutomation", json!({})),
        ("resumeAutomation", json!({})),
        ("disableAutomation", json!({})),
        ("logoutAccount", json!({})),
        ("resolveChallenge", json!({})),
        ("recoverBot", json!({})),
        ("unlinkAccount", json!({})),
    ] {
        let (code, _) = person.client.refused(mutation, input).await;
        assert_eq!(code, "BOT_COMMAND_NOT_ALLOWED", "{mutation}");
    }
    assert_eq!(bot(&person, "sequence").await["sequence"], 0);
    assert_eq!(app.world.count("SELECT count(*) FROM account_secrets WHERE erased_at IS NULL").await, 0);
    assert_eq!(app.world.count("SELECT count(*) FROM identity_claims WHERE kind = 'INSTAGRAM_ACCOUNT'").await, 0);
}

fn with(mut input: Value, name: &str, value: Value) -> Value {
    input[name] = value;
    input
}

/// Each is refused with its code, for the part of the input at the path.
async fn assert_refused(person: &Person, table: impl IntoIterator<Item = (&str, Value, &str, &str)>) {
    for (mutation, input, code, path) in table {
        let (refused, at) = person.client.refused(mutation, input.clone()).await;
        let path: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
        assert_eq!((refused.as_str(), at), (code, json!(path)), "{mutation} {input}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_of_the_bot_is_refused_with_a_code_and_the_part_that_is_bad() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    person.client.done("initializeBot", json!({}), "bot { state }").await;
    let link = |name: &str, value: &str| with(account("m"), name, json!(value));
    let hours = json!({ "workingHours": { "from": 20, "until": 8 } });
    let settled = json!({ "actionId": "nothing", "settlement": "PERFORMED" });
    let table = [
        ("linkAccount", link("username", "no spaces please"), "BOT_INVALID_USERNAME", "input.username"),
        ("linkAccount", link("consent", "sure"), "BOT_CONSENT_MISSING", "input.consent"),
        ("linkAccount", link("timeZone", "Mars/Base"), "TIME_ZONE_UNKNOWN", "input.timeZone"),
        ("linkAccount", link("password", ""), "SECRET_INVALID", "input.password"),
        ("requestLogin", json!({ "verificationCode": "12" }), "SECRET_INVALID", "input.verificationCode"),
        ("requestLogin", json!({}), "BOT_NO_ACCOUNT", ""),
        ("settleAction", settled, "NOT_FOUND", "input.actionId"),
        ("enableAutomation", json!({ "planHash": "xyz" }), "PLAN_HASH_INVALID", "input.planHash"),
        ("changeLimits", json!({ "like": 121 }), "BOT_LIMIT_ABOVE_CEILING", "input.like"),
        ("changeLimits", hours, "BOT_INVALID_HOURS", "input.workingHours"),
        ("initializeBot", json!({ "idempotencyKey": "" }), "IDEMPOTENCY_KEY_INVALID", "input.idempotencyKey"),
    ];
    assert_refused(&person, table).await;
    assert_eq!(bot(&person, "sequence").await["sequence"], 1);
    assert_eq!(app.world.count("SELECT count(*) FROM account_secrets WHERE erased_at IS NULL").await, 0);
    assert_eq!(app.world.count("SELECT count(*) FROM identity_claims WHERE kind = 'INSTAGRAM_ACCOUNT'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_campaign_is_refused_with_a_code_and_the_part_that_is_bad() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    let hashtag = |name: &str| with(campaign("x"), "source", json!({ "hashtag": { "name": name } }));
    let location = |pk: &str| with(campaign("x"), "source", json!({ "location": { "locationPk": pk } }));
    let (name, place) = ("input.source.hashtag.name", "input.source.location.locationPk");
    let none = with(campaign("x"), "maxTargets", json!(0));
    let table = [
        ("defineCampaign", hashtag(&"a".repeat(101)), "CAMPAIGN_INVALID_HASHTAG", name),
        ("defineCampaign", hashtag("two words"), "CAMPAIGN_INVALID_HASHTAG", name),
        ("defineCampaign", hashtag("#"), "CAMPAIGN_INVALID_HASHTAG", name),
        ("defineCampaign", location("Berlin"), "CAMPAIGN_INVALID_LOCATION", place),
        ("defineCampaign", none, "CAMPAIGN_INVALID_MAX_TARGETS", "input.maxTargets"),
        ("defineCampaign", campaign(" "), "CAMPAIGN_INVALID_NAME", "input.name"),
        ("archiveCampaign", json!({ "campaignId": "nothing" }), "NOT_FOUND", "input.campaignId"),
    ];
    assert_refused(&person, table).await;
    assert_eq!(app.world.count("SELECT count(*) FROM events WHERE aggregate_type = 'Campaign'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_that_changed_since_it_was_seen_is_not_enabled() {
    let app = TestApp::start().await;
    let person = app.logged_in("marta").await;
    let defined = person.client.done("defineCampaign", campaign("Coffee"), "campaign { id }").await;
    let fields = "bot { authorization { planHash } }";
    let authorized = person.client.done("authorizeAutomation", json!({ "mode": "DRY_RUN" }), fields).await;
    let hash = authorized["bot"]["authorization"]["planHash"].clone();
    let mut revision = campaign("More coffee");
    revision["campaignId"] = defined["campaign"]["id"].clone();
    revision["maxTargets"] = json!(50);
    let revised = person.client.done("reviseCampaign", revision, "campaign { name revision maxTargets }").await;
    assert_eq!(revised["campaign"], json!({ "name": "More coffee", "revision": 2, "maxTargets": 50 }));
    let (code, path) = person.client.refused("enableAutomation", json!({ "planHash": hash })).await;
    assert_eq!((code.as_str(), path), ("BOT_PLAN_CHANGED", json!(["input", "planHash"])));
    let again = person.client.done("authorizeAutomation", json!({ "mode": "DRY_RUN" }), fields).await;
    let hash = again["bot"]["authorization"]["planHash"].clone();
    app.world.clock.advance(TimeDelta::minutes(10));
    let (code, _) = person.client.refused("enableAutomation", json!({ "planHash": hash })).await;
    assert_eq!(code, "BOT_NOT_AUTHORIZED");
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_campaign_is_in_no_plan() {
    let app = TestApp::start().await;
    let person = app.logged_in("marta").await;
    let defined = person.client.done("defineCampaign", campaign("Coffee"), "campaign { id }").await;
    let id = defined["campaign"]["id"].clone();
    let archived = person.client.done("archiveCampaign", json!({ "campaignId": id }), "campaign { archived }").await;
    assert_eq!(archived["campaign"]["archived"], true);
    let (code, _) = person.client.refused("authorizeAutomation", json!({ "mode": "DRY_RUN" })).await;
    assert_eq!(code, "BOT_PLAN_EMPTY");
    let (code, path) = person.client.refused("archiveCampaign", json!({ "campaignId": id })).await;
    assert_eq!((code.as_str(), path), ("CAMPAIGN_COMMAND_NOT_ALLOWED", json!(["input", "campaignId"])));
    let lists =
        bot(&person, "active: campaigns { totalCount } all: campaigns(withArchived: true) { totalCount }").await;
    assert_eq!(lists, json!({ "active": { "totalCount": 0 }, "all": { "totalCount": 1 } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_says_what_will_happen() {
    let app = TestApp::start().await;
    let person = app.logged_in("marta").await;
    person.client.done("defineCampaign", campaign("Coffee"), "campaign { id }").await;
    let seen = bot(
        &person,
        "plan { hasDryRun campaigns { name } limits { counter perDay perHour }
                dry: expectedBehaviour(mode: DRY_RUN) live: expectedBehaviour(mode: LIVE) }",
    )
    .await;
    let plan = &seen["plan"];
    assert_eq!((&plan["hasDryRun"], &plan["campaigns"]), (&json!(false), &json!([{ "name": "Coffee" }])));
    let limits = plan["limits"].as_array().unwrap();
    assert!(limits.contains(&json!({ "counter": "LIKE", "perDay": 10, "perHour": 1 })), "{limits:?}");
    let text =
        |name: &str| plan[name].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<String>();
    assert!(
        text("dry").contains("likes up to 5 of the newest posts of #coffee")
            && text("dry").contains("Nothing is written")
    );
    assert!(text("live").contains("against Instagram's terms"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lowered_limits_hold_at_once_and_raised_ones_from_the_next_day() {
    let app = TestApp::start().await;
    let person = app.logged_in("marta").await;
    let fields = "limits { raisesAt workingHours { from until } counters { counter chosen perDay usual ceiling } }";
    let changed =
        person.client.done("changeLimits", json!({ "like": 4, "follow": 40 }), &format!("bot {{ {fields} }}")).await;
    let limits = &changed["bot"]["limits"];
    let of = |name: &str| {
        limits["counters"].as_array().unwrap().iter().find(|limit| limit["counter"] == name).unwrap().clone()
    };
    assert_eq!(of("LIKE"), json!({ "counter": "LIKE", "chosen": 4, "perDay": 4, "usual": 40, "ceiling": 120 }));
    assert_eq!(of("FOLLOW")["chosen"], 40);
    assert_eq!(of("FOLLOW")["perDay"], 5, "the warm-up holds");
    assert_eq!(limits["workingHours"], json!({ "from": 9, "until": 21 }));
    assert_eq!(limits["raisesAt"], "2026-03-02T23:00:00+00:00");
    let kept = person
        .client
        .done("changeLimits", json!({ "comment": 1 }), "bot { limits { counters { counter chosen } } }")
        .await;
    assert!(
        kept["bot"]["limits"]["counters"].as_array().unwrap().contains(&json!({ "counter": "FOLLOW", "chosen": 40 }))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doubt_is_shown_and_settled_by_the_person() {
    let app = TestApp::start_with(|deps| deps.settings.dry_run_waived = true).await;
    let person = app.logged_in("marta").await;
    let defined = person.client.done("defineCampaign", campaign("Coffee"), "campaign { id }").await;
    let authorized = person
        .client
        .done("authorizeAutomation", json!({ "mode": "LIVE" }), "bot { authorization { planHash } }")
        .await;
    let hash = authorized["bot"]["authorization"]["planHash"].clone();
    person.client.done("enableAutomation", json!({ "planHash": hash }), "bot { state }").await;
    let action_id = reserve(&app, &person).await;
    let open = bot(&person, "openAction { kind target } limits { counters { counter usedInDay } }").await;
    assert_eq!(open["openAction"], json!({ "kind": "LIKE", "target": "9_1" }));
    assert!(open["limits"]["counters"].as_array().unwrap().contains(&json!({ "counter": "LIKE", "usedInDay": 1 })));
    let waiting = bot(&person, "verdicts { kind free reason freesAt explanation }").await;
    let like =
        waiting["verdicts"].as_array().unwrap().iter().find(|verdict| verdict["kind"] == "LIKE").unwrap().clone();
    assert_eq!((&like["free"], &like["reason"]), (&json!(false), &json!("PACING")), "{like}");
    let doubt = Outcome::InDoubt { code: "NO_ANSWER".to_owned(), evidence: "the post shows no like".to_owned() };
    app.world.bot(person.id, BotCommand::RecordAction { action_id, outcome: doubt, at: app.world.clock.now() }).await;
    let shown = bot(&person, "inDoubt { actionId kind target }").await["inDoubt"][0].take();
    let id = shown["actionId"].clone();
    until("the doubt is in the list", || async {
        let listed = bot(
            &person,
            "actions(filter: { statuses: [IN_DOUBT] }) { totalCount nodes { id code campaign { id name } } }",
        )
        .await;
        let actions = &listed["actions"];
        let node = &actions["nodes"][0];
        let same = node["id"] == id && node["campaign"]["id"] == defined["campaign"]["id"];
        (actions["totalCount"] == 1 && same).then_some(())
    })
    .await;
    in_doubt_desk(&app, &person, &id).await;
    let settled = json!({ "actionId": id, "settlement": "NOT_PERFORMED", "note": "I looked" });
    let done = person.client.done("settleAction", settled.clone(), "bot { inDoubt { actionId } }").await;
    assert_eq!(done["bot"]["inDoubt"], json!([]));
    assert_eq!(person.client.refused("settleAction", settled).await.0, "BOT_NOT_IN_DOUBT");
    until("the counters balance", || async {
        let seen = bot(&person, "counters { kind mode counts { reserved failed inDoubt balanced } }").await;
        let counts = json!({ "reserved": 1, "failed": 1, "inDoubt": 0, "balanced": true });
        (seen["counters"][0]["counts"] == counts).then_some(())
    })
    .await;
}

/// The desk shows what is known of the action, and a look at Instagram is asked for once.
async fn in_doubt_desk(app: &TestApp, person: &Person, id: &Value) {
    let desk = "{ inDoubt { totalCount nodes { actionId kind target sentAt since text code evidence
        action { status } probe { status outcome } } } }";
    let seen = person.client.query(desk, json!({})).await["inDoubt"].take();
    assert_eq!(seen["totalCount"], 1);
    let node = &seen["nodes"][0];
    assert_eq!(&node["actionId"], id);
    assert_eq!((&node["code"], &node["evidence"]), (&json!("NO_ANSWER"), &json!("the post shows no like")));
    assert_eq!((&node["action"]["status"], &node["probe"]), (&json!("IN_DOUBT"), &json!(null)));
    assert!(node["sentAt"].is_string() && node["since"].is_string() && node["text"].is_null(), "{node}");
    let probe = json!({ "actionId": id, "idempotencyKey": "look once" });
    for _ in 0..2 {
        let begun = person.client.done("probeInDoubt", probe.clone(), "inDoubt { probe { status outcome } }").await;
        assert_eq!(begun["inDoubt"]["probe"], json!({ "status": "PENDING", "outcome": null }));
    }
    assert_eq!(app.world.count("SELECT count(*) FROM commands WHERE kind = 'probe_action'").await, 1);
    let stranger = app.user("tom").await;
    stranger.client.done("initializeBot", json!({}), "bot { state }").await;
    assert_eq!(stranger.client.query(desk, json!({})).await["inDoubt"]["totalCount"], 0);
    let (code, path) = stranger.client.refused("probeInDoubt", json!({ "actionId": id })).await;
    assert_eq!((code.as_str(), path), ("BOT_NOT_IN_DOUBT", json!(["input", "actionId"])));
}

async fn reserve(app: &TestApp, person: &Person) -> ActionId {
    let loaded = app.world.bus.load::<domain::bot::Bot>(&person.id.to_string()).await.expect("the bot loads");
    let enablement = loaded.state.enablement().expect("it is enabled");
    let enablement_id: EnablementId = enablement.enablement_id;
    let campaign_id = *enablement.unfinished.iter().next().expect("a campaign");
    let action_id = ActionId::from_uuid(TestEntropy.uuid());
    let reservation = NewReservation {
        action_id,
        run_id: RunId::from_uuid(TestEntropy.uuid()),
        campaign_id,
        enablement_id,
        kind: domain::bot::ActionKind::Like,
        target: "9_1".to_owned(),
        requests: 2,
        words: None,
        roll: 0.5,
        at: app.world.clock.now(),
    };
    app.world.bot(person.id, BotCommand::ReserveAction(reservation)).await;
    action_id
}

#[tokio::test(flavor = "multi_thread")]
async fn events_carry_the_requests_id_and_never_a_secret() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    person.client.done("initializeBot", json!({}), "bot { state }").await;
    let given = "0193a1b2-c3d4-7000-8000-00000000abcd";
    let query = "mutation Do($input: LinkAccountInput!) { linkAccount(input: $input) { userErrors { code } } }";
    let body = json!({ "query": query, "variables": { "input": account("marta") } });
    let answer = Answer::of(person.client.post("/graphql", &body).header("x-request-id", given)).await;
    assert_eq!(answer.body["data"]["linkAccount"]["userErrors"], json!([]), "{}", answer.body);
    person.client.done("requestLogin", json!({}), "bot { state }").await;
    let seen = bot(&person, "events(last: 2) { nodes { name sequence actor correlationId } }").await;
    let linked = &seen["events"]["nodes"][0];
    assert_eq!(linked["name"], "AccountLinked");
    assert_eq!((&linked["correlationId"], &linked["actor"]), (&json!(given), &json!(format!("user:{}", person.id))));
    let stored: Vec<String> = sqlx::query_scalar(
        "SELECT events::text FROM events
          UNION ALL SELECT account_secrets::text FROM account_secrets
          UNION ALL SELECT idempotency_keys::text FROM idempotency_keys
          UNION ALL SELECT audit_trail::text FROM audit_trail",
    )
    .fetch_all(app.world.pool())
    .await
    .unwrap();
    assert!(stored.len() > 4);
    let hex = hex_of(INSTAGRAM_PASSWORD);
    assert!(stored.iter().all(|row| !row.contains(INSTAGRAM_PASSWORD) && !row.contains(&hex)));
}

/// As PostgreSQL shows bytes.
fn hex_of(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_factor_code_is_sealed_for_the_login_that_asked_for_it() {
    let app = TestApp::start().await;
    let person = app.user("marta").await;
    person.client.done("initializeBot", json!({}), "bot { state }").await;
    person.client.done("linkAccount", account("marta"), "bot { state }").await;
    person.client.done("requestLogin", json!({}), "bot { state }").await;
    app.world.bot(person.id, BotCommand::RequireTwoFactor { attempt: 1, at: app.world.clock.now() }).await;
    assert_eq!(bot(&person, "login { twoFactorPending }").await["login"]["twoFactorPending"], true);
    let (code, path) = person.client.refused("requestLogin", json!({})).await;
    assert_eq!((code.as_str(), path), ("BOT_TWO_FACTOR_CODE_REQUIRED", json!(["input", "verificationCode"])));
    let done = person.client.done("requestLogin", json!({ "verificationCode": "123 456" }), "bot { state }").await;
    assert_eq!(done["bot"]["state"], "LOGGING_IN");
    let sql = "SELECT count(*) FROM account_secrets WHERE purpose = 'VERIFICATION_CODE' AND erased_at IS NULL";
    assert_eq!(app.world.count(sql).await, 1);
    let again = person.client.refused("requestLogin", json!({ "verificationCode": "654321" })).await;
    assert_eq!(again.0, "BOT_COMMAND_NOT_ALLOWED");
    assert_eq!(app.world.count(sql).await, 1, "the refused one is erased");
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_runs_faster_only_where_it_can() {
    let app = TestApp::start().await;
    let admin = app.admin().await.client;
    assert_eq!(admin.refused("setClockSpeed", json!({ "speed": 60.0 })).await.0, "CLOCK_NOT_ADJUSTABLE");
    let mut deps = app.world.deps();
    deps.clock_control = Some(app.world.clock.clone());
    let sandbox = crate::support::Server::start(deps).await;
    let mut admin = admin;
    admin.address = sandbox.address;
    let done = admin.done("setClockSpeed", json!({ "speed": 60.0 }), "engine { clockSpeed clockAdjustable }").await;
    assert_eq!(done["engine"], json!({ "clockSpeed": 60.0, "clockAdjustable": true }));
    let (code, path) = admin.refused("setClockSpeed", json!({ "speed": -1.0 })).await;
    assert_eq!((code.as_str(), path), ("CLOCK_SPEED_INVALID", json!(["input", "speed"])));
    let mut user = app.user("marta").await.client;
    user.address = sandbox.address;
    let done = user.done("setClockSpeed", json!({ "speed": 2.0 }), "engine { clockSpeed }").await;
    assert_eq!(done["engine"]["clockSpeed"], 2.0, "a sandbox is everybody's");
}
