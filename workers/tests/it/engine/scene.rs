//! A database, a sandbox, and processes on them: one that stands for the API and the projections, and workers that can be
//! stopped and killed.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{ActionKind, Bot, BotCommand, BotEvent, BotState, Limits, Mode, WorkingHours};
use domain::campaign::{Campaign, CampaignCommand, Draft, DraftSource, HashtagTab, Module};
use domain::clock::Clock;
use domain::decide::Decide;
use domain::entropy::Entropy;
use domain::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, JobId, RequestId, SecretId, UserId};
use domain::job::{Job, JobCommand, Origin};
use domain::metadata::{Actor, Metadata};
use domain::plan::Plan;
use projections::{Log, Projections, catalogue};
use sqlx::PgPool;
use store::command_bus::{CommandBus, Executed};
use store::command_queue::{CommandQueue, NewCommand, StoredCommand};
use store::event::StoredEvent;
use store::repository::{DEFAULT_SHARD, EventRepository, PostgresRepository, RepositoryConfig};
use store::testing::TestDatabase;
use store::vault::{Keyring, Purpose, Vault};
use store::wakeup::Wakeup;
use store::writer::{Writer, WriterConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use workers::platform::sandbox::{
    Fault, FaultKind, LedgerEntry, LedgerOutcome, PASSWORD, Sandbox, SandboxConfig, SandboxHandle,
};
use workers::platform::{Gateway, GatewayConfig, Platform, Tab};
use workers::{Supervisor, WorkerConfig, WorkerHandle, WorkerParts};

use super::time::{TestClock, TestEntropy, morning};
use crate::platform::support::{call, client, control, install_tls, log_in};

/// The account of most tests.
pub const ACCOUNT: &str = "demo.account";
pub const HASHTAG: &str = "handmade";
/// Accounts that log in otherwise, or that tests name.
const SPECIAL: [&str; 4] = [ACCOUNT, "two.factor", "challenge.met", "wrong.password"];
/// A lease that a test can wait out.
pub const LEASE: Duration = Duration::from_millis(1_600);
/// Longer than a call can be under way.
pub const SETTLE_TIME: Duration = Duration::from_millis(1_500);
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `found` gives something.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut found: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if let Some(found) = found().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
    }
}

/// What a process of the product has of the store.
pub struct Node {
    pub writer: Writer,
    pub bus: CommandBus,
    pub queue: CommandQueue,
    pub repository: Arc<dyn EventRepository>,
    wakeup: Wakeup,
    settings: tokio::sync::watch::Receiver<Arc<domain::engine::EngineSettings>>,
    tasks: TaskTracker,
    _stop: tokio_util::sync::DropGuard,
}

impl Node {
    pub async fn start(pool: &PgPool, name: &str) -> Self {
        let config = WriterConfig { name: name.to_owned(), ttl: LEASE };
        let writer = Writer::register(pool, config).await.expect("it registers");
        let tasks = TaskTracker::new();
        let wakeup = Wakeup::start(pool, &tasks);
        let repository =
            PostgresRepository::start(pool.clone(), writer.clone(), wakeup.clone(), &RepositoryConfig::default());
        let repository: Arc<dyn EventRepository> = Arc::new(repository);
        let bus = CommandBus::new(Arc::clone(&repository), None);
        let stop = CancellationToken::new();
        let (settings, following) =
            projections::engine_settings::follow(pool.clone(), stop.clone()).await.expect("it reads");
        tasks.spawn(following);
        let queue = CommandQueue::new(pool.clone());
        Self { writer, bus, queue, repository, wakeup, settings, tasks, _stop: stop.drop_guard() }
    }
}

/// Workers in a process of their own.
pub struct Workers {
    node: Node,
    handle: WorkerHandle,
}

impl Workers {
    pub async fn stop(self) {
        self.handle.stop().await.expect("nothing panicked");
        self.node.writer.retire().await.expect("the database answers");
    }

    pub fn desk(&self) -> workers::job::desk::DeskHandle {
        self.handle.desk()
    }

    /// As a crash: everything of it ends at once, and its lease is left to run out.
    pub async fn kill(self) {
        self.handle.abort().await;
    }
}

/// The world of one test.
pub struct World {
    pub database: TestDatabase,
    pub sandbox: SandboxHandle,
    pub clock: Arc<TestClock>,
    pub office: Node,
    pub projections: Projections,
    pub vault: Vault,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub async fn new() -> Self {
        install_tls();
        let database = TestDatabase::create().await;
        let clock = Arc::new(TestClock::starting_at(morning(), 1.0));
        let shared: Arc<dyn Clock> = clock.clone();
        let sandbox = Sandbox::start(SandboxConfig::new(shared)).await.expect("a free port");
        let office = Node::start(database.pool(), "office").await;
        let stop = CancellationToken::new();
        let log =
            Log { repository: Arc::clone(&office.repository), wakeup: office.wakeup.clone(), shard: DEFAULT_SHARD };
        let all = catalogue::all(&office.queue);
        let projections = Projections::start(all, database.pool(), &log, &office.tasks, &stop);
        let vault = Vault::new(database.pool().clone(), keyring());
        Self { database, sandbox, clock, office, projections, vault, stop }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub fn user(&self, account: &str) -> User<'_> {
        let bot_id = BotId::of(UserId::from_uuid(TestEntropy.uuid()));
        User { world: self, bot_id, account: account.to_owned() }
    }

    pub async fn workers(&self) -> Workers {
        self.workers_with(config()).await
    }

    pub async fn workers_with(&self, config: WorkerConfig) -> Workers {
        self.workers_knowing(config, workers::job::Registry::default()).await
    }

    /// Workers that know workflows beside the product's own.
    pub async fn workers_knowing(&self, config: WorkerConfig, workflows: workers::job::Registry) -> Workers {
        let pool = self.database.pool();
        let node = Node::start(pool, "workers").await;
        let parts = parts(pool, &node, &self.vault, &self.sandbox.url(), self.clock.clone());
        let parts = WorkerParts { workflows, ..parts };
        Workers { handle: Supervisor::start(config, parts), node }
    }

    /// Waits until the read models have everything.
    pub async fn projected(&self) {
        let head = self.office.repository.head(DEFAULT_SHARD).await.expect("it reads");
        for name in ["bot_status", "bot_counters", "actions"] {
            self.projections.wait_until(name, head, PATIENCE).await.expect("it follows");
        }
    }

    pub async fn command(&self, id: Uuid) -> StoredCommand {
        self.office.queue.find(id).await.expect("it reads").expect("it is there")
    }

    /// Waits until a command is where `ends` says.
    pub async fn settled(&self, id: Uuid, ends: impl Fn(&StoredCommand) -> bool) -> StoredCommand {
        until("the command", || async { Some(self.command(id).await).filter(&ends) }).await
    }

    /// The events of a job, in order.
    pub async fn history(&self, job: JobId) -> Vec<StoredEvent> {
        self.office.repository.stream("Job", &job.to_string(), 0, 10_000).await.expect("it reads")
    }

    /// Whether a job is over.
    pub async fn is_over(&self, job: JobId) -> bool {
        self.office.bus.load::<Job>(&job.to_string()).await.expect("it loads").state.state().is_over()
    }

    /// Waits for the end of a job, and says how it ended: its result, or the name of its last event.
    pub async fn ended(&self, job: JobId) -> String {
        let over = until("the end of the job", || async { self.is_over(job).await.then_some(()) });
        let is_over = tokio::time::timeout(PATIENCE / 2, over).await.is_ok();
        assert!(is_over, "waited in vain for the end of the job {job}: {:#?}", self.history(job).await);
        let last = self.history(job).await.pop().expect("it has a history");
        last.payload["result"].as_str().map_or(last.event_type, str::to_owned)
    }

    /// Waits until the last thing that a job was told is that it is not time, for this reason.
    pub async fn held_up(&self, job: JobId, reason: &str) {
        until(reason, || async {
            let history = self.history(job).await;
            let last = history.iter().rev().find(|event| event.event_type == "StepCompleted")?;
            let why = &last.payload["result"];
            (why["reason"] == reason || why["not_now"] == reason).then_some(())
        })
        .await;
    }

    /// Some accounts that log in without more, by their names.
    pub async fn accounts(&self) -> Vec<String> {
        let about = control(&self.sandbox, "GET", "/sandbox", None).await;
        let accounts = about["accounts"].as_array().expect("a list");
        let names = accounts.iter().filter_map(|account| account["username"].as_str());
        names.filter(|name| !SPECIAL.contains(name)).map(str::to_owned).collect()
    }

    /// Somebody whose followers have to ask.
    pub async fn private_person(&self) -> String {
        let about = control(&self.sandbox, "GET", "/sandbox", None).await;
        let accounts = about["accounts"].as_array().expect("a list");
        let person = accounts.iter().find(|account| account["is_private"] == true);
        person.and_then(|person| person["pk"].as_str()).expect("a world with private people").to_owned()
    }

    /// An account that no test acts with.
    async fn bystander(&self) -> String {
        self.accounts().await.pop().expect("a world with people")
    }

    /// Nothing goes wrong from now on.
    pub async fn clear_faults(&self) {
        control(&self.sandbox, "DELETE", "/sandbox/faults", None).await;
    }

    /// A media on which everybody may comment.
    pub async fn commentable(&self) -> String {
        let gateway = client(&self.sandbox.url());
        let session = log_in(&gateway, &self.bystander().await).await;
        let page = gateway.hashtag_medias(call(), &session, HASHTAG, Tab::Recent, 40, None).await;
        let media = page.expect("a known hashtag").items;
        let open = media.iter().find(|media| media.comments_disabled == Some(false));
        open.expect("a media with comments").id().to_string()
    }

    /// The platform's names of media and people that an account can act on.
    pub async fn targets(&self) -> Targets {
        let gateway = client(&self.sandbox.url());
        let session = log_in(&gateway, &self.bystander().await).await;
        let page = gateway.hashtag_medias(call(), &session, HASHTAG, Tab::Recent, 40, None).await;
        let media = page.expect("a known hashtag").items;
        let people = media.iter().filter_map(|media| media.user.as_ref());
        let people: BTreeSet<String> = people.map(|user| user.pk.to_string()).collect();
        Targets {
            media: media.iter().map(|media| media.id().to_string()).collect(),
            people: people.into_iter().collect(),
        }
    }
}

/// What can be acted on.
pub struct Targets {
    pub media: Vec<String>,
    pub people: Vec<String>,
}

/// A user, the bot and the account on the platform.
pub struct User<'a> {
    world: &'a World,
    pub bot_id: BotId,
    pub account: String,
}

impl User<'_> {
    fn now(&self) -> DateTime<Utc> {
        self.world.now()
    }

    fn metadata(&self) -> Metadata {
        let request = RequestId::from_uuid(TestEntropy.uuid());
        Metadata::root(request, Actor::User(self.bot_id.owner()), self.now())
    }

    async fn execute<A: Decide>(&self, id: &str, command: A::Command) -> Executed<A>
    where
        A::Command: Clone,
    {
        self.world.office.bus.execute::<A>(id, command, &self.metadata()).await.expect("the command is allowed")
    }

    /// Tells the bot something, as a person would.
    pub async fn tell(&self, command: BotCommand) -> Executed<Bot> {
        self.execute::<Bot>(&self.bot_id.to_string(), command).await
    }

    pub async fn bot(&self) -> Arc<Bot> {
        self.world.office.bus.load::<Bot>(&self.bot_id.to_string()).await.expect("it loads").state
    }

    /// The same, with all that is stored of each.
    pub async fn stored(&self) -> Vec<StoredEvent> {
        let id = self.bot_id.to_string();
        self.world.office.repository.stream("Bot", &id, 0, 10_000).await.expect("it reads")
    }

    /// Every event of the bot, in order.
    pub async fn events(&self) -> Vec<BotEvent> {
        self.stored()
            .await
            .into_iter()
            .map(|event| serde_json::from_value(event.payload).expect("it decodes"))
            .collect()
    }

    pub async fn count(&self, name: &str) -> usize {
        self.events().await.iter().filter(|event| event.name() == name).count()
    }

    /// Waits for an event of this name.
    pub async fn event(&self, name: &str) -> BotEvent {
        until(name, || async { self.events().await.into_iter().find(|event| event.name() == name) }).await
    }

    pub async fn reaches(&self, state: BotState) -> Arc<Bot> {
        until(state.as_str(), || async { Some(self.bot().await).filter(|bot| bot.state() == state) }).await
    }

    /// Stores a secret of the user's.
    pub async fn secret(&self, purpose: Purpose, text: &str) -> SecretId {
        let secret = SecretId::from_uuid(TestEntropy.uuid());
        self.world.vault.put(secret, self.bot_id.owner(), purpose, text.as_bytes()).await.expect("it is stored");
        secret
    }

    /// A bot with a linked account that may act around the clock.
    pub async fn link(&self) {
        self.tell(BotCommand::Initialize { bot_id: self.bot_id, at: self.now() }).await;
        let password = self.secret(Purpose::Password, PASSWORD).await;
        self.tell(BotCommand::LinkAccount {
            account_id: AccountId::from_uuid(TestEntropy.uuid()),
            username: self.account.clone(),
            zone: chrono_tz::UTC,
            password,
            consent: "yes".to_owned(),
            at: self.now(),
        })
        .await;
        let limits = Limits { hours: WorkingHours { from: 0, until: 24 }, ..Limits::default() };
        self.tell(BotCommand::ChangeLimits { limits, at: self.now() }).await;
    }

    pub async fn request_login(&self, verification_code: Option<SecretId>) {
        self.tell(BotCommand::RequestLogin { verification_code, at: self.now() }).await;
    }

    /// Logged in, by workers that run.
    pub async fn log_in(&self) {
        self.link().await;
        self.request_login(None).await;
        self.reaches(BotState::LoggedIn).await;
    }

    /// Tested, by workers that run.
    pub async fn verify(&self) {
        let asked_at = self.now();
        self.tell(BotCommand::RequestConnectionTest { at: asked_at }).await;
        until("a verified connection", || async {
            self.bot().await.login().verified_at.filter(|verified| *verified >= asked_at)
        })
        .await;
    }

    pub async fn campaign(&self, module: Module, max_targets: u32) -> CampaignId {
        self.campaign_on(HASHTAG, module, max_targets).await
    }

    /// Defines a campaign.
    pub async fn define(&self, draft: Draft) -> CampaignId {
        let campaign_id = CampaignId::from_uuid(TestEntropy.uuid());
        let define = CampaignCommand::Define { campaign_id, bot_id: self.bot_id, draft, at: self.now() };
        self.execute::<Campaign>(&campaign_id.to_string(), define).await;
        campaign_id
    }

    pub async fn campaign_on(&self, hashtag: &str, module: Module, max_targets: u32) -> CampaignId {
        let campaign_id = CampaignId::from_uuid(TestEntropy.uuid());
        let source = DraftSource::Hashtag { name: hashtag.to_owned(), tab: HashtagTab::Recent };
        let draft = Draft::new("test", module, source, max_targets);
        let define = CampaignCommand::Define { campaign_id, bot_id: self.bot_id, draft, at: self.now() };
        self.execute::<Campaign>(&campaign_id.to_string(), define).await;
        campaign_id
    }

    /// Both steps; a dry run is not asked for.
    pub async fn enable(&self, campaign_id: CampaignId, mode: Mode) -> EnablementId {
        self.enable_at(campaign_id, mode, self.now()).await
    }

    pub async fn enable_at(&self, campaign_id: CampaignId, mode: Mode, at: DateTime<Utc>) -> EnablementId {
        let bot = self.bot().await;
        let campaign = self.world.office.bus.load::<Campaign>(&campaign_id.to_string()).await.expect("it loads").state;
        let account = bot.account().expect("an account");
        let plan = Plan::new(account.account_id, bot.limits_at(at).clone(), [campaign.as_ref()]);
        let campaigns = plan.campaign_ids();
        let plan_hash = plan.hash();
        self.tell(BotCommand::AuthorizeAutomation { plan_hash, campaigns, mode, dry_run_waived: true, at }).await;
        let enablement_id = EnablementId::from_uuid(TestEntropy.uuid());
        let (confirmed, current) = (plan.hash(), plan.hash());
        self.tell(BotCommand::EnableAutomation { enablement_id, confirmed, current, at }).await;
        enablement_id
    }

    /// Logged in, tested and enabled in earnest, long enough ago to be past the warm-up. Its campaign has a source without
    /// posts, so that nothing is done but what a test asks for.
    pub async fn live(&self) -> Plot {
        self.log_in().await;
        self.verify().await;
        let campaign_id = self.campaign_on("nothing_at_all", Module::Like, 1).await;
        let enablement_id = self.enable_at(campaign_id, Mode::Live, self.now() - TimeDelta::days(8)).await;
        self.event("RunFinished").await;
        Plot { campaign_id, enablement_id }
    }

    /// Plans an action, as a run would, and returns its job.
    pub async fn plan(&self, plot: Plot, kind: ActionKind, target: &str) -> JobId {
        let job_id = JobId::from_uuid(TestEntropy.uuid());
        let has_words = matches!(kind, ActionKind::Comment | ActionKind::Dm);
        let input = serde_json::json!({
            "action_id": ActionId::from_uuid(TestEntropy.uuid()),
            "campaign_id": plot.campaign_id,
            "enablement_id": plot.enablement_id,
            "kind": kind,
            "target": target,
            "text": has_words.then_some("What a lovely picture"),
        });
        let (bot_id, workflow, at) = (self.bot_id, "single_action".to_owned(), self.now());
        let create = JobCommand::Create { job_id, bot_id, workflow, input, origin: Origin::Person, at };
        self.execute::<Job>(&job_id.to_string(), create).await;
        job_id
    }

    /// Enqueues whatever it is, and returns its command.
    pub async fn enqueue(&self, kind: &str, payload: serde_json::Value) -> Uuid {
        self.store(TestEntropy.uuid(), kind, payload, None).await
    }

    async fn store(&self, id: Uuid, kind: &str, payload: serde_json::Value, group_key: Option<Uuid>) -> Uuid {
        let command = NewCommand {
            id,
            bot_id: self.bot_id,
            kind: kind.to_owned(),
            payload,
            dedupe_key: None,
            group_key,
            priority: 40,
            not_before: self.now(),
            max_attempts: 10,
            correlation_id: id,
            causation_id: id,
            actor: "system:test".to_owned(),
        };
        self.world.office.queue.enqueue(&[command]).await.expect("it is stored");
        id
    }

    /// Whether nothing of the bot waits, runs or is held.
    pub async fn is_idle(&self) -> bool {
        let pool = self.world.database.pool();
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM commands WHERE bot_id = $1 AND status IN ('PENDING', 'RUNNING', 'HELD')",
        )
        .bind(self.bot_id.uuid())
        .fetch_one(pool)
        .await
        .expect("it reads");
        let jobs: Vec<String> = sqlx::query_scalar(
            "SELECT aggregate_id FROM events WHERE event_type = 'JobCreated' AND payload ->> 'bot_id' = $1",
        )
        .bind(self.bot_id.to_string())
        .fetch_all(pool)
        .await
        .expect("it reads");
        for job in jobs {
            if !self.world.is_over(job.parse().expect("a UUID")).await {
                return false;
            }
        }
        open == 0
    }

    /// The writes of the account that took effect.
    pub fn effects(&self) -> Vec<LedgerEntry> {
        self.writes().into_iter().filter(|entry| entry.outcome == LedgerOutcome::Effective).collect()
    }

    /// Every write of the account that reached the platform.
    pub fn writes(&self) -> Vec<LedgerEntry> {
        self.world.sandbox.ledger(Some(&self.account))
    }

    /// How often the account asked for a route.
    pub async fn requests(&self, route: &str) -> u64 {
        let path = format!("/sandbox/requests?account={}", self.account);
        let counted = control(&self.world.sandbox, "GET", &path, None).await;
        counted["routes"][route].as_u64().unwrap_or(0)
    }

    /// Arms a fault for the account.
    pub fn inject(&self, route: &str, fault: FaultKind, times: u32) {
        self.world.sandbox.inject(Fault::new(fault).on(route).of_account(&self.account).times(times));
    }

    /// What the read model counts.
    pub async fn counters(&self, mode: Mode) -> Counters {
        self.world.projected().await;
        sqlx::query_as(
            "SELECT COALESCE(sum(reserved), 0) AS reserved, COALESCE(sum(performed), 0) AS performed,
                    COALESCE(sum(simulated), 0) AS simulated, COALESCE(sum(refused), 0) AS refused,
                    COALESCE(sum(failed), 0) AS failed, COALESCE(sum(in_doubt), 0) AS in_doubt,
                    COALESCE(sum(open), 0) AS open
               FROM bot_counters
              WHERE bot_id = $1
                AND mode = $2",
        )
        .bind(self.bot_id.uuid())
        .bind(mode.as_str())
        .fetch_one(self.world.database.pool())
        .await
        .expect("it reads")
    }
}

/// What an action belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Plot {
    pub campaign_id: CampaignId,
    pub enablement_id: EnablementId,
}

impl Plot {
    /// One that no bot has enabled.
    pub fn stale() -> Self {
        let campaign_id = CampaignId::from_uuid(TestEntropy.uuid());
        Self { campaign_id, enablement_id: EnablementId::from_uuid(TestEntropy.uuid()) }
    }
}

/// A bot's counters, over all days and kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Counters {
    pub reserved: i64,
    pub performed: i64,
    pub simulated: i64,
    pub refused: i64,
    pub failed: i64,
    pub in_doubt: i64,
    pub open: i64,
}

/// The keys of every process of a test.
pub fn keyring() -> Keyring {
    Keyring::parse(KEY).expect("a key")
}

/// Settings that do not keep a test waiting.
pub fn config() -> WorkerConfig {
    WorkerConfig {
        partition_pause: Duration::from_millis(200),
        poll: Duration::from_millis(50),
        call_limit: Duration::from_secs(5),
        settle_time: SETTLE_TIME,
        settle_reads: 3,
        ..WorkerConfig::named("test")
    }
}

/// What workers on `node` work with.
pub fn parts(pool: &PgPool, node: &Node, vault: &Vault, url: &str, clock: Arc<TestClock>) -> WorkerParts {
    let mut gateway = GatewayConfig::new(url);
    gateway.read_retry_delays = vec![Duration::from_millis(5); 2];
    gateway.call_timeout = Duration::from_millis(900);
    WorkerParts {
        pool: pool.clone(),
        writer: node.writer.clone(),
        bus: node.bus.clone(),
        queue: node.queue.clone(),
        vault: vault.clone(),
        platform: Arc::new(Gateway::try_new(gateway).expect("a valid configuration")),
        clock,
        entropy: Arc::new(TestEntropy),
        repository: Arc::clone(&node.repository),
        wakeup: node.wakeup.clone(),
        settings: node.settings.clone(),
        workflows: workers::job::Registry::default(),
    }
}
