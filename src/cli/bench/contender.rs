//! Who is measured: the same commands on the same aggregate through each way to store them, and plain inserts as the limit.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::DateTime;
use chrono::Utc;
use cqrs_es::CqrsFramework;
use cqrs_es::persist::{PersistedEventRepository, PersistedEventStore};
use domain::bot::{Bot, BotCommand};
use domain::entropy::Entropy;
use domain::ids::{AccountId, BotId, RequestId, SecretId, UserId};
use domain::metadata::{Actor, Metadata};
use sqlx::PgPool;
use store::command_bus::CommandBus;

use super::measure::Client;
use super::workbench::failed;
use crate::clock::wall;
use crate::entropy::SystemEntropy;
use crate::failure::Failure;

/// Events of one bot before a client goes on to the next: streams as long as those of a day.
const EVENTS_OF_A_BOT: u32 = 10;
/// Rows of one insert of the limit.
pub const ROWS_OF_AN_INSERT: u64 = 500;

/// cqrs-es on some repository.
pub type Framework<R> = Arc<CqrsFramework<Bot, PersistedEventStore<R, Bot>>>;

pub fn framework<R: PersistedEventRepository>(repository: R) -> Framework<R> {
    Arc::new(CqrsFramework::new(PersistedEventStore::new_event_store(repository), Vec::new(), ()))
}

/// The commands of one client: a bot is made, and its account linked and unlinked in turn; each leads to one event.
struct Script {
    bot_id: BotId,
    done: u32,
    at: DateTime<Utc>,
}

impl Script {
    fn new() -> Self {
        Self { bot_id: new_bot(), done: 0, at: wall() }
    }

    fn next(&mut self) -> (String, BotCommand, Metadata) {
        if self.done == EVENTS_OF_A_BOT {
            *self = Self::new();
        }
        let command = match self.done {
            0 => BotCommand::Initialize { bot_id: self.bot_id, at: self.at },
            odd if odd % 2 == 1 => BotCommand::LinkAccount {
                account_id: AccountId::from_uuid(SystemEntropy.uuid()),
                username: "bench.account".to_owned(),
                zone: chrono_tz::UTC,
                password: SecretId::from_uuid(SystemEntropy.uuid()),
                consent: "yes".to_owned(),
                at: self.at,
            },
            _ => BotCommand::UnlinkAccount { at: self.at },
        };
        self.done += 1;
        let actor = Actor::System("bench".to_owned());
        let metadata = Metadata::root(RequestId::from_uuid(SystemEntropy.uuid()), actor, self.at);
        (self.bot_id.to_string(), command, metadata)
    }
}

fn new_bot() -> BotId {
    BotId::of(UserId::from_uuid(SystemEntropy.uuid()))
}

/// A client of cqrs-es.
pub struct FrameworkClient<R: PersistedEventRepository> {
    framework: Framework<R>,
    script: Script,
}

impl<R: PersistedEventRepository> FrameworkClient<R> {
    pub fn new(framework: &Framework<R>) -> Self {
        Self { framework: Arc::clone(framework), script: Script::new() }
    }
}

impl<R: PersistedEventRepository + 'static> Client for FrameworkClient<R> {
    async fn call(&mut self) -> Result<u64, Failure> {
        let (id, command, metadata) = self.script.next();
        let metadata: HashMap<String, String> = metadata.to_map().into_iter().collect();
        self.framework.execute_with_metadata(&id, command, metadata).await.map_err(failed)?;
        Ok(1)
    }
}

/// A client of our command bus, as production uses it.
pub struct BusClient {
    bus: CommandBus,
    script: Script,
}

impl BusClient {
    pub fn new(bus: &CommandBus) -> Self {
        Self { bus: bus.clone(), script: Script::new() }
    }
}

impl Client for BusClient {
    async fn call(&mut self) -> Result<u64, Failure> {
        let (id, command, metadata) = self.script.next();
        let executed = self.bus.execute::<Bot>(&id, command, &metadata).await.map_err(failed)?;
        Ok(executed.events.len() as u64)
    }
}

/// A client that inserts many rows at once, with no checks and no decisions.
pub struct InsertClient {
    pool: PgPool,
    table: &'static str,
    payload: String,
    metadata: String,
    /// Positions that no other client uses.
    next_position: i64,
}

impl InsertClient {
    /// `rows` gives the texts of a real event; `number` tells the clients apart.
    pub fn new(pool: &PgPool, table: &'static str, (payload, metadata): (String, String), number: usize) -> Self {
        let first = i64::try_from(number).unwrap_or(0) << 40;
        Self { pool: pool.clone(), table, payload, metadata, next_position: first + 1 }
    }
}

impl Client for InsertClient {
    async fn call(&mut self) -> Result<u64, Failure> {
        let rows = usize::try_from(ROWS_OF_AN_INSERT).unwrap_or(usize::MAX);
        let ids: Vec<String> = (0..rows / 10).map(|_| new_bot().to_string()).collect();
        let bots: Vec<&str> = (0..rows).map(|row| ids[row / 10].as_str()).collect();
        let sequences: Vec<i64> = (1..=10).cycle().take(rows).collect();
        let event_ids: Vec<uuid::Uuid> = (0..rows).map(|_| SystemEntropy.uuid()).collect();
        sqlx::query(&format!(
            "INSERT INTO {} (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
                             metadata, shard, position, event_id, recorded_at)
             SELECT 'Bot', e.aggregate_id, e.sequence, 'AccountLinked', '1', $4::json, $5::json, 0,
                    $6 + e.place, e.event_id, now()
               FROM UNNEST($1::text[], $2::bigint[], $3::uuid[])
                    WITH ORDINALITY AS e (aggregate_id, sequence, event_id, place)",
            self.table
        ))
        .bind(bots)
        .bind(sequences)
        .bind(event_ids)
        .bind(&self.payload)
        .bind(&self.metadata)
        .bind(self.next_position)
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        self.next_position += i64::try_from(ROWS_OF_AN_INSERT).unwrap_or(0);
        Ok(ROWS_OF_AN_INSERT)
    }
}
