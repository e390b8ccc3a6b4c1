//! Mutations of campaigns.

mod input;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use domain::campaign::{self as campaign_domain, CampaignCommand, Draft};
use domain::ids::CampaignId;
use domain::metadata::Metadata;
use projections::campaigns;
use store::command_bus::ExecuteError;

use self::input::{Asked, CampaignFiltersInput, SourceInput};
use crate::graphql::ask::{Answer, Ask, CAMPAIGNS};
use crate::graphql::campaign::{Campaign, campaign_id};
use crate::graphql::error::{UserError, fault};
use crate::graphql::names::Module;

/// A campaign that is to be made.
#[derive(Debug, InputObject)]
pub struct DefineCampaignInput {
    /// Its name, 1 to 80 characters.
    name: String,
    /// What it does to its targets.
    module: Module,
    /// Where its targets come from.
    source: SourceInput,
    /// Most targets of one run, 1 to 200.
    max_targets: u32,
    /// Whom it acts on; everybody when left out.
    filters: Option<CampaignFiltersInput>,
    /// What it says, with variables such as `{first_name}` and alternatives such as `{hi|hello}`; for COMMENT and DM.
    text: Option<String>,
    /// What ends all contact when somebody writes it, beside `stop` and its like; for DM, at most 50.
    stop_words: Option<Vec<String>>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A campaign as it is to be from now on.
#[derive(Debug, InputObject)]
pub struct ReviseCampaignInput {
    /// Global id of the campaign.
    campaign_id: ID,
    /// Its name, 1 to 80 characters.
    name: String,
    /// What it does to its targets.
    module: Module,
    /// Where its targets come from.
    source: SourceInput,
    /// Most targets of one run, 1 to 200.
    max_targets: u32,
    /// Whom it acts on; everybody when left out.
    filters: Option<CampaignFiltersInput>,
    /// What it says, with variables such as `{first_name}` and alternatives such as `{hi|hello}`; for COMMENT and DM.
    text: Option<String>,
    /// What ends all contact when somebody writes it, beside `stop` and its like; for DM, at most 50.
    stop_words: Option<Vec<String>>,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// A campaign that is to be part of no plan any more.
#[derive(Debug, InputObject)]
pub struct ArchiveCampaignInput {
    /// Global id of the campaign.
    campaign_id: ID,
    /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
    idempotency_key: Option<String>,
}

/// Payloads with the campaign as it is after the mutation.
macro_rules! campaign_payloads {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(SimpleObject)]
            pub struct $name {
                /// The campaign as it is now; null when it was refused.
                campaign: Option<Campaign>,
                /// Why it was refused; empty when it was done.
                user_errors: Vec<UserError>,
            }

            impl From<(Option<Campaign>, Vec<UserError>)> for $name {
                fn from((campaign, user_errors): (Option<Campaign>, Vec<UserError>)) -> Self {
                    Self { campaign, user_errors }
                }
            }
        )+
    };
}

pub(super) use campaign_payloads;

campaign_payloads! {
    /// What `defineCampaign` did.
    DefineCampaignPayload,
    /// What `reviseCampaign` did.
    ReviseCampaignPayload,
    /// What `archiveCampaign` did.
    ArchiveCampaignPayload,
}

/// Mutations of campaigns.
#[derive(Default)]
pub struct CampaignMutation;

#[Object]
impl CampaignMutation {
    /// Makes a campaign. It is part of the next plan; nothing acts by that.
    async fn define_campaign(&self, ctx: &Context<'_>, input: DefineCampaignInput) -> Result<DefineCampaignPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let DefineCampaignInput { name, module, source, max_targets, filters, text, stop_words, .. } = input;
        let draft = Draft::from(Asked { name, module, source, max_targets, filters, text, stop_words });
        let act = |metadata: Metadata| async move {
            // A repeated request must come to the same campaign.
            let campaign_id = CampaignId::from_uuid(metadata.request_id.uuid());
            let command =
                CampaignCommand::Define { campaign_id, bot_id: ask.bot_id(), draft, at: metadata.recorded_at };
            execute(ask, campaign_id, command, &metadata).await
        };
        let answer = ask.once(CAMPAIGNS, act).await?;
        Ok(shown(ask, answer).await?.into())
    }

    /// Changes a campaign. What is enabled goes on as it was; the next plan has the change.
    async fn revise_campaign(&self, ctx: &Context<'_>, input: ReviseCampaignInput) -> Result<ReviseCampaignPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let ReviseCampaignInput { campaign_id, name, module, source, max_targets, filters, text, stop_words, .. } =
            input;
        let draft = Draft::from(Asked { name, module, source, max_targets, filters, text, stop_words });
        let act = |metadata: Metadata| async move {
            let Some(id) = own(ask, &campaign_id).await? else { return Ok(Answer::refused(missing())) };
            let command = CampaignCommand::Revise { draft, at: metadata.recorded_at };
            execute(ask, id, command, &metadata).await
        };
        let answer = ask.once(CAMPAIGNS, act).await?;
        Ok(shown(ask, answer).await?.into())
    }

    /// Takes a campaign out of the next plan for good.
    async fn archive_campaign(&self, ctx: &Context<'_>, input: ArchiveCampaignInput) -> Result<ArchiveCampaignPayload> {
        let ask = &Ask::new(ctx, &input, input.idempotency_key.as_ref())?;
        let act = |metadata: Metadata| async move {
            let Some(id) = own(ask, &input.campaign_id).await? else { return Ok(Answer::refused(missing())) };
            let command = CampaignCommand::Archive { at: metadata.recorded_at };
            execute(ask, id, command, &metadata).await
        };
        let answer = ask.once(CAMPAIGNS, act).await?;
        Ok(shown(ask, answer).await?.into())
    }
}

pub(super) fn missing() -> UserError {
    UserError::not_found("campaign", &["campaignId"])
}

/// The campaign of an id, if it is the caller's own.
pub(super) async fn own(ask: &Ask<'_>, id: &ID) -> Result<Option<CampaignId>> {
    let Some(id) = campaign_id(id) else { return Ok(None) };
    let loaded = ask.services.deps.bus.load::<campaign_domain::Campaign>(&id.to_string()).await.map_err(fault)?;
    Ok((loaded.state.bot_id() == Some(ask.bot_id())).then_some(id))
}

pub(super) async fn execute(
    ask: &Ask<'_>,
    id: CampaignId,
    command: CampaignCommand,
    metadata: &Metadata,
) -> Result<Answer> {
    match ask.services.deps.bus.execute::<campaign_domain::Campaign>(&id.to_string(), command, metadata).await {
        Ok(executed) => Ok(Answer { subject: Some(id.uuid()), ..Answer::done(executed.position) }),
        Err(ExecuteError::Refused(refusal)) => Ok(Answer::refused(&refusal)),
        Err(ExecuteError::Store(error)) => Err(fault(error)),
    }
}

/// The campaign as its stream says, so that whoever changed it sees that even while the read model is behind.
pub(super) async fn shown(ask: &Ask<'_>, answer: Answer) -> Result<(Option<Campaign>, Vec<UserError>)> {
    let Some(id) = answer.subject().map(CampaignId::from_uuid) else { return Ok((None, answer.user_errors)) };
    let deps = &ask.services.deps;
    let state = deps.bus.load::<campaign_domain::Campaign>(&id.to_string()).await.map_err(fault)?.state;
    let row = campaigns::by_id(&deps.pool, id).await.map_err(fault)?;
    let now = deps.clock.now();
    let campaign = state.definition().map(|definition| campaigns::Campaign {
        campaign_id: id,
        bot_id: ask.bot_id(),
        definition: definition.clone(),
        revision: state.revision(),
        archived: !state.is_active(),
        created_at: row.as_ref().map_or(now, |row| row.created_at),
        updated_at: row.as_ref().map_or(now, |row| row.updated_at),
    });
    Ok((campaign.map(Campaign), answer.user_errors))
}
