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
use self::flow::{Flow, Script};
use self::report::Report;
use super::SettingFlags;
use crate::bootstrap::running::Running;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::telemetry;

#[derive(Debug, Args)]
pub struct DemoCommand {
    /// Address of the API [default: that of the `reprise up` on the data folder]
    #[arg(long)]
    url: Option<String>,
    /// User to play as [default: a new one]
    #[arg(long, requires = "password")]
    username: Option<String>,
    /// Password of that user
    #[arg(long, requires = "username", env = "REPRISE_DEMO_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Hashtag to like the newest posts of [default: one that the sandbox has]
    #[arg(long)]
    hashtag: Option<String>,
    /// Posts to like
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=50))]
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
    let base = command.url.or(running.api_url).unwrap_or_else(|| format!("http://{}", config.listen));
    let sandbox_url = running.sandbox_url.ok_or_else(|| {
        Failure::new(
            "DEMO_NEEDS_SANDBOX",
            Exit::Config,
            "the demo plays on the sandbox, and this service has a gateway",
        )
        .hint("start `reprise up` without gateway_url")
    })?;
    let (username, password) = match (command.username, command.password) {
        (Some(username), Some(password)) => (username, password),
        _ => super::user::demo_user(&config).await?,
    };
    let script = Script {
        sandbox_url,
        hashtag: command.hashtag,
        targets: command.targets,
        speed: command.speed,
        deadline: begun + Duration::from_secs(command.timeout),
    };
    output::note(format!("playing as {username} at {base}"));
    let client = Client::sign_in(&base, &username, &password).await?;
    let http = client::plain()?;
    let flow = Flow { client: &client, http: &http, script: &script, output };
    let played = flow.play().await?;
    let ledger = flow.ledger(&played.account).await?;
    let (events, counters) = (report::events(&client).await?, report::counters(&client).await?);
    let report = Report::of(username, begun.elapsed().as_secs_f64(), played, events, counters, ledger);
    output.result(&report, Report::text);
    Ok(if report.agree { ExitCode::SUCCESS } else { Exit::Disagreement.into() })
}
