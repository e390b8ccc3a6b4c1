//! `campaigns`: what each bot should do, in its newest revision.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::campaign::{CampaignEvent, Definition};
use domain::ids::{BotId, CampaignId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgExecutor, Row};

use crate::columns;
use crate::error::ProjectionError;
use crate::page::{Page, PageRequest};
use crate::projection::{LogEvent, Projection};

/// The projection of `campaigns`.
#[derive(Debug, Clone, Copy)]
pub struct Campaigns;

/// What a bot should do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    pub campaign_id: CampaignId,
    pub bot_id: BotId,
    pub definition: Definition,
    /// 1 when defined, one more with each revision.
    pub revision: u32,
    pub archived: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[async_trait]
impl Projection for Campaigns {
    fn name(&self) -> &'static str {
        "campaigns"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [&'static str] {
        &["campaigns"]
    }

    fn reads(&self) -> &'static [&'static str] {
        &["Campaign"]
    }

    async fn apply(&self, db: &mut PgConnection, event: &LogEvent) -> Result<(), ProjectionError> {
        let AnyEvent::Campaign(campaign_id, change) = &event.event else { return Ok(()) };
        let at = event.stored.recorded_at;
        match change {
            CampaignEvent::CampaignDefined { bot_id, definition, .. } => {
                sqlx::query(
                    "INSERT INTO campaigns (campaign_id, bot_id, name, module, source, max_targets, filters, text,
                                            stop_words, revision, archived, created_at, updated_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, false, $10, $10)",
                )
                .bind(campaign_id.uuid())
                .bind(bot_id.uuid())
                .bind(columns::text(&definition.name))
                .bind(definition.module.as_str())
                .bind(columns::clean(columns::to_json(&definition.source)?))
                .bind(i64::from(definition.max_targets))
                .bind(columns::to_json(&definition.filters)?)
                .bind(&definition.text)
                .bind(&definition.stop_words)
                .bind(at)
                .execute(db)
                .await?;
                Ok(())
            }
            CampaignEvent::CampaignRevised { revision, definition, .. } => {
                let done = sqlx::query(
                    "UPDATE campaigns
                        SET name = $2, module = $3, source = $4, max_targets = $5, filters = $6, text = $7,
                            stop_words = $8, revision = $9, updated_at = $10
                      WHERE campaign_id = $1",
                )
                .bind(campaign_id.uuid())
                .bind(columns::text(&definition.name))
                .bind(definition.module.as_str())
                .bind(columns::clean(columns::to_json(&definition.source)?))
                .bind(i64::from(definition.max_targets))
                .bind(columns::to_json(&definition.filters)?)
                .bind(&definition.text)
                .bind(&definition.stop_words)
                .bind(i64::from(*revision))
                .bind(at)
                .execute(db)
                .await?;
                columns::one_row(&done, "campaigns", campaign_id)
            }
            CampaignEvent::CampaignArchived { .. } => {
                let done = sqlx::query("UPDATE campaigns SET archived = true, updated_at = $2 WHERE campaign_id = $1")
                    .bind(campaign_id.uuid())
                    .bind(at)
                    .execute(db)
                    .await?;
                columns::one_row(&done, "campaigns", campaign_id)
            }
            // When it runs is in `campaign_schedules`.
            _ => Ok(()),
        }
    }
}

impl FromRow<'_, PgRow> for Campaign {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            campaign_id: columns::id(row, "campaign_id", CampaignId::from_uuid)?,
            bot_id: columns::id(row, "bot_id", BotId::from_uuid)?,
            definition: Definition {
                name: row.try_get("name")?,
                module: columns::name(row, "module")?,
                source: columns::json(row, "source")?,
                max_targets: columns::count(row, "max_targets")?,
                filters: columns::json(row, "filters")?,
                text: row.try_get("text")?,
                stop_words: row.try_get("stop_words")?,
            },
            revision: columns::count(row, "revision")?,
            archived: row.try_get("archived")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

const COLUMNS: &str = "campaign_id, bot_id, name, module, source, max_targets, filters, text, stop_words, revision,
     archived, created_at, updated_at";

/// The campaign of an id.
pub async fn by_id(db: impl PgExecutor<'_>, campaign_id: CampaignId) -> Result<Option<Campaign>, sqlx::Error> {
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM campaigns WHERE campaign_id = $1"))
        .bind(campaign_id.uuid())
        .fetch_optional(db)
        .await
}

/// The campaigns of many ids, in no order.
pub async fn by_ids(db: impl PgExecutor<'_>, campaign_ids: &[CampaignId]) -> Result<Vec<Campaign>, sqlx::Error> {
    let ids: Vec<_> = campaign_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as(&format!("SELECT {COLUMNS} FROM campaigns WHERE campaign_id = ANY ($1)"))
        .bind(ids)
        .fetch_all(db)
        .await
}

/// The campaigns of a bot in the order of their ids, which is that of their making.
pub async fn of_bot(
    db: impl PgExecutor<'_>,
    bot_id: BotId,
    with_archived: bool,
    page: &PageRequest<CampaignId>,
) -> Result<Page<Campaign>, sqlx::Error> {
    let (order, beyond) = (page.order.keyword(), page.order.beyond());
    let sql = format!(
        "SELECT {COLUMNS}
           FROM campaigns
          WHERE bot_id = $1
            AND (NOT archived OR $2)
            AND ($3::uuid IS NULL OR campaign_id {beyond} $3)
          ORDER BY campaign_id {order}
          LIMIT $4"
    );
    let rows = sqlx::query_as(&sql)
        .bind(bot_id.uuid())
        .bind(with_archived)
        .bind(page.after.map(CampaignId::uuid))
        .bind(page.fetched())
        .fetch_all(db)
        .await?;
    Ok(page.page(rows))
}

/// How many campaigns a bot has.
pub async fn count_of_bot(db: impl PgExecutor<'_>, bot_id: BotId, with_archived: bool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM campaigns WHERE bot_id = $1 AND (NOT archived OR $2)")
        .bind(bot_id.uuid())
        .bind(with_archived)
        .fetch_one(db)
        .await
}
