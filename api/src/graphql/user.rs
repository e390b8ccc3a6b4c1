//! Users, as they see themselves and as administrators see all of them: names, states and counters, nothing else.

use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};
use domain::bot as bots;
use domain::ids::{BotId, UserId};
use projections::{bot_counters, users};

use super::counters::{DayCounter, day_counters};
use super::error::{caller, fault, services};
use super::global_id::Kind;
use super::loader::rows;
use super::names::{BotState, Mode, Role};

/// The user that an id names, whether or not there is one.
pub fn user_id(id: &ID) -> Option<UserId> {
    Kind::User.uuid(id).map(UserId::from_uuid)
}

/// A person with a login.
pub struct User {
    pub id: UserId,
    pub username: String,
    pub role: domain::user::Role,
    pub active: bool,
    pub must_change_password: bool,
    pub registered_at: Option<DateTime<Utc>>,
}

impl From<users::User> for User {
    fn from(row: users::User) -> Self {
        Self {
            id: row.user_id,
            username: row.username,
            role: row.role,
            active: row.active,
            must_change_password: row.must_change_password,
            registered_at: Some(row.created_at),
        }
    }
}

impl User {
    /// The user as their stream says; `None` for an id that is nobody's.
    pub fn of(user_id: UserId, state: &domain::user::User) -> Option<Self> {
        Some(Self {
            id: user_id,
            username: state.username()?.to_owned(),
            role: state.role()?,
            active: state.is_active(),
            must_change_password: state.must_change_password(),
            registered_at: None,
        })
    }
}

/// A person with a login. Others than oneself are seen by administrators alone.
#[Object]
impl User {
    /// Global id.
    pub async fn id(&self) -> ID {
        Kind::User.id(self.id.uuid())
    }

    /// The login name, in lower case.
    async fn username(&self) -> &str {
        &self.username
    }

    /// What they may see and do.
    async fn role(&self) -> Role {
        self.role.into()
    }

    /// Whether they may sign in.
    async fn active(&self) -> bool {
        self.active
    }

    /// Whether they may do nothing but change the password.
    async fn must_change_password(&self) -> bool {
        self.must_change_password
    }

    /// When they were registered.
    async fn registered_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        if self.registered_at.is_some() {
            return Ok(self.registered_at);
        }
        let row = users::by_id(&services(ctx)?.deps.pool, self.id).await.map_err(fault)?;
        Ok(row.map(|row| row.created_at))
    }

    /// The name of the linked Instagram account.
    async fn instagram_username(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        caller(ctx)?;
        Ok(rows(ctx)?.load_one(self.id).await?.map(|account| account.username))
    }

    /// Where their bot stands.
    async fn bot_state(&self, ctx: &Context<'_>) -> Result<BotState> {
        caller(ctx)?;
        let row = rows(ctx)?.load_one(BotId::of(self.id)).await?;
        Ok(row.map_or(bots::BotState::NotInitialized, |row| row.state).into())
    }

    /// Whether their bot's writes reach Instagram; null unless automation is enabled.
    async fn bot_mode(&self, ctx: &Context<'_>) -> Result<Option<Mode>> {
        caller(ctx)?;
        let row = rows(ctx)?.load_one(BotId::of(self.id)).await?;
        Ok(row.and_then(|row| row.automation).map(|automation| automation.mode.into()))
    }

    /// How their bot's actions of today ended, by the day of their account.
    #[graphql(complexity = "10 + child_complexity * 10")]
    async fn counters_today(&self, ctx: &Context<'_>) -> Result<Vec<DayCounter>> {
        caller(ctx)?;
        let services = services(ctx)?;
        let zone = rows(ctx)?.load_one(self.id).await?.map_or(chrono_tz::Tz::UTC, |account| account.zone);
        let today = services.deps.clock.now().with_timezone(&zone).date_naive();
        let bot_id = BotId::of(self.id);
        let rows = bot_counters::of_bot(&services.deps.pool, bot_id, today, today).await.map_err(fault)?;
        Ok(day_counters(rows))
    }
}
