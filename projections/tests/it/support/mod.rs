//! A database with a log, and lives of bots to write into it.

pub mod life;
pub mod poll;
pub mod walk;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeZone, Utc};
use cqrs_es::DomainEvent;
use domain::ids::{RequestId, UserId, derive};
use domain::metadata::{Actor, Metadata};
use projections::{Log, Projection, Runner};
use serde_json::Value;
use sqlx::PgPool;
use store::command_queue::CommandQueue;
use store::event::NewEvent;
use store::repository::{
    AppendRequest, Appended, DEFAULT_SHARD, EventRepository, PostgresRepository, RepositoryConfig,
};
use store::testing::TestDatabase;
use store::wakeup::Wakeup;
use store::writer::{Writer, WriterConfig};

/// A database of one test's own, with the store's log in it.
pub struct World {
    pub database: TestDatabase,
    pub repository: PostgresRepository,
    pub wakeup: Wakeup,
    pub queue: CommandQueue,
    sequences: Mutex<HashMap<(String, String), i64>>,
    requests: AtomicU32,
}

/// The engine's time at the beginning of every test, and later.
pub fn at(seconds: i64) -> DateTime<Utc> {
    let start = Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).single().expect("a valid instant");
    start + chrono::TimeDelta::seconds(seconds)
}

impl World {
    pub async fn create() -> Self {
        let database = TestDatabase::create().await;
        let pool = database.pool().clone();
        let writer = Writer::register(&pool, WriterConfig::named("test")).await.expect("a writer registers");
        let wakeup = Wakeup::in_process();
        let queue = CommandQueue::new(pool.clone());
        let repository = PostgresRepository::start(pool, writer, wakeup.clone(), &RepositoryConfig::default());
        Self { database, repository, wakeup, queue, sequences: Mutex::default(), requests: AtomicU32::new(0) }
    }

    pub fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub fn log(&self) -> Log {
        self.log_with(self.wakeup.clone())
    }

    /// The log as another process sees it, which hears of nothing.
    pub fn deaf_log(&self) -> Log {
        self.log_with(Wakeup::in_process())
    }

    fn log_with(&self, wakeup: Wakeup) -> Log {
        Log { repository: Arc::new(self.repository.clone()), wakeup, shard: DEFAULT_SHARD }
    }

    pub fn runner(&self, projection: impl Projection) -> Runner {
        Runner::new(Arc::new(projection), self.pool().clone(), self.log())
    }

    /// Brings every projection up to the log's end.
    pub async fn catch_up(&self) {
        for projection in projections::catalogue::all(&self.queue) {
            let name = projection.name();
            let runner = Runner::new(projection, self.pool().clone(), self.log());
            runner.catch_up().await.unwrap_or_else(|error| panic!("{name}: {}", error.reason()));
        }
    }

    /// Appends events of ours to a stream.
    pub async fn append<E: DomainEvent>(&self, aggregate: &str, id: &str, events: &[E]) -> Appended {
        let events = events.iter().map(|event| NewEvent::of(event).expect("an event serialises")).collect();
        self.append_events(aggregate, id, events).await
    }

    /// Appends an event of any name and payload.
    pub async fn append_raw(&self, aggregate: &str, id: &str, name: &str, payload: &Value) -> Appended {
        let event = NewEvent::try_new(name.to_owned(), "1".to_owned(), payload).expect("JSON serialises");
        self.append_events(aggregate, id, vec![event]).await
    }

    pub async fn append_events(&self, aggregate: &str, id: &str, events: Vec<NewEvent>) -> Appended {
        let key = (aggregate.to_owned(), id.to_owned());
        let expected_sequence = self.sequences.lock().expect("no holder panicked").get(&key).copied().unwrap_or(0);
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let request_id = RequestId::from_uuid(derive(&["request", &number.to_string()]));
        let actor = Actor::User(UserId::from_uuid(derive(&["somebody"])));
        let request = AppendRequest {
            request_id,
            aggregate_type: aggregate.to_owned(),
            aggregate_id: id.to_owned(),
            expected_sequence,
            events,
            metadata: Metadata::root(request_id, actor, at(i64::from(number))),
            held_epoch: None,
        };
        let appended = self.repository.append(request).await.expect("the append is accepted");
        self.sequences.lock().expect("no holder panicked").insert(key, appended.last_sequence);
        appended
    }

    /// A value of a query without parameters.
    pub async fn value<T>(&self, sql: &str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.expect("the query runs")
    }

    pub async fn execute(&self, sql: &str) {
        sqlx::query(sql).execute(self.pool()).await.expect("the statement runs");
    }
}
