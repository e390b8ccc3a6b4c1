//! The API of one test: a server on loopback over a database of its own, and people who talk to it.

pub mod client;
pub mod poll;
pub mod socket;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::auth::{NewUser, Password, Passwords, SessionLimits, Users};
use api::{ApiDeps, ApiSettings, ClockControl, ClockSpeedError, Probe};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use domain::bot::{Bot, BotCommand};
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::{BotId, RequestId, UserId};
use domain::metadata::{Actor, Metadata};
use domain::user::Role;
use projections::{Log, Projections, catalogue};
use sqlx::PgPool;
use store::command_bus::CommandBus;
use store::command_queue::CommandQueue;
use store::repository::{DEFAULT_SHARD, EventRepository, PostgresRepository, RepositoryConfig};
use store::testing::TestDatabase;
use store::vault::{Keyring, Vault};
use store::wakeup::Wakeup;
use store::writer::{Writer, WriterConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use client::Client;

/// The password of everybody whom [`TestApp::user`] registers.
pub const PASSWORD: &str = "correct horse battery";

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A clock that the test sets.
#[derive(Debug)]
pub struct SimClock {
    now: Mutex<DateTime<Utc>>,
    speed: Mutex<f64>,
}

impl SimClock {
    fn new() -> Self {
        let start = Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).single().expect("a valid instant");
        Self { now: Mutex::new(start), speed: Mutex::new(1.0) }
    }

    pub fn advance(&self, by: TimeDelta) {
        *self.now.lock().expect("no test panics while it sets the clock") += by;
    }
}

impl Clock for SimClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().expect("no test panics while it sets the clock")
    }

    fn speed(&self) -> f64 {
        *self.speed.lock().expect("no test panics while it sets the clock")
    }
}

impl ClockControl for SimClock {
    fn set_speed(&self, speed: f64) -> Result<(), ClockSpeedError> {
        if !(1.0..=1_000.0).contains(&speed) {
            return Err(ClockSpeedError { speed, allowed: "from 1 to 1,000".to_owned() });
        }
        *self.speed.lock().expect("no test panics while it sets the clock") = speed;
        Ok(())
    }
}

/// Ids in the order of time.
pub struct TestEntropy;

impl Entropy for TestEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the owner of a test's ids")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn unit(&self) -> f64 {
        0.5
    }
}

/// A database, its store and its read models: what stays when the API is started again.
pub struct World {
    pub database: TestDatabase,
    pub bus: CommandBus,
    pub clock: Arc<SimClock>,
    pub vault: Vault,
    wakeup: Wakeup,
    projections: Projections,
    stop: CancellationToken,
}

impl World {
    pub async fn create() -> Self {
        let database = TestDatabase::create().await;
        let pool = database.pool().clone();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let writer = Writer::register(&pool, WriterConfig::named("test")).await.expect("a writer registers");
        let wakeup = Wakeup::in_process();
        let repository = PostgresRepository::start(pool.clone(), writer, wakeup.clone(), &RepositoryConfig::default());
        let repository: Arc<dyn EventRepository> = Arc::new(repository);
        let log = Log { repository: Arc::clone(&repository), wakeup: wakeup.clone(), shard: DEFAULT_SHARD };
        let projections = Projections::start(catalogue::read_models(), &pool, &log, &tasks, &stop);
        let vault = Vault::new(pool, Keyring::parse(KEY).expect("a key"));
        let bus = CommandBus::new(repository, None);
        Self { database, bus, clock: Arc::new(SimClock::new()), vault, wakeup, projections, stop }
    }

    pub fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub fn deps(&self) -> ApiDeps {
        ApiDeps {
            pool: self.pool().clone(),
            bus: self.bus.clone(),
            queue: CommandQueue::new(self.pool().clone()),
            wakeup: self.wakeup.clone(),
            projections: self.projections.clone(),
            vault: self.vault.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::new(TestEntropy),
            clock_control: None,
            probes: Vec::new(),
            registry: prometheus::Registry::new(),
            settings: ApiSettings::default(),
            stopping: CancellationToken::new(),
        }
    }

    pub fn users(&self) -> Users {
        let passwords = Passwords::try_new().expect("hashing works");
        Users::new(self.pool(), self.bus.clone(), Arc::new(TestEntropy), passwords, SessionLimits::default())
    }

    pub fn metadata(&self) -> Metadata {
        let request_id = RequestId::from_uuid(TestEntropy.uuid());
        Metadata::root(request_id, Actor::System("test".to_owned()), self.clock.now())
    }

    /// Executes what a worker would.
    pub async fn bot(&self, user_id: UserId, command: BotCommand) {
        let id = BotId::of(user_id).to_string();
        self.bus.execute::<Bot>(&id, command, &self.metadata()).await.expect("the bot takes the command");
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.expect("the query runs")
    }

    pub async fn execute(&self, sql: &str) -> u64 {
        sqlx::query(sql).execute(self.pool()).await.expect("the statement runs").rows_affected()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An API that serves a world.
pub struct Server {
    pub address: SocketAddr,
    stopping: CancellationToken,
}

impl Server {
    pub async fn start(deps: ApiDeps) -> Self {
        let stopping = deps.stopping.clone();
        let router = api::router(deps).expect("the API is put together");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let stop = stopping.clone();
        tokio::spawn(async move {
            let _ = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
        });
        Self { address, stopping }
    }

    pub fn stranger(&self) -> Client {
        Client::new(self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// A world with one API.
pub struct TestApp {
    pub world: World,
    pub server: Server,
}

/// Somebody who is signed in.
pub struct Person {
    pub id: UserId,
    pub client: Client,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut ApiDeps)) -> Self {
        let world = World::create().await;
        let mut deps = world.deps();
        change(&mut deps);
        let server = Server::start(deps).await;
        Self { world, server }
    }

    pub async fn with_probe(probe: Arc<dyn Probe>) -> Self {
        Self::start_with(|deps| deps.probes.push(probe)).await
    }

    /// Registers somebody and signs them in.
    pub async fn person(&self, username: &str, role: Role) -> Person {
        let new = NewUser {
            username: username.to_owned(),
            role,
            password: Some(Password::from(PASSWORD.to_owned())),
            must_change_password: false,
        };
        let metadata = self.world.metadata();
        let registered = self.world.users().register(new, &metadata).await.expect("the user is registered");
        let shown = self.world.projections.wait_until("users", registered.position, Duration::from_secs(20)).await;
        shown.expect("the user is in the read model");
        let client = self.server.stranger().signed_in(username, PASSWORD).await;
        Person { id: registered.user_id, client }
    }

    pub async fn user(&self, username: &str) -> Person {
        self.person(username, Role::User).await
    }

    pub async fn admin(&self) -> Person {
        self.person("root", Role::Admin).await
    }
}
