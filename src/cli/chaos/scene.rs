//! The scene: a folder, a database that can be stopped at once, a sandbox, an API and workers, each a process of its own.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use domain::clock::Clock;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use store::embedded::{EmbeddedConfig, EmbeddedPostgres};

use super::Play;
use super::processes::{Process, Recipe, log_in};
use crate::clock::{Anchor, AnchoredClock, wall};
use crate::config::{Config, Secret};
use crate::failure::{Exit, Failure};

/// Seconds that a call may take, and after which a dead process's bots go to another: short, so that a lot happens.
const CALL_LIMIT: u32 = 3;
const LEASE_SECONDS: u32 = 3;
const CONNECTIONS: u32 = 8;

/// Everything that runs.
pub struct Scene {
    folder: PathBuf,
    config: Config,
    postgres: Option<EmbeddedPostgres>,
    pool: PgPool,
    clock: AnchoredClock,
    sandbox: Process,
    api: Option<Process>,
    workers: Vec<Option<Process>>,
    recipes: Vec<Recipe>,
    pub http: reqwest::Client,
}

impl Scene {
    /// Starts everything in a folder of its own within the data folder.
    pub async fn set(config: &Config, play: &Play) -> Result<Self, Failure> {
        let folder = config.data_dir.join(format!("chaos-{}", std::process::id()));
        DirBuilder::new().recursive(true).mode(0o711).create(&folder).map_err(|error| {
            Failure::new("DATA_DIR_UNWRITABLE", Exit::CannotCreate, format!("{} cannot be made", folder.display()))
                .hint("name another folder with --data-dir")
                .caused_by(error)
        })?;
        let mut config = config.clone();
        let postgres = EmbeddedPostgres::start(server(&folder, &config)).await?;
        config.database_url = Some(Secret::new(postgres.url()));
        config.key_file = folder.join("keys");
        let pool = pool(&postgres.url())?;
        store::migrate(&pool).await?;
        let anchor = Anchor { since: wall(), speed: play.speed };
        let clock = format!("{}*{}", anchor.since.to_rfc3339(), anchor.speed);
        let sandbox = Recipe {
            arguments: words(&["sandbox", "--listen", "127.0.0.1:0", "--clock", &clock, "--ledger", "ledger.jsonl"]),
            variables: BTreeMap::new(),
            log: log_in(&folder, "sandbox"),
            folder: folder.clone(),
        };
        let sandbox = sandbox.start().await?;
        let gateway = sandbox.ready["url"].as_str().unwrap_or_default().to_owned();
        let variables = variables(&folder, &postgres.url(), &gateway, &clock);
        let recipe = |role: &str, name: &str| Recipe {
            arguments: words(&[role]),
            variables: variables.clone(),
            log: log_in(&folder, name),
            folder: folder.clone(),
        };
        let api = recipe("serve", "api").start().await?;
        let recipes: Vec<Recipe> =
            (1..=play.workers).map(|number| recipe("worker", &format!("worker-{number}"))).collect();
        let mut workers = Vec::new();
        for recipe in &recipes {
            workers.push(Some(recipe.start().await?));
        }
        let http = crate::cli::demo::client::plain()?;
        Ok(Self {
            folder,
            config,
            postgres: Some(postgres),
            pool,
            clock: AnchoredClock::new(anchor),
            sandbox,
            api: Some(api),
            workers,
            recipes,
            http,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub const fn config(&self) -> &Config {
        &self.config
    }

    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The engine's time of all processes.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub fn api_url(&self) -> &str {
        self.api.as_ref().and_then(|api| api.ready["api_url"].as_str()).unwrap_or_default()
    }

    pub fn sandbox_url(&self) -> &str {
        self.sandbox.ready["url"].as_str().unwrap_or_default()
    }

    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// Kills a worker in the middle of whatever it does.
    pub async fn kill_worker(&mut self, number: usize) {
        if let Some(worker) = self.workers.get_mut(number).and_then(Option::take) {
            worker.kill().await;
        }
    }

    /// Starts the workers that do not run.
    pub async fn revive_workers(&mut self) {
        for (worker, recipe) in self.workers.iter_mut().zip(&self.recipes) {
            if worker.as_mut().is_none_or(Process::has_ended) {
                // While the database is away there is nothing to start on; the next round tries again.
                *worker = recipe.start().await.ok();
            }
        }
    }

    /// Stops the database without a checkpoint.
    pub async fn stop_postgres(&mut self) -> Result<(), Failure> {
        match self.postgres.take() {
            Some(postgres) => Ok(postgres.stop_at_once().await?),
            None => Ok(()),
        }
    }

    /// Starts the database, which recovers.
    pub async fn start_postgres(&mut self) -> Result<(), Failure> {
        if self.postgres.is_none() {
            self.postgres = Some(EmbeddedPostgres::start(server(&self.folder, &self.config)).await?);
        }
        Ok(())
    }

    /// Tells the sandbox something.
    pub async fn tell_sandbox(&self, method: reqwest::Method, path: &str, body: &serde_json::Value) {
        let request = self.http.request(method, format!("{}{path}", self.sandbox_url())).json(body);
        // A sandbox that is cut off at this moment does not hear it, which is as good.
        let _ = request.send().await;
    }

    /// Ends everything, and removes the folder unless it is to be kept.
    pub async fn strike(mut self, keep: bool) {
        for worker in self.workers.iter_mut().filter_map(Option::take) {
            worker.stop().await;
        }
        if let Some(api) = self.api.take() {
            api.stop().await;
        }
        self.sandbox.stop().await;
        self.pool.close().await;
        if let Some(postgres) = self.postgres.take() {
            let _ = postgres.stop().await;
        }
        if keep {
            crate::output::note(format!("  everything is kept in {}", self.folder.display()));
        } else {
            // What cannot be removed is a folder that nothing uses.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn server(folder: &Path, config: &Config) -> EmbeddedConfig {
    EmbeddedConfig { bin_dir: config.postgres_bin_dir.clone(), ..EmbeddedConfig::new(folder.join("postgres")) }
}

fn pool(url: &str) -> Result<PgPool, Failure> {
    PgPoolOptions::new().max_connections(CONNECTIONS).connect_lazy(url).map_err(|error| {
        Failure::new("DATABASE_UNREACHABLE", Exit::Unavailable, "the private PostgreSQL cannot be reached")
            .caused_by(error)
    })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn variables(folder: &Path, database: &str, gateway: &str, clock: &str) -> BTreeMap<String, String> {
    let set = [
        ("REPRISE_DATABASE_URL", database.to_owned()),
        ("REPRISE_GATEWAY_URL", gateway.to_owned()),
        ("REPRISE_SANDBOX_CLOCK", clock.to_owned()),
        ("REPRISE_KEY_FILE", folder.join("keys").display().to_string()),
        ("REPRISE_DATA_DIR", folder.join("data").display().to_string()),
        ("REPRISE_LISTEN", "127.0.0.1:0".to_owned()),
        ("REPRISE_CALL_LIMIT", CALL_LIMIT.to_string()),
        ("REPRISE_LEASE_SECONDS", LEASE_SECONDS.to_string()),
        ("REPRISE_DRY_RUN_WAIVED", "true".to_owned()),
        ("REPRISE_LOG", "info".to_owned()),
        ("REPRISE_LOG_FORMAT", "text".to_owned()),
    ];
    set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
