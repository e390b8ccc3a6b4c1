//! The command line: the tree of commands, and the one place where a failure becomes an exit status.

mod audit;
mod bench;
mod chaos;
mod config;
mod demo;
mod doctor;
mod events;
mod log_access;
mod migrate;
mod postgres;
mod projections;
mod replay;
mod sandbox;
mod schema;
mod up;
mod user;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use crate::bootstrap::Role;
use crate::config::settings::{Fallback, SETTINGS, Setting};
use crate::config::{Config, ConfigError};
use crate::failure::{Exit, Failure};
use crate::output::Output;

const AFTER_HELP: &str = "Settings come from flags, then REPRISE_* variables, then reprise.toml; \
    `reprise config print` lists them all.";

/// Durable, replayable, event-sourced automation of social-media bots.
#[derive(Debug, Parser)]
#[command(name = "reprise", version, after_help = AFTER_HELP, arg_required_else_help = true)]
struct CommandLine {
    /// Print results as JSON, one object a line, and no progress
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything: a private PostgreSQL, the sandbox or a gateway, the workers and the API
    Up(SettingFlags),
    /// Run the API and the views alone, on a shared database
    Serve(SettingFlags),
    /// Run the workers and the views alone, on a shared database
    Worker(SettingFlags),
    /// Play the whole flow on the sandbox of a running `reprise up`, and see that everybody agrees on it
    Demo(demo::DemoCommand),
    /// Add, list and reset the people who can sign in
    #[command(subcommand)]
    User(user::UserCommand),
    /// Look at everything that a start needs, and say what to do
    Doctor(SettingFlags),
    /// Show or check the settings
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Bring the database to the newest schema
    Migrate(SettingFlags),
    /// Look at, verify and rebuild the views of the log
    #[command(subcommand)]
    Projections(projections::ProjectionsCommand),
    /// Re-run, look back and ask what if, over what happened; nothing of it has any effect
    #[command(subcommand)]
    Replay(replay::ReplayCommand),
    /// Show, export and import the events of the log
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// See whether the stored log is what was written
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Run the sandbox platform alone
    Sandbox(sandbox::SandboxCommand),
    /// Measure this machine, on a database of its own
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Break everything at random on a stage of its own, and see that the books balance
    Chaos(chaos::ChaosCommand),
    /// Print the schema of the GraphQL API
    Schema,
    /// Run a command beside a throw-away PostgreSQL for tests
    #[command(hide = true)]
    Postgres(postgres::PostgresCommand),
}

/// The settings that were given as flags.
#[derive(Debug, Clone)]
struct SettingFlags {
    values: BTreeMap<String, String>,
    file: Option<PathBuf>,
}

impl SettingFlags {
    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.values, self.file.as_deref())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help_heading("Settings")
            .help("Settings file [default: reprise.toml, if there is one]");
        let flags = SETTINGS.iter().filter_map(|setting| Some((setting.flag?, setting)));
        command.arg(file).args(flags.map(|(flag, setting)| {
            Arg::new(setting.key).long(flag).value_name("VALUE").help_heading("Settings").help(help_of(setting))
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = SETTINGS
            .iter()
            .filter(|setting| setting.flag.is_some())
            .filter_map(|setting| {
                let value = matches.get_one::<String>(setting.key)?;
                Some((setting.key.to_owned(), value.clone()))
            })
            .collect();
        let file = matches.get_one::<PathBuf>("config").cloned();
        Ok(Self { values, file })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn help_of(setting: &Setting) -> String {
    match setting.default {
        Fallback::Value(value) => format!("{} [default: {value}]", setting.help),
        Fallback::Unset(meaning) => format!("{} [default: {meaning}]", setting.help),
    }
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let parsed = match CommandLine::try_parse() {
        Ok(parsed) => parsed,
        Err(error) => return refused(&error),
    };
    let output = Output::new(parsed.json);
    run_command(parsed.command, output).unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit.into()
    })
}

fn run_command(command: Command, output: Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Up(flags) => block_on(up::run(&flags, Role::Everything, output)),
        Command::Serve(flags) => block_on(up::run(&flags, Role::Api, output)),
        Command::Worker(flags) => block_on(up::run(&flags, Role::Worker, output)),
        Command::User(command) => block_on(user::run(command, output)),
        Command::Demo(command) => block_on(demo::run(command, output)),
        Command::Doctor(flags) => block_on(doctor::run(&flags, output)),
        Command::Config(command) => config::run(&command, output),
        Command::Migrate(flags) => block_on(migrate::run(&flags, output)),
        Command::Projections(command) => block_on(projections::run(command, output)),
        Command::Replay(command) => block_on(replay::run(command, output)),
        Command::Events(command) => block_on(events::run(command, output)),
        Command::Audit(command) => block_on(audit::run(command, output)),
        Command::Sandbox(command) => block_on(sandbox::run(command, output)),
        Command::Bench(command) => block_on(bench::run(command, output)),
        Command::Chaos(command) => block_on(chaos::run(command, output)),
        Command::Schema => Ok(schema::run()),
        Command::Postgres(command) => block_on(postgres::run(command)),
    }
}

fn block_on(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("RUNTIME", Exit::Software, "the runtime does not start").caused_by(error))?
        .block_on(work)
}

/// What clap printed instead of a command: help that was asked for, or a wrong command line.
fn refused(error: &clap::Error) -> ExitCode {
    let wrong = !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let json = std::env::args_os().any(|argument| argument == "--json");
    if wrong && json {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let message = line.strip_prefix("error: ").unwrap_or(line);
        Output::new(true).failure(&Failure::new("USAGE", Exit::Usage, message).hint("see `reprise --help`"));
    } else {
        // Help that nobody can read any more is no failure.
        let _ = error.print();
    }
    if wrong { Exit::Usage.into() } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }
}
