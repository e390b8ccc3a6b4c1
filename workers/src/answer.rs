//! What a step of a campaign's run answers: it is done, it has to wait, or the run is over. Kept in the job's history.

use chrono::{DateTime, Utc};
use domain::bot::Wait;
use serde::{Deserialize, Serialize};

/// What a step answers. In JSON either what was done, or an object with `not_now`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer<T> {
    NotNow(NotNow),
    Done(T),
}

impl<T> From<NotNow> for Answer<T> {
    fn from(not_now: NotNow) -> Self {
        Self::NotNow(not_now)
    }
}

/// Why a step is not done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "not_now", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotNow {
    /// Not before `until`, and why: the counter and the window are those of a limit.
    Wait {
        until: DateTime<Utc>,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<String>,
    },
    /// Until the person resumes the bot.
    Held,
    /// Never in this run.
    Ended { reason: String },
}

impl NotNow {
    /// Not before `until`.
    #[must_use]
    pub fn wait(until: DateTime<Utc>, reason: &str) -> Self {
        Self::Wait { until, reason: reason.to_owned(), counter: None, window: None }
    }

    /// Not before the wait is over, or before `otherwise` when no passing of time ends it.
    #[must_use]
    pub fn of_wait(wait: &Wait, otherwise: DateTime<Utc>) -> Self {
        Self::Wait {
            until: wait.frees_at.unwrap_or(otherwise),
            reason: wait.reason.as_str().to_owned(),
            counter: wait.counter.map(|counter| counter.as_str().to_owned()),
            window: wait.window.map(|window| window.as_str().to_owned()),
        }
    }

    /// Never in this run.
    #[must_use]
    pub fn ended(reason: &str) -> Self {
        Self::Ended { reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Likes {
        likes: u32,
    }

    #[test]
    fn answers_are_read_as_what_they_were_written_as() {
        let until = DateTime::<Utc>::UNIX_EPOCH;
        for (answer, written) in [
            (Answer::Done(Likes { likes: 3 }), json!({ "likes": 3 })),
            (NotNow::Held.into(), json!({ "not_now": "HELD" })),
            (NotNow::ended("SOURCE_EMPTY").into(), json!({ "not_now": "ENDED", "reason": "SOURCE_EMPTY" })),
            (
                NotNow::wait(until, "PACING").into(),
                json!({ "not_now": "WAIT", "until": "1970-01-01T00:00:00Z", "reason": "PACING" }),
            ),
        ] {
            assert_eq!(serde_json::to_value(&answer).expect("it is JSON"), written);
            assert_eq!(serde_json::from_value::<Answer<Likes>>(written).expect("it reads"), answer);
        }
    }
}
