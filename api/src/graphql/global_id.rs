//! Ids that are unique over all types: the type's name and the UUID, written so that nobody builds them by hand.

use async_graphql::ID;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Types that an id can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    User,
    Bot,
    Account,
    Campaign,
    CampaignRun,
    Action,
    Job,
    JobBulkOperation,
    BotEvent,
    JobEvent,
    AuditEntry,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::User,
        Self::Bot,
        Self::Account,
        Self::Campaign,
        Self::CampaignRun,
        Self::Action,
        Self::Job,
        Self::JobBulkOperation,
        Self::BotEvent,
        Self::JobEvent,
        Self::AuditEntry,
    ];

    /// The type's name in the schema.
    const fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Bot => "Bot",
            Self::Account => "Account",
            Self::Campaign => "Campaign",
            Self::CampaignRun => "CampaignRun",
            Self::Action => "Action",
            Self::Job => "Job",
            Self::JobBulkOperation => "JobBulkOperation",
            Self::BotEvent => "BotEvent",
            Self::JobEvent => "JobEvent",
            Self::AuditEntry => "AuditEntry",
        }
    }

    /// The id of `uuid`.
    pub fn id(self, uuid: Uuid) -> ID {
        ID(URL_SAFE_NO_PAD.encode(format!("{}:{uuid}", self.name())))
    }

    /// The UUID of an id of this type; `None` for any other text. What does not read looks like what is not there.
    pub fn uuid(self, id: &ID) -> Option<Uuid> {
        parse(id).filter(|(kind, _)| *kind == self).map(|(_, uuid)| uuid)
    }
}

/// Type and UUID of an id.
pub fn parse(id: &ID) -> Option<(Kind, Uuid)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id.as_str()).ok()?).ok()?;
    let (name, uuid) = text.split_once(':')?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name)?;
    let parsed = Uuid::try_parse(uuid).ok()?;
    // One id has one text: caches compare texts.
    (kind.id(parsed) == *id).then_some((kind, parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_its_own_type_only() {
        let uuid = Uuid::from_u128(7);
        for kind in Kind::ALL {
            assert_eq!(parse(&kind.id(uuid)), Some((kind, uuid)));
        }
        assert_eq!(Kind::User.uuid(&Kind::Bot.id(uuid)), None);
    }

    #[test]
    fn other_texts_are_no_ids() {
        let upper = URL_SAFE_NO_PAD.encode("Bot:0193A1B2-C3D4-7000-8000-000000000001");
        for text in ["", "x", "AAAA", "0193a1b2-c3d4-7000-8000-000000000001", &upper] {
            assert_eq!(parse(&ID(text.to_owned())), None, "{text}");
        }
    }
}
