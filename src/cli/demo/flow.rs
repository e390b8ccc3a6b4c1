//! The flow as users live it, several at a time: link, log in, test, plan with schedules, agree, enable dry, look, enable
//! live, switch off.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::client::{Client, get_json};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Codes of a refusal that says: this account is somebody else's.
const TAKEN: &str = "ACCOUNT_TAKEN";

/// How often each campaign runs, in minutes of the engine.
const INTERVAL_MINUTES: u32 = 30;

/// How the demo is played.
pub struct Script {
    pub sandbox_url: String,
    pub hashtag: Option<String>,
    pub targets: u32,
    pub speed: f64,
    pub deadline: Instant,
}

/// A user, and the account that their bot acts with.
pub struct Player {
    pub username: String,
    pub client: Client,
    pub account: String,
    /// Entries of the ledger after the dry run; there must be none.
    pub writes_after_dry_run: u64,
}

/// What was played, for the report.
pub struct Played {
    pub hashtag: String,
    pub engine_seconds: i64,
}

/// Plays a script.
pub struct Flow<'a> {
    pub players: &'a mut [Player],
    pub http: &'a reqwest::Client,
    pub script: &'a Script,
    pub output: Output,
}

impl Flow<'_> {
    /// Plays everything. Whatever happens, the clock runs at its usual speed afterwards.
    pub async fn play(&mut self) -> Result<Played, Failure> {
        let before = self.engine_now().await?;
        let played = self.acts().await;
        let slowed = self.set_speed(1.0).await;
        let hashtag = played?;
        slowed?;
        let engine_seconds = (self.engine_now().await? - before).num_seconds();
        Ok(Played { hashtag, engine_seconds })
    }

    async fn acts(&mut self) -> Result<String, Failure> {
        let world = get_json(self.http, &format!("{}/sandbox", self.script.sandbox_url)).await?;
        let hashtag = match &self.script.hashtag {
            Some(hashtag) => hashtag.clone(),
            None => world["hashtags"][0].as_str().unwrap_or("sunset").to_owned(),
        };
        for player in self.players.iter_mut() {
            player.client.must("initializeBot", json!({}), "bot { state }").await?;
            player.account = player.link(&world).await?;
            player.log_in(self.script.deadline).await?;
            output::note(format!("  {} linked {} and logged in", player.username, player.account));
            for module in ["LIKE", "FOLLOW"] {
                player.define(module, &hashtag, self.script.targets).await?;
            }
        }
        output::note(format!("  each likes and follows on #{hashtag}, every {INTERVAL_MINUTES} minutes"));
        self.act("DRY_RUN", "dry run").await?;
        for player in self.players.iter_mut() {
            let ledger = ledger(self.http, &self.script.sandbox_url, &player.account).await?;
            player.writes_after_dry_run = ledger["totals"]["entries"].as_u64().unwrap_or(u64::MAX);
        }
        self.act("LIVE", "live run").await?;
        Ok(hashtag)
    }

    /// Enables all bots in `mode`, lets time run fast until each campaign has run, and switches them off.
    async fn act(&self, mode: &str, what: &str) -> Result<(), Failure> {
        for player in self.players.iter() {
            let since = self.engine_now().await?;
            player.enable(mode, since, self.script.deadline).await?;
        }
        output::note(format!(
            "  {what}: {} bots are enabled, and wait until their campaigns are due",
            self.players.len()
        ));
        self.set_speed(self.script.speed).await?;
        let ran = self.run_to_end(what).await;
        self.set_speed(1.0).await?;
        ran?;
        for player in self.players.iter() {
            let input = json!({ "reason": "the demo's act is over" });
            player.client.must("disableAutomation", input, "bot { state }").await?;
            // What was under way at that moment comes to its end.
            let settled = player.until("the end of what was under way", self.script.deadline, |bot| {
                let open = bot["totals"].as_array()?.iter().filter_map(|total| total["counts"]["open"].as_u64());
                (open.sum::<u64>() == 0).then_some(())
            });
            settled.await?;
        }
        Ok(())
    }

    async fn run_to_end(&self, what: &str) -> Result<(), Failure> {
        let targets = u64::from(self.script.targets) * 2 * self.players.len() as u64;
        let bar = self.output.progress(Some(targets), what);
        for player in self.players.iter() {
            let done = bar.position();
            let ended = player.until(what, self.script.deadline, |bot| {
                if bot["state"] != "RUNNING" {
                    return Some(Err(bot["state"].as_str().unwrap_or_default().to_owned()));
                }
                let settled = ["performed", "simulated", "refused", "failed", "inDoubt"];
                let runs = bot["runs"]["nodes"].as_array().into_iter().flatten();
                let counts =
                    runs.map(|run| settled.iter().filter_map(|name| run["counts"][name].as_u64()).sum::<u64>());
                bar.set_position(done + counts.sum::<u64>());
                let is_over = bot["enablement"]["unfinishedCampaigns"].as_array().is_some_and(Vec::is_empty);
                is_over.then_some(Ok(()))
            });
            ended.await?.map_err(|state| {
                let message = format!("the {what} of {} stopped: the bot is {state}", player.account);
                Failure::new("DEMO_STOPPED", Exit::Software, message).hint("the bot's events say why")
            })?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The clock is everybody's, so any user can ask.
    fn anybody(&self) -> Result<&Client, Failure> {
        let first = self.players.first().map(|player| &player.client);
        first.ok_or_else(|| Failure::new("DEMO_NO_ACCOUNT", Exit::Usage, "nobody plays").hint("use --bots 1 or more"))
    }

    async fn set_speed(&self, speed: f64) -> Result<(), Failure> {
        self.anybody()?.must("setClockSpeed", json!({ "speed": speed }), "engine { clockSpeed }").await?;
        Ok(())
    }

    async fn engine_now(&self) -> Result<DateTime<Utc>, Failure> {
        let data = self.anybody()?.ask("{ engine { now } }", json!({})).await?;
        data["engine"]["now"]
            .as_str()
            .and_then(|now| now.parse().ok())
            .ok_or_else(|| Failure::new("DEMO_API", Exit::Software, "the API's clock does not read"))
    }
}

/// What the platform saw of `account`.
pub async fn ledger(http: &reqwest::Client, sandbox_url: &str, account: &str) -> Result<Value, Failure> {
    get_json(http, &format!("{sandbox_url}/sandbox/ledger?account={account}")).await
}

impl Player {
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

    async fn log_in(&self, deadline: Instant) -> Result<(), Failure> {
        self.client.must("requestLogin", json!({}), "bot { state }").await?;
        let logged_in = self.until("the login", deadline, |bot| match bot["state"].as_str() {
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

    /// A campaign that runs by a schedule.
    async fn define(&self, module: &str, hashtag: &str, targets: u32) -> Result<(), Failure> {
        let input = json!({
            "name": format!("{module} #{hashtag}"),
            "module": module,
            "source": { "hashtag": { "name": hashtag, "tab": "RECENT" } },
            "maxTargets": targets,
        });
        let defined = self.client.must("defineCampaign", input, "campaign { id }").await?;
        let timing = json!({ "interval": { "everyMinutes": INTERVAL_MINUTES } });
        let input = json!({ "campaignId": defined["campaign"]["id"], "schedule": { "timing": timing } });
        self.client.must("setCampaignSchedule", input, "campaign { id }").await?;
        Ok(())
    }

    /// Tests the connection, then the two steps.
    async fn enable(&self, mode: &str, since: DateTime<Utc>, deadline: Instant) -> Result<(), Failure> {
        self.client.must("testConnection", json!({}), "bot { state }").await?;
        self.until("the connection test", deadline, |bot| {
            let verified: DateTime<Utc> = bot["login"]["verifiedAt"].as_str()?.parse().ok()?;
            (verified >= since).then_some(())
        })
        .await?;
        let fields = "bot { authorization { planHash } }";
        let payload = self.client.must("authorizeAutomation", json!({ "mode": mode }), fields).await?;
        let plan_hash = &payload["bot"]["authorization"]["planHash"];
        self.client.must("enableAutomation", json!({ "planHash": plan_hash }), "bot { state }").await?;
        Ok(())
    }

    /// Looks at the bot until `done` says something.
    async fn until<T>(
        &self,
        what: &str,
        deadline: Instant,
        mut done: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T, Failure> {
        const BOT: &str = "{ viewer { bot {
            state
            login { verifiedAt }
            enablement { unfinishedCampaigns { id } }
            totals { counts { open } }
            runs(first: 2) { nodes { counts { performed simulated refused failed inDoubt } } }
        } } }";
        loop {
            let data = self.client.ask(BOT, json!({})).await?;
            if let Some(value) = done(&data["viewer"]["bot"]) {
                return Ok(value);
            }
            if Instant::now() >= deadline {
                return Err(Failure::new("DEMO_TIMEOUT", Exit::TryLater, format!("{what} took too long"))
                    .hint("give it longer with --timeout, or look at the log of `reprise up`"));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
