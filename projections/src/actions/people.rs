//! What the actions of a bot say about people: whom it has met, and whom it follows. Simulated actions say nothing.

use chrono::{DateTime, Utc};
use domain::ids::{ActionId, BotId};
use sqlx::PgExecutor;
use uuid::Uuid;

/// As the index has it.
const PERSON: &str = "(CASE WHEN kind IN ('FOLLOW', 'UNFOLLOW', 'DM') THEN target ELSE split_part(target, '_', 2) END)";

/// Somebody, and when something was done.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Since {
    /// The platform's key.
    pub person: String,
    pub at: DateTime<Utc>,
}

/// When a bot last did anything to each of `people`, whatever the campaign; what may have happened counts.
pub async fn met(db: impl PgExecutor<'_>, bot_id: BotId, people: &[String]) -> Result<Vec<Since>, sqlx::Error> {
    sqlx::query_as(&format!(
        "SELECT {PERSON} AS person, max(reserved_at) AS at
           FROM actions
          WHERE bot_id = $1
            AND mode = 'LIVE'
            AND status IN ('OPEN', 'PERFORMED', 'IN_DOUBT', 'RECONCILED_PERFORMED')
            AND {PERSON} = ANY ($2)
          GROUP BY {PERSON}"
    ))
    .bind(bot_id.uuid())
    .bind(people)
    .fetch_all(db)
    .await
}

/// Which of the actions were reserved, however they ended.
pub async fn reserved(db: impl PgExecutor<'_>, actions: &[ActionId]) -> Result<Vec<ActionId>, sqlx::Error> {
    let ids: Vec<Uuid> = actions.iter().map(|action| action.uuid()).collect();
    let found: Vec<Uuid> =
        sqlx::query_scalar("SELECT action_id FROM actions WHERE action_id = ANY ($1) AND status <> 'SUPPRESSED'")
            .bind(ids)
            .fetch_all(db)
            .await?;
    Ok(found.into_iter().map(ActionId::from_uuid).collect())
}

/// Which follows are asked for.
#[derive(Debug, Clone, Default)]
pub struct Follows<'a> {
    /// Of these people only.
    pub people: Option<&'a [String]>,
    /// Not later than this.
    pub until: Option<DateTime<Utc>>,
    /// After this one, in their order.
    pub after: Option<Since>,
    pub limit: i64,
}

/// Whom a bot followed for its present account and has not unfollowed, the longest ago first.
pub async fn followed(db: impl PgExecutor<'_>, bot_id: BotId, asked: &Follows<'_>) -> Result<Vec<Since>, sqlx::Error> {
    let (after_at, after_person) = asked.after.clone().map(|since| (since.at, since.person)).unzip();
    sqlx::query_as(
        "SELECT target AS person, max(reserved_at) AS at
           FROM actions AS follows
          WHERE bot_id = $1
            AND mode = 'LIVE'
            AND kind = 'FOLLOW'
            AND status IN ('PERFORMED', 'RECONCILED_PERFORMED')
            AND reserved_at >= coalesce((SELECT max(linked_at) FROM instagram_accounts WHERE user_id = $1), reserved_at)
            AND ($2::text[] IS NULL OR target = ANY ($2))
            AND NOT EXISTS (SELECT 1
                              FROM actions AS unfollows
                             WHERE unfollows.bot_id = $1
                               AND unfollows.mode = 'LIVE'
                               AND unfollows.kind = 'UNFOLLOW'
                               AND unfollows.target = follows.target
                               AND unfollows.status IN ('OPEN', 'PERFORMED', 'IN_DOUBT', 'RECONCILED_PERFORMED')
                               AND unfollows.reserved_at >= follows.reserved_at)
          GROUP BY target
         HAVING ($3::timestamptz IS NULL OR max(reserved_at) <= $3)
            AND ($4::timestamptz IS NULL OR (max(reserved_at), target) > ($4, $5::text))
          ORDER BY max(reserved_at), target
          LIMIT $6",
    )
    .bind(bot_id.uuid())
    .bind(asked.people)
    .bind(asked.until)
    .bind(after_at)
    .bind(after_person)
    .bind(asked.limit)
    .fetch_all(db)
    .await
}
