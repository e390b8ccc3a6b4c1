//! What workers are asked to do: the payload of every durable command.
//!
//! Stored, so a variant or a field is added, never renamed. No secrets: only the ids of sealed ones.

use domain::bot::ActionKind;
use domain::ids::{ActionId, CampaignId, EnablementId, JobId, RunId, SecretId};
use domain::job::Origin;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One piece of work of one bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// Log the account in, once.
    Login {
        attempt: u32,
        password: SecretId,
        #[serde(default)]
        verification_code: Option<SecretId>,
    },
    /// Prove the session: a person asked, or a process took the bot over.
    TestConnection {},
    /// List a campaign's targets and plan one action for each.
    RunCampaign {
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
    },
    PerformAction(PlannedAction),
    /// Ends a run when all of its actions are settled.
    FinishRun {
        run_id: RunId,
        campaign_id: CampaignId,
        enablement_id: EnablementId,
    },
    /// Find out what became of an action whose worker died; whichever is open when this is reached.
    SettleAction {
        action_id: ActionId,
    },
    /// Erase the named secrets, and all of the user's that the bot does not refer to any more.
    EraseSecrets {
        #[serde(default)]
        secrets: Vec<SecretId>,
    },
    /// Make the stream of a job, once.
    StartJob {
        job_id: JobId,
        workflow: String,
        input: Value,
        origin: Origin,
    },
    /// Send a signal to the named jobs of the bot, or to all of its live ones when none is named.
    SignalJobs {
        name: String,
        #[serde(default)]
        payload: Value,
        #[serde(default)]
        jobs: Vec<JobId>,
    },
    /// Ask the named jobs of the bot to end, or all of its live ones when none is named.
    CancelJobs {
        reason: String,
        #[serde(default)]
        jobs: Vec<JobId>,
    },
}

/// One action of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedAction {
    pub action_id: ActionId,
    pub run_id: RunId,
    pub campaign_id: CampaignId,
    pub enablement_id: EnablementId,
    pub kind: ActionKind,
    /// The platform's key of what is acted on.
    pub target: String,
    /// The words of a comment or a message.
    #[serde(default)]
    pub text: Option<String>,
    /// 1, and one more each time that the action surely had no effect.
    #[serde(default = "first")]
    pub attempt: u32,
}

const fn first() -> u32 {
    1
}

/// A command that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("command of kind {kind:?} does not read")]
pub struct UnknownWork {
    pub kind: String,
    #[source]
    source: serde_json::Error,
}

impl UnknownWork {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "WORK_UNKNOWN"
    }
}

impl Work {
    /// The stored name: `kind` of the command.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Login { .. } => "login",
            Self::TestConnection {} => "test_connection",
            Self::RunCampaign { .. } => "run_campaign",
            Self::PerformAction(_) => "perform_action",
            Self::FinishRun { .. } => "finish_run",
            Self::SettleAction { .. } => "settle_action",
            Self::EraseSecrets { .. } => "erase_secrets",
            Self::StartJob { .. } => "start_job",
            Self::SignalJobs { .. } => "signal_jobs",
            Self::CancelJobs { .. } => "cancel_jobs",
        }
    }

    /// The lower, the sooner: what a person waits for, then what keeps the books right, then the work itself.
    #[must_use]
    pub const fn priority(&self) -> i16 {
        match self {
            Self::Login { .. } | Self::TestConnection {} => 10,
            Self::SettleAction { .. } | Self::SignalJobs { .. } | Self::CancelJobs { .. } => 20,
            Self::StartJob { .. } => 25,
            Self::RunCampaign { .. } => 30,
            Self::PerformAction(_) => 40,
            Self::FinishRun { .. } => 50,
            Self::EraseSecrets { .. } => 60,
        }
    }

    /// The stored form: `payload` of the command.
    #[must_use]
    pub fn payload(&self) -> Value {
        // Ids, numbers and texts: always JSON.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads what [`Work::payload`] wrote.
    pub fn decode(kind: &str, payload: Value) -> Result<Self, UnknownWork> {
        serde_json::from_value(payload).map_err(|source| UnknownWork { kind: kind.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::derive;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_reads_what_it_wrote_under_its_own_name() {
        let id = |name: &str| derive(&[name]);
        let run_id = RunId::from_uuid(id("run"));
        let campaign_id = CampaignId::from_uuid(id("campaign"));
        let enablement_id = EnablementId::from_uuid(id("enablement"));
        let action_id = ActionId::from_uuid(id("action"));
        let job_id = JobId::from_uuid(id("job"));
        let secret = SecretId::from_uuid(id("secret"));
        let all = [
            Work::Login { attempt: 2, password: secret, verification_code: Some(secret) },
            Work::TestConnection {},
            Work::RunCampaign { run_id, campaign_id, enablement_id },
            Work::PerformAction(PlannedAction {
                action_id,
                run_id,
                campaign_id,
                enablement_id,
                kind: ActionKind::Dm,
                target: "42".to_owned(),
                text: Some("hello".to_owned()),
                attempt: 3,
            }),
            Work::FinishRun { run_id, campaign_id, enablement_id },
            Work::SettleAction { action_id },
            Work::EraseSecrets { secrets: vec![secret] },
            Work::StartJob {
                job_id,
                workflow: "campaign_run".to_owned(),
                input: json!({ "campaign_id": campaign_id }),
                origin: Origin::Person,
            },
            Work::SignalJobs { name: "resumed".to_owned(), payload: Value::Null, jobs: vec![job_id] },
            Work::CancelJobs { reason: "enough".to_owned(), jobs: Vec::new() },
        ];
        for work in all {
            let payload = work.payload();
            assert_eq!(payload["work"], work.kind());
            assert_eq!(Work::decode(work.kind(), payload).expect("it reads"), work);
        }
    }

    #[test]
    fn an_unknown_kind_is_an_error_with_its_name() {
        let error = Work::decode("dance", json!({ "work": "dance" })).expect_err("no such work");
        assert!(error.to_string().contains("dance"));
    }
}
