//! The flow as a user lives it: link, log in, test, plan, agree, enable dry, look, enable live, switch off.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::client::{Client, get_json};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Codes of a refusal that says: this account is somebody else's.
const TAKEN: &str = "ACCOUNT_TAKEN";

/// How the demo is played.
pub struct Script {
    pub sandbox_url: String,
    pub hashtag: Option<String>,
    pub targets: u32,
    pub speed: f64,
    pub deadline: Instant,
}

/// What was played, for the report.
pub struct Played {
    pub account: String,
    pub hashtag: String,
    /// Entries of the ledger after the dry run; there must be none.
    pub writes_after_dry_run: u64,
    pub engine_seconds: i64,
}

/// Plays a script.
pub struct Flow<'a> {
    pub client: &'a Client,
    pub http: &'a reqwest::Client,
    pub script: &'a Script,
    pub output: Output,
}

impl Flow<'_> {
    /// Plays everything. Whatever happens, the clock runs at its usual speed afterwards.
    pub async fn play(&self) -> Result<Played, Failure> {
        let before = self.engine_now().await?;
        let played = self.acts().await;
        let slowed = self.set_speed(1.0).await;
        let mut played = played?;
        slowed?;
        played.engine_seconds = (self.engine_now().await? - before).num_seconds();
        Ok(played)
    }

    async fn acts(&self) -> Result<Played, Failure> {
        let world = get_json(self.http, &format!("{}/sandbox", self.script.sandbox_url)).await?;
        let hashtag = match &self.script.hashtag {
            Some(hashtag) => hashtag.clone(),
            None => world["hashtags"][0].as_str().unwrap_or("sunset").to_owned(),
        };
        self.client.must("initializeBot", json!({}), "bot { state }").await?;
        let account = self.link(&world).await?;
        output::note(format!("  linked {account}"));
        self.log_in().await?;
        output::note("  logged in; the session is sealed and kept");
        self.define(&hashtag).await?;
        self.enable("DRY_RUN").await?;
        output::note("  dry run enabled: nothing is written to the platform");
        self.run_to_end("dry run").await?;
        self.switch_off().await?;
        let writes_after_dry_run = self.ledger(&account).await?["totals"]["entries"].as_u64().unwrap_or(u64::MAX);
        self.enable("LIVE").await?;
        output::note(format!("  live on #{hashtag}"));
        self.run_to_end("live run").await?;
        self.switch_off().await?;
        Ok(Played { account, hashtag, writes_after_dry_run, engine_seconds: 0 })
    }

    /// What the platform saw of `account`.
    pub async fn ledger(&self, account: &str) -> Result<Value, Failure> {
        get_json(self.http, &format!("{}/sandbox/ledger?account={account}", self.script.sandbox_url)).await
    }

    /// Links the first account that nobody has linked.
    async fn link(&self, world: &Value) -> Result<String, Failure> {
        let password = world["password"].as_str().unwrap_or_default();
        let accounts = world["accounts"].as_array().map(Vec::as_slice).unwrap_or_default();
        for account in accounts.iter().filter(|account| account["login"] == "PLAIN") {
            let username = account["username"].as_str().unwrap_or_default();
            let input = json!({
                "username": username, "password": password, "timeZone": "Europe/Istanbul", "consent": "yes",
            });
            match self.client.mutate("linkAccount", input, "bot { state }").await? {
                Ok(_) => return Ok(username.to_owned()),
                Err(refusal) if refusal.code == TAKEN => {}
                Err(refusal) => {
                    let message = format!("{username} could not be linked: {} ({})", refusal.message, refusal.code);
                    return Err(Failure::new("DEMO_REFUSED", Exit::Software, message));
                }
            }
        }
        Err(Failure::new("DEMO_NO_ACCOUNT", Exit::Unavailable, "every account that the sandbox lists is linked")
            .hint("start `reprise up` on a fresh data folder"))
    }

    async fn log_in(&self) -> Result<(), Failure> {
        self.client.must("requestLogin", json!({}), "bot { state }").await?;
        let logged_in = self.until("the login", |bot| match bot["state"].as_str() {
            Some("LOGGED_IN") => Some(true),
            Some("LOGGING_IN") => None,
            _ => Some(false),
        });
        if logged_in.await? {
            return Ok(());
        }
        Err(Failure::new("DEMO_LOGIN", Exit::Software, "the login did not succeed")
            .hint("the bot's events say why: `reprise events` or the API's bot.events"))
    }

    async fn define(&self, hashtag: &str) -> Result<(), Failure> {
        let input = json!({
            "name": format!("Like #{hashtag}"),
            "module": "LIKE",
            "source": { "hashtag": { "name": hashtag, "tab": "RECENT" } },
            "maxTargets": self.script.targets,
        });
        self.client.must("defineCampaign", input, "campaign { id }").await?;
        Ok(())
    }

    /// Tests the connection, then the two steps.
    async fn enable(&self, mode: &str) -> Result<(), Failure> {
        let since = self.engine_now().await?;
        self.client.must("testConnection", json!({}), "bot { state }").await?;
        self.until("the connection test", |bot| {
            let verified: chrono::DateTime<chrono::Utc> = bot["login"]["verifiedAt"].as_str()?.parse().ok()?;
            (verified >= since).then_some(())
        })
        .await?;
        let fields = "bot { authorization { planHash } }";
        let payload = self.client.must("authorizeAutomation", json!({ "mode": mode }), fields).await?;
        let plan_hash = &payload["bot"]["authorization"]["planHash"];
        self.client.must("enableAutomation", json!({ "planHash": plan_hash }), "bot { state }").await?;
        Ok(())
    }

    /// Lets time run fast until the run is over.
    async fn run_to_end(&self, what: &str) -> Result<(), Failure> {
        self.set_speed(self.script.speed).await?;
        let bar = self.output.progress(Some(u64::from(self.script.targets)), what);
        let ended = self
            .until(what, |bot| {
                if bot["state"] != "RUNNING" {
                    return Some(Err(bot["state"].as_str().unwrap_or_default().to_owned()));
                }
                let run = &bot["runs"]["nodes"][0];
                let counts = &run["counts"];
                let settled = ["performed", "simulated", "refused", "failed", "inDoubt"];
                bar.set_position(settled.iter().filter_map(|name| counts[name].as_u64()).sum());
                let is_over = bot["enablement"]["unfinishedCampaigns"].as_array().is_some_and(Vec::is_empty);
                is_over.then_some(Ok(()))
            })
            .await;
        bar.finish_and_clear();
        self.set_speed(1.0).await?;
        ended?.map_err(|state| {
            Failure::new("DEMO_STOPPED", Exit::Software, format!("the {what} stopped: the bot is {state}"))
                .hint("the bot's events say why")
        })
    }

    async fn switch_off(&self) -> Result<(), Failure> {
        self.client.must("disableAutomation", json!({ "reason": "the demo's act is over" }), "bot { state }").await?;
        Ok(())
    }

    async fn set_speed(&self, speed: f64) -> Result<(), Failure> {
        self.client.must("setClockSpeed", json!({ "speed": speed }), "engine { clockSpeed }").await?;
        Ok(())
    }

    async fn engine_now(&self) -> Result<chrono::DateTime<chrono::Utc>, Failure> {
        let data = self.client.ask("{ engine { now } }", json!({})).await?;
        data["engine"]["now"]
            .as_str()
            .and_then(|now| now.parse().ok())
            .ok_or_else(|| Failure::new("DEMO_API", Exit::Software, "the API's clock does not read"))
    }

    /// Looks at the bot until `done` says something.
    async fn until<T>(&self, what: &str, mut done: impl FnMut(&Value) -> Option<T>) -> Result<T, Failure> {
        const BOT: &str = "{ viewer { bot {
            state
            login { verifiedAt }
            enablement { unfinishedCampaigns { id } }
            runs(first: 1) { nodes { counts { performed simulated refused failed inDoubt } } }
        } } }";
        loop {
            let data = self.client.ask(BOT, json!({})).await?;
            if let Some(value) = done(&data["viewer"]["bot"]) {
                return Ok(value);
            }
            if Instant::now() >= self.script.deadline {
                return Err(Failure::new("DEMO_TIMEOUT", Exit::TryLater, format!("{what} took too long"))
                    .hint("give it longer with --timeout, or look at the log of `reprise up`"));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
