//! `reprise events tail`.

use std::process::ExitCode;

use clap::Args;
use store::event::RawEvent;
use store::log::LogReader;
use store::repository::DEFAULT_SHARD;

use super::super::SettingFlags;
use super::super::log_access::{LogAccess, PAGE, StreamName};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::shutdown;

/// Shows the newest events of the log or of one stream, a line each; with --json, the lines of an export.
#[derive(Debug, Args)]
pub struct Tail {
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=100_000))]
    lines: i64,
    /// Go on with those that come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only this stream, such as Bot-ID
    #[arg(long, value_name = "STREAM")]
    stream: Option<StreamName>,
    #[command(flatten)]
    settings: SettingFlags,
}

pub async fn run(command: &Tail, output: Output) -> Result<ExitCode, Failure> {
    let log = LogAccess::open(&command.settings).await?;
    let done = show(command, &log, output).await;
    log.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn show(command: &Tail, log: &LogAccess, output: Output) -> Result<(), Failure> {
    let repository = log.repository();
    let head = repository.head(DEFAULT_SHARD).await?;
    if let Some(name) = &command.stream {
        let events = log.stream(name).await?;
        let skipped = events.len().saturating_sub(usize::try_from(command.lines).unwrap_or(0));
        for raw in events.into_iter().skip(skipped).filter(|raw| raw.position <= head) {
            tell(output, raw)?;
        }
    } else {
        let mut after = (head - command.lines).max(0);
        while after < head {
            let page = repository.raw_read(DEFAULT_SHARD, after, PAGE.min(head - after)).await?;
            let Some(last) = page.last() else { break };
            after = last.position;
            for raw in page {
                tell(output, raw)?;
            }
        }
    }
    if command.follow { follow(command, log, head, output).await } else { Ok(()) }
}

async fn follow(command: &Tail, log: &LogAccess, head: i64, output: Output) -> Result<(), Failure> {
    let stop = shutdown::on_signals()
        .map_err(|error| Failure::new("RUNTIME", Exit::Software, "signals cannot be watched").caused_by(error))?;
    let repository = log.repository();
    let mut reader = LogReader::new(repository.clone(), log.wakeup(), DEFAULT_SHARD, head);
    loop {
        let before = reader.position();
        let came = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            came = reader.next(PAGE) => came?,
        };
        // The reader parses; what is shown is the stored text.
        let count = i64::try_from(came.len()).unwrap_or(PAGE);
        for raw in repository.raw_read(DEFAULT_SHARD, before, count).await? {
            if command.stream.as_ref().is_none_or(|name| name.is_of(&raw)) {
                tell(output, raw)?;
            }
        }
    }
}

fn tell(output: Output, raw: RawEvent) -> Result<(), Failure> {
    if output.is_json() {
        output::text(&super::line(raw)?);
        return Ok(());
    }
    let time = raw.recorded_at.format("%Y-%m-%d %H:%M:%S");
    let RawEvent { position, aggregate_type, aggregate_id, sequence, event_type, .. } = &raw;
    let actor = super::actor(&raw);
    output::text(&format!(
        "{position:>9}  {time}  {aggregate_type}-{aggregate_id}  {sequence:>5}  {event_type}  {actor}"
    ));
    Ok(())
}
