//! Ids: newtypes over UUID, so that a campaign's id cannot stand where a user's belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Virtual partitions of the bots; a worker owns some of them at a time.
pub const PARTITIONS: i32 = 64;

/// Logical shards of the bot id; physical shards are ranges of these, so that splitting renames nothing.
pub const LOGICAL_SHARDS: u16 = 4_096;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// A person with a login.
    UserId
);
id!(
    /// The bot of one user; the same UUID as the user's.
    BotId
);
id!(
    /// The one Instagram account that a user links.
    AccountId
);
id!(
    /// What a bot should do.
    CampaignId
);
id!(
    /// One durable run of a workflow.
    JobId
);
id!(
    /// One run of a campaign.
    RunId
);
id!(
    /// One side effect on the platform, reserved before and recorded after.
    ActionId
);
id!(
    /// One switching on of automation; everything that runs belongs to one.
    EnablementId
);
id!(
    /// A sealed secret, kept beside the events and never in them.
    SecretId
);
id!(
    /// A password hash, kept beside the events and never in them.
    CredentialId
);
id!(
    /// One request to change something; repeated, it gets its first answer.
    RequestId
);

impl BotId {
    /// The bot of `user`.
    #[must_use]
    pub const fn of(user: UserId) -> Self {
        Self(user.uuid())
    }

    /// The user whose bot this is.
    #[must_use]
    pub const fn owner(self) -> UserId {
        UserId(self.0)
    }
}

/// Names of ids that are derived from others (UUIDv5): the same parts give the same id.
const DERIVED: Uuid = Uuid::from_u128(0x7a1c_52c1_9a0e_4f5c_8d3b_6f1e_2b90_c4d7);

/// An id derived from `parts`; their boundaries count, so `["ab", "c"]` differs from `["a", "bc"]`.
#[must_use]
pub fn derive(parts: &[&str]) -> Uuid {
    let mut name = Vec::new();
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&DERIVED, &name)
}

/// The logical shard of a bot, in `0..LOGICAL_SHARDS`, from the random tail of its UUID.
#[must_use]
pub fn logical_shard_of(bot: BotId) -> u16 {
    let [.., high, low] = bot.uuid().into_bytes();
    u16::from_be_bytes([high, low]) % LOGICAL_SHARDS
}

/// The virtual partition of a bot, in `0..PARTITIONS`.
#[must_use]
pub fn partition_of(bot: BotId) -> i32 {
    i32::from(logical_shard_of(bot)) % PARTITIONS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bot(number: u128) -> BotId {
        BotId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_bot_has_the_id_of_its_user() {
        let user = UserId::from_uuid(Uuid::from_u128(7));
        assert_eq!(BotId::of(user).owner(), user);
        assert_eq!(BotId::of(user).to_string(), user.to_string());
    }

    #[test]
    fn the_home_of_a_bot_never_changes() {
        let id: BotId = "0195a1b2-c3d4-7e5f-8a6b-0123456789ab".parse().unwrap();
        assert_eq!((logical_shard_of(id), partition_of(id)), (0x9ab, 0x2b));
        assert_eq!((logical_shard_of(bot(0)), partition_of(bot(0))), (0, 0));
    }

    #[test]
    fn bots_spread_over_every_partition() {
        let homes: BTreeSet<i32> = (0..1_000).map(|number| partition_of(bot(number * 0x9e37_79b9))).collect();
        assert_eq!(homes.len(), 64);
    }

    #[test]
    fn derived_ids_are_the_same_everywhere_and_keep_the_parts_apart() {
        assert_eq!(derive(&["run", "1"]).to_string(), "4fcfb9b7-90b6-5049-bf17-ad8190060611");
        let ids: BTreeSet<Uuid> = [&["ab", "c"][..], &["a", "bc"], &["abc"], &["abc", ""], &["", "abc"], &[]]
            .into_iter()
            .map(derive)
            .collect();
        assert_eq!(ids.len(), 6);
    }

    proptest! {
        #[test]
        fn an_id_reads_back(number in any::<u128>()) {
            let id = bot(number);
            prop_assert_eq!(id.to_string().parse::<BotId>().unwrap(), id);
            prop_assert_eq!(serde_json::to_value(id).unwrap(), id.to_string());
            prop_assert!(logical_shard_of(id) < LOGICAL_SHARDS && (0..PARTITIONS).contains(&partition_of(id)));
        }
    }
}
