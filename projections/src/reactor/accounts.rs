//! What a person asks of the account: a login, a test of the connection, and that its secrets be forgotten.

use async_trait::async_trait;
use domain::any_event::AnyEvent;
use domain::bot::BotEvent;
use sqlx::PgConnection;
use store::command_queue::CommandQueue;

use super::work::Work;
use crate::error::ProjectionError;
use crate::projection::{Kind, LogEvent, Projection};

/// The reactor to logins, connection tests and the end of an account.
#[derive(Debug, Clone)]
pub struct Accounts {
    queue: CommandQueue,
}

impl Accounts {
    /// A reactor that wakes the workers of `queue`.
    #[must_use]
    pub const fn new(queue: CommandQueue) -> Self {
        Self { queue }
    }
}

#[async_trait]
impl Projection for Accounts {
    fn name(&self) -> &'static str {
        "reactor_accounts"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &[]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Bot"]
    }

    fn kind(&self) -> Kind {
        Kind::Reactor
    }

    fn committed(&self) {
        self.queue.wake();
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        let AnyEvent::Bot(bot_id, change) = &event.event else { return Ok(()) };
        let work = match change {
            BotEvent::LoginRequested { attempt, password, verification_code, .. } => {
                Work::Login { attempt: *attempt, password: *password, verification_code: *verification_code }
            }
            BotEvent::ConnectionTestRequested { .. } => Work::TestConnection {},
            // Which secrets are not needed any more is seen when it is done, from the bot as it is then.
            BotEvent::LoggedOut { .. } | BotEvent::AccountUnlinked { .. } => Work::EraseSecrets { secrets: Vec::new() },
            _ => return Ok(()),
        };
        let command = super::command(event, *bot_id, &work, "", None)?;
        CommandQueue::enqueue_in(db, &[command]).await?;
        Ok(())
    }
}
