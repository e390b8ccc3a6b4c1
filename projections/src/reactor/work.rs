//! What workers are asked to do: the payload of every durable command.
//!
//! Stored, so a variant or a field is added, never renamed. No secrets: only the ids of sealed ones.

use chrono::{DateTime, Utc};
use domain::campaign::RunEnding;
use domain::ids::{ActionId, CampaignId, JobId, SecretId};
use domain::job::Origin;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The workflow of a campaign's run, as jobs are stored.
pub const CAMPAIGN_RUN: &str = "campaign_run";
/// The signal that a bot's jobs hear when its person resumes it.
pub const BOT_RESUMED: &str = "bot_resumed";

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
    /// Find out what became of an action whose worker died; whichever is open when this is reached.
    SettleAction { action_id: ActionId },
    /// Erase the named secrets, and all of the user's that the bot does not refer to any more.
    EraseSecrets {
        #[serde(default)]
        secrets: Vec<SecretId>,
    },
    /// Look at the platform again for an action in doubt, because a person asked.
    ProbeAction { action_id: ActionId },
    /// Carry out a change of many jobs; see `store::bulk`.
    ChangeJobs { operation_id: Uuid },
    /// Make the stream of a job, once.
    StartJob { job_id: JobId, workflow: String, input: Value, origin: Origin },
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
    /// Tell a campaign what became of the job of one of its runs.
    RecordRun { campaign_id: CampaignId, job_id: JobId, due_at: DateTime<Utc>, news: RunNews },
}

/// What became of the job of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunNews {
    Ended {
        ending: RunEnding,
    },
    /// It goes on as another job.
    Continued {
        next: JobId,
    },
    /// It was over and goes on from one of its steps.
    Reopened {},
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
            Self::SettleAction { .. } => "settle_action",
            Self::EraseSecrets { .. } => "erase_secrets",
            Self::ProbeAction { .. } => "probe_action",
            Self::ChangeJobs { .. } => "change_jobs",
            Self::StartJob { .. } => "start_job",
            Self::SignalJobs { .. } => "signal_jobs",
            Self::CancelJobs { .. } => "cancel_jobs",
            Self::RecordRun { .. } => "record_run",
        }
    }

    /// The lower, the sooner: what a person waits for, then what keeps the books right, then the work itself.
    #[must_use]
    pub const fn priority(&self) -> i16 {
        match self {
            Self::Login { .. } | Self::TestConnection {} | Self::ProbeAction { .. } | Self::ChangeJobs { .. } => 10,
            Self::SettleAction { .. } | Self::SignalJobs { .. } | Self::CancelJobs { .. } | Self::RecordRun { .. } => {
                20
            }
            Self::StartJob { .. } => 30,
            Self::EraseSecrets { .. } => 40,
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
        let action_id = ActionId::from_uuid(id("action"));
        let job_id = JobId::from_uuid(id("job"));
        let secret = SecretId::from_uuid(id("secret"));
        let all = [
            Work::Login { attempt: 2, password: secret, verification_code: Some(secret) },
            Work::TestConnection {},
            Work::SettleAction { action_id },
            Work::ProbeAction { action_id },
            Work::ChangeJobs { operation_id: id("operation") },
            Work::EraseSecrets { secrets: vec![secret] },
            Work::StartJob {
                job_id,
                workflow: "campaign_run".to_owned(),
                input: json!({ "campaign_id": id("campaign") }),
                origin: Origin::Person,
            },
            Work::SignalJobs { name: "resumed".to_owned(), payload: Value::Null, jobs: vec![job_id] },
            Work::CancelJobs { reason: "enough".to_owned(), jobs: Vec::new() },
            Work::RecordRun {
                campaign_id: CampaignId::from_uuid(id("campaign")),
                job_id,
                due_at: DateTime::UNIX_EPOCH,
                news: RunNews::Reopened {},
            },
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
