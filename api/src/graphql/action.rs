//! Actions: side effects on Instagram, reserved before and recorded after.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::bot as bots;
use domain::ids::{ActionId, RunId};
use projections::actions;

use super::campaign::{Campaign, campaign_id};
use super::global_id::Kind;
use super::names::{ActionKind, ActionStatus, Counter, FailureClass, Mode, SuppressReason, Window};
use super::scalars::Date;

/// The action that an id names, whether or not there is one.
pub fn action_id(id: &ID) -> Option<ActionId> {
    Kind::Action.uuid(id).map(ActionId::from_uuid)
}

/// Which actions are asked for; everything that is given must hold.
#[derive(Debug, Default, InputObject)]
pub struct ActionFilter {
    /// Any of these.
    statuses: Option<Vec<ActionStatus>>,
    /// Of this kind.
    kind: Option<ActionKind>,
    /// In this mode.
    mode: Option<Mode>,
    /// Of this campaign.
    campaign_id: Option<ID>,
    /// Of this run.
    run_id: Option<ID>,
}

impl ActionFilter {
    /// As the read model takes it; `None` when an id in it names nothing.
    pub fn checked(self) -> Option<actions::ActionFilter> {
        let campaign_id = match self.campaign_id {
            Some(id) => Some(campaign_id(&id)?),
            None => None,
        };
        let run_id = match self.run_id {
            Some(id) => Some(RunId::from_uuid(Kind::CampaignRun.uuid(&id)?)),
            None => None,
        };
        Some(actions::ActionFilter {
            run_id,
            campaign_id,
            kind: self.kind.map(Into::into),
            mode: self.mode.map(Into::into),
            statuses: self.statuses.unwrap_or_default().into_iter().map(Into::into).collect(),
        })
    }
}

/// One side effect on Instagram.
pub struct Action(pub actions::Action);

/// One side effect on Instagram, from the first time that it had to wait or was reserved to how it ended.
#[Object]
impl Action {
    /// Global id.
    pub async fn id(&self) -> ID {
        Kind::Action.id(self.0.action_id.uuid())
    }

    /// What it does.
    async fn kind(&self) -> ActionKind {
        self.0.kind.into()
    }

    /// Instagram's key of what is acted on.
    async fn target(&self) -> &str {
        &self.0.target
    }

    /// Whether it reaches Instagram.
    async fn mode(&self) -> Mode {
        self.0.mode.into()
    }

    /// Where it stands.
    async fn status(&self) -> ActionStatus {
        self.0.status.into()
    }

    /// The account's day that it is counted on.
    async fn local_day(&self) -> Date {
        self.0.local_day.into()
    }

    /// The class of the failure, when it was refused or failed.
    async fn failure_class(&self) -> Option<FailureClass> {
        self.0.class.map(Into::into)
    }

    /// The code of the failure or the doubt.
    async fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// How its outcome is known.
    async fn evidence(&self) -> Option<&str> {
        self.0.evidence.as_deref()
    }

    /// The last time that it had to wait.
    async fn suppression(&self) -> Option<Suppression> {
        self.0.suppression.as_ref().map(|suppression| Suppression {
            times: suppression.times,
            at: suppression.at,
            reason: suppression.reason.into(),
            counter: suppression.counter.map(Into::into),
            window: suppression.window.map(Into::into),
            frees_at: suppression.frees_at,
        })
    }

    /// When it was reserved.
    async fn reserved_at(&self) -> Option<DateTime<Utc>> {
        self.0.reserved_at
    }

    /// When it ended.
    async fn settled_at(&self) -> Option<DateTime<Utc>> {
        self.0.settled_at
    }

    /// The campaign that it belongs to.
    async fn campaign(&self, ctx: &Context<'_>) -> Result<Option<Campaign>> {
        super::loader::campaign(ctx, self.0.campaign_id).await
    }

    /// Global id of the run that it belongs to.
    async fn run_id(&self) -> ID {
        Kind::CampaignRun.id(self.0.run_id.uuid())
    }
}

/// Why an action had to wait.
#[derive(Debug, SimpleObject)]
pub struct Suppression {
    /// How often it had to.
    times: u32,
    /// The last time.
    at: DateTime<Utc>,
    /// Why, the last time.
    reason: SuppressReason,
    /// The counter whose limit was reached.
    counter: Option<Counter>,
    /// The window in which it was.
    window: Option<Window>,
    /// When it may be done; null when waiting does not help.
    frees_at: Option<DateTime<Utc>>,
}

/// The action that is reserved and not settled.
pub struct OpenAction(pub bots::Reservation);

/// An action between its reservation and its settlement.
#[Object]
impl OpenAction {
    /// Global id of the action.
    async fn action_id(&self) -> ID {
        Kind::Action.id(self.0.action_id.uuid())
    }

    /// What it does.
    async fn kind(&self) -> ActionKind {
        self.0.kind.into()
    }

    /// Instagram's key of what is acted on.
    async fn target(&self) -> &str {
        &self.0.target
    }

    /// Whether it reaches Instagram.
    async fn mode(&self) -> Mode {
        self.0.mode.into()
    }

    /// When it was reserved.
    async fn reserved_at(&self) -> DateTime<Utc> {
        self.0.at
    }
}

/// An action whose outcome is not known.
pub struct Doubt(pub bots::Reservation);

/// An action whose outcome is not known. It is never done again by itself: look at Instagram, then settle it.
#[Object]
impl Doubt {
    /// Global id of the action, for `settleAction`.
    async fn action_id(&self) -> ID {
        Kind::Action.id(self.0.action_id.uuid())
    }

    /// What it was to do.
    async fn kind(&self) -> ActionKind {
        self.0.kind.into()
    }

    /// Instagram's key of what was acted on.
    async fn target(&self) -> &str {
        &self.0.target
    }

    /// When it was reserved.
    async fn reserved_at(&self) -> DateTime<Utc> {
        self.0.at
    }

    /// The account's day that it is counted on.
    async fn local_day(&self) -> Date {
        self.0.local_day.into()
    }
}
