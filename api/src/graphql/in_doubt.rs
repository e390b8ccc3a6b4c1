//! The in-doubt desk: actions whose outcome is not known, with everything that helps a person to decide.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::bot as bots;
use domain::ids::BotId;
use projections::actions::{self, ActionFilter, ActionStatus};
use projections::{Order, events};
use serde_json::Value;
use store::command_queue::{CommandStatus, StoredCommand};

use super::action::Action;
use super::connection::{Cursor, List, PageArguments, TotalCount};
use super::error::{caller, fault, services};
use super::global_id::Kind;
use super::names::ActionKind;

/// The kind of the durable command that looks again.
pub const PROBE: &str = "probe_action";

/// The last look at the platform that a person asked for.
#[derive(SimpleObject)]
pub struct Probe {
    /// Where it is: `PENDING`, `RUNNING`, `DONE`, or `DEAD` when it was given up.
    status: String,
    /// What came of it: `PERFORMED`, `NOT_PERFORMED`, `IN_DOUBT`, `NO_SESSION`, `SLOWED_DOWN` or `SETTLED_BEFORE`; null
    /// until it is done.
    outcome: Option<String>,
    /// What the platform showed, as a code; or why the look was given up.
    finding: Option<String>,
    /// Not before then, by the engine's clock.
    not_before: DateTime<Utc>,
}

impl From<StoredCommand> for Probe {
    fn from(command: StoredCommand) -> Self {
        let text = |field| {
            let result = command.result.as_ref()?;
            result.get(field).and_then(Value::as_str).map(str::to_owned)
        };
        let reason = command.reason_code.clone().filter(|_| command.status == CommandStatus::Dead);
        Self {
            status: command.status.to_string(),
            outcome: text("outcome"),
            finding: text("finding").or(reason),
            not_before: command.not_before,
        }
    }
}

/// An action whose outcome is not known, with everything that helps to decide.
pub struct InDoubtAction(pub actions::Action);

/// An action whose outcome is not known. It is never done again by itself: let a worker look again with
/// `probeInDoubt`, or look at Instagram yourself and say what became of it with `settleAction`.
#[Object]
impl InDoubtAction {
    /// Global id of the action, for `probeInDoubt` and `settleAction`.
    async fn action_id(&self) -> ID {
        Kind::Action.id(self.0.action_id.uuid())
    }

    /// The action.
    async fn action(&self) -> Action {
        Action(self.0.clone())
    }

    /// What was sent.
    async fn kind(&self) -> ActionKind {
        self.0.kind.into()
    }

    /// Instagram's key of what was acted on.
    async fn target(&self) -> &str {
        &self.0.target
    }

    /// When it was reserved; it was sent soon after.
    async fn sent_at(&self) -> Option<DateTime<Utc>> {
        self.0.reserved_at
    }

    /// Since when it is in doubt.
    async fn since(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// The words of a comment or a direct message, if its job wrote them down.
    async fn text(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        if !matches!(self.0.kind, bots::ActionKind::Comment | bots::ActionKind::Dm) {
            return Ok(None);
        }
        let (job, step) = (self.0.run_id.to_string(), format!("words:{}", self.0.action_id));
        let words = events::result_of_step(&services(ctx)?.deps.pool, &job, &step).await.map_err(fault)?;
        Ok(words.and_then(|words| words.as_str().map(str::to_owned)))
    }

    /// Why it is in doubt, as a stable code.
    async fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// What the platform showed when it was put in doubt.
    async fn evidence(&self) -> Option<&str> {
        self.0.evidence.as_deref()
    }

    /// The last look that a person asked for.
    async fn probe(&self, ctx: &Context<'_>) -> Result<Option<Probe>> {
        let queue = &services(ctx)?.deps.queue;
        let latest = queue.latest_in_group(self.0.action_id.uuid(), PROBE).await.map_err(fault)?;
        Ok(latest.map(Probe::from))
    }
}

/// A page of the caller's own actions in doubt, oldest first.
pub async fn list(ctx: &Context<'_>, page: PageArguments) -> Result<List<InDoubtAction>> {
    let bot_id = BotId::of(caller(ctx)?.session.user_id);
    let asked = page.check(Order::OldestFirst)?;
    let filter = ActionFilter { statuses: vec![ActionStatus::InDoubt], ..ActionFilter::default() };
    let pool = &services(ctx)?.deps.pool;
    let page = actions::of_bot(pool, bot_id, &filter, &asked.page).await.map_err(fault)?;
    let pool = pool.clone();
    let total = TotalCount::by(move || {
        let (pool, filter) = (pool.clone(), filter.clone());
        async move { actions::count_of_bot(&pool, bot_id, &filter).await.map_err(fault) }
    });
    Ok(asked.connection(page, |action| Cursor::of(&action.first_position), InDoubtAction, total))
}
