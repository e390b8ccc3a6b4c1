//! `reprise doctor`: looks at everything that a start needs, and at what runs, and says what to do. It changes nothing.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use serde::Serialize;
use store::embedded;
use workers::platform::{Call, Deadline, Gateway, GatewayConfig, Platform};

use super::SettingFlags;
use crate::bootstrap::database::Database;
use crate::bootstrap::running::Running;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::telemetry;

const MIB: u64 = 1024 * 1024;
const SPACE_TO_START: u64 = 256 * MIB;
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Finding {
    Good,
    Warning,
    Bad,
}

#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    finding: Finding,
    detail: String,
    /// What to do about it.
    hint: Option<String>,
}

impl Check {
    fn good(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, finding: Finding::Good, detail: detail.into(), hint: None }
    }

    fn warning(what: &'static str, detail: impl Into<String>, hint: &str) -> Self {
        Self { what, finding: Finding::Warning, detail: detail.into(), hint: Some(hint.to_owned()) }
    }

    fn bad(what: &'static str, failure: Failure) -> Self {
        let mut parts = vec![failure.code.to_owned(), failure.message.clone()];
        parts.extend(failure.causes());
        let detail = parts.join(": ");
        Self { what, finding: Finding::Bad, detail, hint: failure.hint }
    }
}

#[derive(Debug, Serialize)]
struct Diagnosis {
    healthy: bool,
    checks: Vec<Check>,
}

pub async fn run(flags: &SettingFlags, output: Output) -> Result<ExitCode, Failure> {
    let diagnosis = match flags.load() {
        Ok(config) => {
            telemetry::start("error", config.log_format)?;
            examine(&config).await
        }
        Err(error) => vec![Check::bad("settings", error.into())],
    };
    let healthy = diagnosis.iter().all(|check| check.finding != Finding::Bad);
    output.result(&Diagnosis { healthy, checks: diagnosis }, text);
    Ok(if healthy { ExitCode::SUCCESS } else { Exit::Disagreement.into() })
}

async fn examine(config: &Config) -> Vec<Check> {
    let running = Running::find(&config.data_dir);
    let mut checks = vec![Check::good("settings", "valid"), data_dir(&config.data_dir)];
    if config.database_url.is_none() {
        checks.push(programs(config));
    }
    checks.push(database(config, running.as_ref()).await);
    checks.push(service(running.as_ref()).await);
    if let Some(url) = &config.gateway_url {
        checks.push(gateway(url).await);
    }
    checks
}

fn data_dir(path: &Path) -> Check {
    let what = "data folder";
    // The folder may not be there yet; then the disk of the nearest one that is.
    let Some(existing) = path.ancestors().find(|folder| folder.exists()) else {
        return Check::warning(
            what,
            format!("{} leads nowhere", path.display()),
            "name another folder with --data-dir",
        );
    };
    let space = statvfs(existing).map(|stat| stat.blocks_available().saturating_mul(stat.fragment_size()));
    match space {
        Ok(space) if space < SPACE_TO_START => {
            let detail = format!("{}: only {} MiB are free", path.display(), space / MIB);
            Check::warning(what, detail, "free some space, or name another folder with --data-dir")
        }
        Ok(space) if existing == path => Check::good(what, format!("{}, {} MiB free", path.display(), space / MIB)),
        Ok(_) => Check::good(what, format!("{} is made at the first start", path.display())),
        Err(errno) => Check::warning(what, format!("{}: {errno}", path.display()), "see that the disk is there"),
    }
}

fn programs(config: &Config) -> Check {
    let what = "PostgreSQL programs";
    match embedded::server_program(config.postgres_bin_dir.as_deref()) {
        Ok(program) => {
            let version = Command::new(&program).arg("--version").output();
            let version = version.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
            Check::good(what, format!("{} ({})", program.display(), version.unwrap_or_default()))
        }
        Err(error) => Check::bad(what, error.into()),
    }
}

async fn database(config: &Config, running: Option<&Running>) -> Check {
    let what = "database";
    let private = running.and_then(|running| running.database_url.as_ref());
    if config.database_url.is_none() && private.is_none() {
        return Check::good(what, "a private one, which runs only with `reprise up`");
    }
    match Database::open(config).await {
        Ok(database) => {
            let events = sqlx::query_scalar::<_, i64>("SELECT head FROM shards WHERE shard = 0");
            let check = match events.fetch_one(database.pool()).await {
                Ok(head) => Check::good(what, format!("answers, and holds {head} events")),
                Err(_) => Check::warning(what, "answers, and has no schema yet", "run `reprise migrate`"),
            };
            database.close().await;
            check
        }
        Err(failure) => Check::bad(what, failure),
    }
}

async fn service(running: Option<&Running>) -> Check {
    let what = "service";
    let Some(running) = running else {
        return Check::good(what, "nothing runs on this data folder");
    };
    let Some(url) = &running.api_url else {
        return Check::good(what, format!("process {} runs without an API", running.process));
    };
    let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).build();
    let answer = match client {
        Ok(client) => client.get(format!("{url}/health/ready")).send().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) if answer.status().is_success() => {
            Check::good(what, format!("process {} is ready at {url}", running.process))
        }
        Ok(answer) => {
            let said = answer.text().await.unwrap_or_default();
            Check::bad(
                what,
                Failure::new("SERVICE_NOT_READY", Exit::Unavailable, format!("{url} is not ready: {said}"))
                    .hint("see the checks in the answer, and the log"),
            )
        }
        Err(error) => Check::bad(
            what,
            Failure::new("SERVICE_NO_ANSWER", Exit::Unavailable, format!("{url} does not answer"))
                .hint("see the log of the process")
                .caused_by(error),
        ),
    }
}

async fn gateway(url: &str) -> Check {
    let what = "gateway";
    let gateway = match Gateway::try_new(GatewayConfig::new(url)) {
        Ok(gateway) => gateway,
        Err(error) => return Check::bad(what, error.into()),
    };
    match gateway.build(Call::service(Deadline::within(ANSWER_LIMIT))).await {
        Ok(build) => Check::good(what, format!("{url}, version {}", build.version)),
        Err(error) => Check::bad(
            what,
            Failure::new(error.code(), Exit::Unavailable, error.to_string())
                .hint("see that the gateway runs, and that its version is one that is known"),
        ),
    }
}

fn text(diagnosis: &Diagnosis) -> String {
    let rows = diagnosis.checks.iter().map(|check| {
        let mark = match check.finding {
            Finding::Good => "good",
            Finding::Warning => "WARNING",
            Finding::Bad => "BAD",
        };
        let hint = check.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
        [check.what.to_owned(), mark.to_owned(), format!("{}{hint}", check.detail)]
    });
    output::table(["WHAT", "FINDING", "DETAIL"], rows)
}
