//! `reprise audit`: whether the stored log is what was written, batch by batch.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use sqlx::PgPool;
use store::audit::{self, AuditError};
use store::repository::DEFAULT_SHARD;

use super::SettingFlags;
use crate::bootstrap::core::{Core, writer_name};
use crate::bootstrap::database::Database;
use crate::failure::Failure;
use crate::output::Output;
use crate::telemetry;

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Recompute the hashes of the whole log and name the first batch that is not what was written
    Verify(SettingFlags),
}

#[derive(Debug, Serialize)]
struct Report {
    batches: u64,
    events: u64,
    head: i64,
    /// Kept elsewhere and compared later, it shows a log that was rewritten as a whole.
    chain_hash: String,
}

pub async fn run(command: AuditCommand, output: Output) -> Result<ExitCode, Failure> {
    let AuditCommand::Verify(settings) = command;
    let config = settings.load()?;
    telemetry::start("warn", config.log_format)?;
    let database = Database::open(&config).await?;
    let done = verify(database.pool(), output).await;
    database.close().await;
    done
}

async fn verify(pool: &PgPool, output: Output) -> Result<ExitCode, Failure> {
    store::migrate(pool).await?;
    let core = Core::start(pool, &writer_name()).await?;
    let head = core.repository().head(DEFAULT_SHARD).await;
    let verified = match head {
        Ok(head) => {
            let bar = output.progress(u64::try_from(head).ok(), "verifying");
            let told = |position| bar.set_position(u64::try_from(position).unwrap_or(0));
            let verified = audit::verify(pool, core.repository().as_ref(), DEFAULT_SHARD, told).await;
            bar.finish_and_clear();
            verified
        }
        Err(error) => Err(AuditError::Store(error)),
    };
    core.close().await;
    let verified = verified?;
    let report = Report {
        batches: verified.batches,
        events: verified.events,
        head: verified.head,
        chain_hash: hex::encode(verified.chain_hash),
    };
    output.result(&report, |report| {
        let Report { batches, events, head, chain_hash } = report;
        format!(
            "{events} events in {batches} batches up to position {head} are what was written\nchain hash {chain_hash}"
        )
    });
    Ok(ExitCode::SUCCESS)
}
