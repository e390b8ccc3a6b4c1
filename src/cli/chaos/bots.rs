//! The bots: each with a user, an account of the sandbox and two campaigns that run again and again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::Play;
use super::scene::Scene;
use crate::cli::demo::client::{Client, get_json};
use crate::failure::{Exit, Failure};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a campaign runs, in minutes of the engine.
const INTERVAL_MINUTES: u32 = 20;
const TARGETS: u32 = 3;

/// A bot, and its user's way to the API.
pub struct Bot {
    pub id: Uuid,
    pub account: String,
    client: Client,
}

/// Brings the bots on, one after another: linked, logged in, scheduled and enabled in earnest.
pub async fn bring_on(scene: &Scene, play: &Play) -> Result<Vec<Bot>, Failure> {
    let world = get_json(&scene.http, &format!("{}/sandbox", scene.sandbox_url())).await?;
    let accounts: Vec<&str> = world["accounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|account| account["login"] == "PLAIN")
        .filter_map(|account| account["username"].as_str())
        .collect();
    let mut bots = Vec::new();
    for account in accounts.into_iter().take(usize::try_from(play.bots).unwrap_or(1)) {
        bots.push(bring_on_one(scene, play, account, &world).await?);
    }
    Ok(bots)
}

async fn bring_on_one(scene: &Scene, play: &Play, account: &str, world: &Value) -> Result<Bot, Failure> {
    let (username, password) = crate::cli::user::demo_user(scene.config()).await?;
    let client = Client::sign_in(scene.api_url(), &username, &password).await?;
    client.must("initializeBot", json!({}), "bot { state }").await?;
    let link = json!({ "username": account, "password": world["password"], "timeZone": "UTC", "consent": "yes" });
    client.must("linkAccount", link, "bot { state }").await?;
    let around_the_clock = json!({ "workingHours": { "from": 0, "until": 24 } });
    client.must("changeLimits", around_the_clock, "bot { state }").await?;
    client.must("requestLogin", json!({}), "bot { state }").await?;
    until(&client, play.deadline, "the login", |bot| bot["state"] == "LOGGED_IN").await?;
    let hashtags = world["hashtags"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (module, hashtag) in ["LIKE", "FOLLOW"].into_iter().zip(hashtags) {
        let campaign = json!({
            "name": format!("{module} of chaos"), "module": module, "maxTargets": TARGETS,
            "source": { "hashtag": { "name": hashtag, "tab": "RECENT" } },
        });
        let defined = client.must("defineCampaign", campaign, "campaign { id }").await?;
        let timing = json!({ "interval": { "everyMinutes": INTERVAL_MINUTES } });
        let schedule = json!({ "campaignId": defined["campaign"]["id"], "schedule": { "timing": timing } });
        client.must("setCampaignSchedule", schedule, "campaign { id }").await?;
    }
    enable(&client, play).await?;
    let id = sqlx::query_scalar("SELECT user_id FROM users WHERE username = $1")
        .bind(&username)
        .fetch_one(scene.pool())
        .await
        .map_err(store::StoreError::from)?;
    Ok(Bot { id, account: account.to_owned(), client })
}

/// Both steps. On a fast clock ten minutes are short: what comes too late is asked again.
async fn enable(client: &Client, play: &Play) -> Result<(), Failure> {
    loop {
        client.must("testConnection", json!({}), "bot { state }").await?;
        until(client, play.deadline, "the connection test", |bot| bot["login"]["verifiedAt"].is_string()).await?;
        let fields = "bot { authorization { planHash } }";
        if let Ok(agreed) = client.mutate("authorizeAutomation", json!({ "mode": "LIVE" }), fields).await? {
            let plan_hash = &agreed["bot"]["authorization"]["planHash"];
            let input = json!({ "planHash": plan_hash });
            if client.mutate("enableAutomation", input, "bot { state }").await?.is_ok() {
                return Ok(());
            }
        }
        if Instant::now() >= play.deadline {
            return Err(Failure::new("CHAOS_TIMEOUT", Exit::TryLater, "enabling a bot took too long"));
        }
        sleep(LOOK_EVERY).await;
    }
}

impl Bot {
    /// The person switches the bot off.
    pub async fn switch_off(&self) -> Result<(), Failure> {
        // A bot that has stopped by itself is off already.
        let input = json!({ "reason": "the chaos is over" });
        self.client.mutate("disableAutomation", input, "bot { state }").await.map(|_| ())
    }
}

/// Looks at a user's bot until it is as `is` says.
async fn until(client: &Client, deadline: Instant, what: &str, is: impl Fn(&Value) -> bool) -> Result<(), Failure> {
    loop {
        let data = client.ask("{ viewer { bot { state login { verifiedAt } } } }", json!({})).await?;
        if is(&data["viewer"]["bot"]) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::new("CHAOS_TIMEOUT", Exit::TryLater, format!("{what} took too long")));
        }
        sleep(LOOK_EVERY).await;
    }
}
