//! One piece of work for a bot, be it a command or a step of a job: whose it is, why it exists, and how it speaks to the
//! bot.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::bot::{Bot, BotCommand, BotError, BotEvent};
use domain::ids::{ActionId, BotId, RequestId, derive};
use domain::metadata::{Actor, Metadata};
use projections::reactor::work::Work;
use store::StoreError;
use store::command_bus::{CommandBus, ExecuteError, Executed};
use store::command_queue::{ClaimedCommand, NewCommand};
use store::decode::Decoder;
use uuid::Uuid;

use crate::fault::Fault;
use crate::hands::Hands;
use crate::job::Provenance;

/// How often a command is told again when the store does not answer; the request id makes that safe.
const TELL_TRIES: u32 = 5;
const FIRST_TELL_PAUSE: Duration = Duration::from_millis(100);
/// Failures that count before a follow-up is dead.
const MAX_ATTEMPTS: i32 = 10;

/// One piece of work for a bot.
pub(crate) struct Errand {
    pub(crate) hands: Arc<Hands>,
    /// Writes nothing once the epoch of the claim is lost.
    pub(crate) bus: CommandBus,
    bot_id: BotId,
    /// The same however often the work is begun.
    id: Uuid,
    /// Another one each time that the work is begun.
    pub(crate) claim: Uuid,
    /// Under which this process holds the bot.
    pub(crate) epoch: i64,
    correlation_id: Uuid,
    causation_id: Uuid,
}

/// What the bot answered.
#[derive(Debug)]
pub(crate) enum Told {
    Done(Executed<Bot>),
    Refused(BotError),
}

impl Errand {
    /// A claimed command.
    pub(crate) fn of_command(hands: Arc<Hands>, command: &ClaimedCommand) -> Self {
        let claim = &command.claim;
        Self {
            bus: hands.bus.under(claim.epoch),
            hands,
            bot_id: command.bot_id,
            id: claim.command_id,
            claim: derive(&["claim", &claim.command_id.to_string(), &claim.number.to_string()]),
            epoch: claim.epoch,
            correlation_id: command.correlation_id,
            causation_id: command.causation_id,
        }
    }

    /// A step of a job of `bot_id`; `id` is the step's own.
    pub(crate) fn of_step(hands: Arc<Hands>, bot_id: BotId, id: Uuid, provenance: &Provenance) -> Self {
        let bus = provenance.held_epoch.map_or_else(|| hands.bus.clone(), |epoch| hands.bus.under(epoch));
        Self {
            bus,
            claim: hands.entropy.uuid(),
            hands,
            bot_id,
            id,
            epoch: provenance.held_epoch.unwrap_or_default(),
            correlation_id: provenance.correlation_id,
            causation_id: provenance.causation_id,
        }
    }

    pub(crate) const fn bot_id(&self) -> BotId {
        self.bot_id
    }

    /// Engine time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.hands.now()
    }

    /// Reaches a failpoint.
    pub(crate) async fn reach(&self, point: &'static str) {
        self.hands.config.failpoints.reach(point).await;
    }

    /// The bot as its stream says now.
    pub(crate) async fn load(&self) -> Result<Arc<Bot>, Fault> {
        Ok(self.bus.load::<Bot>(&self.bot_id().to_string()).await?.state)
    }

    /// The id of a request that this command makes once, however often it is claimed: repeated, it gets its first answer.
    pub(crate) fn once(&self, step: &str) -> RequestId {
        RequestId::from_uuid(derive(&["command", &self.id.to_string(), step]))
    }

    /// The id of a request about something that every claim does or sees anew.
    pub(crate) fn in_this_claim(&self, step: &str) -> RequestId {
        RequestId::from_uuid(derive(&["claim", &self.claim.to_string(), step]))
    }

    /// The id of a request that an action makes once, whichever command makes it.
    pub(crate) fn of_action(action: ActionId, step: &str) -> RequestId {
        RequestId::from_uuid(derive(&["action", &action.to_string(), step]))
    }

    /// What the events of a request say about where they come from.
    pub(crate) fn metadata(&self, request_id: RequestId) -> Metadata {
        Metadata {
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            actor: Actor::Worker(self.hands.config.name.clone()),
            request_id,
            recorded_at: self.now(),
        }
    }

    /// Tells the bot something. While the store does not answer, it is told again for a little while.
    pub(crate) async fn tell(&self, request_id: RequestId, command: BotCommand) -> Result<Told, Fault> {
        let metadata = self.metadata(request_id);
        let bot_id = self.bot_id().to_string();
        let mut tries = 1;
        loop {
            match self.bus.execute::<Bot>(&bot_id, command.clone(), &metadata).await {
                Ok(executed) => return Ok(Told::Done(executed)),
                Err(ExecuteError::Refused(error)) => return Ok(Told::Refused(error)),
                Err(ExecuteError::Store(error @ StoreError::Unavailable { .. })) if tries < TELL_TRIES => {
                    tracing::warn!(command = command.name(), %error, "the store did not answer; telling again");
                    tokio::time::sleep(FIRST_TELL_PAUSE * 2_u32.pow(tries - 1)).await;
                    tries += 1;
                }
                Err(ExecuteError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Tells the bot something that it may refuse because a person was faster; then `None`.
    pub(crate) async fn tell_if_allowed(
        &self,
        request_id: RequestId,
        command: BotCommand,
    ) -> Result<Option<Executed<Bot>>, Fault> {
        let name = command.name();
        match self.tell(request_id, command).await? {
            Told::Done(executed) => Ok(Some(executed)),
            Told::Refused(refusal) => {
                tracing::info!(command = name, code = refusal.code(), "the bot has moved on");
                Ok(None)
            }
        }
    }

    /// The first event that a request led to, if it was made and led to any.
    pub(crate) async fn first_event(&self, request_id: RequestId) -> Result<Option<BotEvent>, Fault> {
        let repository = self.bus.repository();
        let Some(first) = repository.request(request_id).await? else { return Ok(None) };
        let after = first.appended.first_sequence - 1;
        let stored = repository.raw_stream(&first.aggregate_type, &first.aggregate_id, after, 1).await?;
        Ok(stored.first().map(|raw| Decoder::<Bot>::default().decode(raw)).transpose()?)
    }

    /// A command that follows from this one.
    pub(crate) fn follow_up(&self, id: Uuid, work: &Work, not_before: DateTime<Utc>) -> NewCommand {
        NewCommand {
            id,
            bot_id: self.bot_id(),
            kind: work.kind().to_owned(),
            payload: work.payload(),
            dedupe_key: None,
            group_key: None,
            priority: work.priority(),
            not_before,
            max_attempts: MAX_ATTEMPTS,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            actor: Actor::Worker(self.hands.config.name.clone()).to_string(),
        }
    }
}
