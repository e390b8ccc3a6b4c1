//! Whose bot an event is about: of campaigns and jobs only the first event says so.

use std::collections::HashMap;

use domain::any_event::AnyEvent;
use domain::campaign::CampaignEvent;
use domain::ids::{BotId, CampaignId, JobId};
use domain::job::JobEvent;
use sqlx::PgConnection;

use crate::columns;
use crate::error::ProjectionError;
use crate::projection::LogEvent;

/// The bots of the campaigns and jobs that a batch is about.
#[derive(Default)]
pub(super) struct Owners {
    campaigns: HashMap<CampaignId, BotId>,
    jobs: HashMap<JobId, BotId>,
}

impl Owners {
    /// From the events themselves, else from the rows of earlier ones.
    pub async fn of(db: &mut PgConnection, events: &[&LogEvent]) -> Result<Self, ProjectionError> {
        let mut owners = Self::default();
        let mut campaigns = Vec::new();
        let mut jobs = Vec::new();
        for event in events {
            match &event.event {
                AnyEvent::Campaign(id, CampaignEvent::CampaignDefined { bot_id, .. }) => {
                    sqlx::query("INSERT INTO audit_trail_campaigns (campaign_id, bot_id) VALUES ($1, $2)")
                        .bind(id.uuid())
                        .bind(bot_id.uuid())
                        .execute(&mut *db)
                        .await?;
                    owners.campaigns.insert(*id, *bot_id);
                }
                AnyEvent::Campaign(id, _) => campaigns.push(id.uuid()),
                AnyEvent::Job(id, JobEvent::JobCreated { bot_id, .. }) => {
                    owners.jobs.insert(*id, *bot_id);
                }
                AnyEvent::Job(id, _) if !owners.jobs.contains_key(id) => jobs.push(id.to_string()),
                AnyEvent::Job(..) | AnyEvent::Bot(..) | AnyEvent::User(..) | AnyEvent::Engine(_) => {}
            }
        }
        if !campaigns.is_empty() {
            let sql = "SELECT campaign_id, bot_id FROM audit_trail_campaigns WHERE campaign_id = ANY ($1)";
            for row in sqlx::query(sql).bind(campaigns).fetch_all(&mut *db).await? {
                let campaign_id = columns::id(&row, "campaign_id", CampaignId::from_uuid)?;
                owners.campaigns.insert(campaign_id, columns::id(&row, "bot_id", BotId::from_uuid)?);
            }
        }
        if !jobs.is_empty() {
            let sql = "SELECT aggregate_id, bot_id
                         FROM audit_trail
                        WHERE event_type = 'JobCreated'
                          AND aggregate_id = ANY ($1)";
            for row in sqlx::query(sql).bind(jobs).fetch_all(db).await? {
                owners
                    .jobs
                    .insert(columns::name(&row, "aggregate_id")?, columns::id(&row, "bot_id", BotId::from_uuid)?);
            }
        }
        Ok(owners)
    }

    /// The bot that `event` is about; none of a user's or the engine's.
    pub fn bot_of(&self, event: &AnyEvent) -> Result<Option<BotId>, ProjectionError> {
        let (found, table, key) = match event {
            AnyEvent::User(..) | AnyEvent::Engine(_) => return Ok(None),
            AnyEvent::Bot(bot_id, _) => return Ok(Some(*bot_id)),
            AnyEvent::Campaign(id, _) => (self.campaigns.get(id), "audit_trail_campaigns", id.to_string()),
            AnyEvent::Job(id, _) => (self.jobs.get(id), "audit_trail", id.to_string()),
        };
        found.map(|bot_id| Some(*bot_id)).ok_or(ProjectionError::RowMissing { table, key })
    }
}
