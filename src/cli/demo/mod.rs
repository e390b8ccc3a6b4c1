//! `reprise demo`: the whole flow over the public API of a running `reprise up`, and whether everybody agrees on it.
//!
//! It knows nothing of the engine's inside: it signs in, asks and looks like any user's program, and reads the
//! platform's own ledger beside that.

pub(super) mod client;
mod flow;
mod report;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use self::client::Client;
use self::flow::{Flow, Player, Script};
use self::report::{Books, Report};
use super::SettingFlags;
use crate::bootstrap::running::Running;
use crate::config::{Config, DEMO_PASSWORD_VARIABLE};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::telemetry;

#[derive(Debug, Args)]
pub struct DemoCommand {
    /// Address of the API [default: that of the `reprise up` on the data folder]
    #[arg(long)]
    url: Option<String>,
    /// User to play as, alone [default: new ones]
    #[arg(long, requires = "password")]
    username: Option<String>,
    /// Password of that user; without one it is not looked at
    #[arg(long, env = DEMO_PASSWORD_VARIABLE, hide_env_values = true)]
    password: Option<String>,
    /// Bots that play, each of a user of its own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10))]
    bots: u32,
    /// Hashtag whose newest posts are liked and whose authors are followed [default: one that the sandbox has]
    #[arg(long)]
    hashtag: Option<String>,
    /// Posts and people of each run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    targets: u32,
    /// Engine seconds in a real second while the bot works
    #[arg(long, default_value_t = 3_000.0)]
    speed: f64,
    /// Give up after so many seconds
    #[arg(long, default_value_t = 110)]
    timeout: u64,
    #[command(flatten)]
    settings: SettingFlags,
}

pub async fn run(command: DemoCommand, output: Output) -> Result<ExitCode, Failure> {
    let config = command.settings.load()?;
    telemetry::start("warn", config.log_format)?;
    let begun = Instant::now();
    let running = Running::find(&config.data_dir).ok_or_else(|| {
        Failure::new("DEMO_NOTHING_RUNS", Exit::Unavailable, "no `reprise up` runs on this data folder")
            .hint("start it with `make up` in another terminal, and wait until it says that it is ready")
    })?;
    let base = command.url.clone().or(running.api_url).unwrap_or_else(|| format!("http://{}", config.listen));
    let sandbox_url = running.sandbox_url.ok_or_else(|| {
        Failure::new(
            "DEMO_NEEDS_SANDBOX",
            Exit::Config,
            "the demo plays on the sandbox, and this service has a gateway",
        )
        .hint("start `reprise up` without gateway_url")
    })?;
    let mut players = Vec::new();
    for (username, password) in users(&command, &config).await? {
        let client = Client::sign_in(&base, &username, &password).await?;
        players.push(Player { username, client, account: String::new(), writes_after_dry_run: 0 });
    }
    let script = Script {
        sandbox_url,
        hashtag: command.hashtag.clone(),
        targets: command.targets,
        speed: command.speed,
        deadline: begun + Duration::from_secs(command.timeout),
    };
    output::note(format!("{} bots play at {base}", players.len()));
    let http = client::plain()?;
    let played = Flow { players: &mut players, http: &http, script: &script, output }.play().await?;
    let mut books = Vec::new();
    for player in players {
        let ledger = flow::ledger(&http, &script.sandbox_url, &player.account).await?;
        let (events, counters) = (report::events(&player.client).await?, report::counters(&player.client).await?);
        books.push(Books::of(&player, events, counters, &ledger));
    }
    let report = Report::of(begun.elapsed().as_secs_f64(), played, books);
    output.result(&report, Report::text);
    Ok(if report.agree { ExitCode::SUCCESS } else { Exit::Disagreement.into() })
}

/// Who plays.
async fn users(command: &DemoCommand, config: &Config) -> Result<Vec<(String, String)>, Failure> {
    if let (Some(username), Some(password)) = (&command.username, &command.password) {
        return Ok(vec![(username.clone(), password.clone())]);
    }
    let mut users = Vec::new();
    for _ in 0..command.bots {
        users.push(super::user::demo_user(config).await?);
    }
    Ok(users)
}
