//! All that the sandbox holds in memory, behind one lock: the platform's world and ledger, and the
//! gateway's sessions, cache and counters.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use chrono::{DateTime, Utc};

use super::{
    SandboxError,
    fault::Faults,
    ledger::{Ledger, LedgerEntry, LedgerOutcome, Record, hash},
    logins::Logins,
    reply::{Refusal, Reply},
    world::{Applied, Effect, LoginKind, World},
};

/// Who asks, when, and how.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    /// The account of the session; absent where a route needs none.
    pub(super) account: Option<u64>,
    /// The session's decoded id, with it.
    pub(super) session: Option<String>,
    pub(super) now: DateTime<Utc>,
    /// The sandbox itself delivers the request a second time.
    pub(super) injected: bool,
    /// The platform says no to a write, by this name.
    pub(super) refuse: Option<String>,
}

impl Asking {
    pub(super) fn account(&self) -> Result<u64, Refusal> {
        self.account.ok_or(Refusal::NoSession)
    }

    pub(super) fn session(&self) -> Result<&str, Refusal> {
        self.session.as_deref().ok_or(Refusal::NoSession)
    }
}

/// The whole state.
#[derive(Debug)]
pub(super) struct State {
    pub(super) seed: u64,
    pub(super) epoch: DateTime<Utc>,
    pub(super) world: World,
    pub(super) ledger: Ledger,
    pub(super) logins: Logins,
    pub(super) faults: Faults,
    /// The gateway's cache: for all accounts together, as in the original.
    pub(super) cache: HashMap<String, Reply>,
    /// How often each route was asked, by account.
    pub(super) requests: BTreeMap<(&'static str, Option<u64>), u64>,
}

impl State {
    /// A new world, or that of the file.
    pub(super) fn open(seed: u64, now: DateTime<Utc>, file: Option<&Path>) -> Result<Self, SandboxError> {
        let (ledger, records) = match file {
            Some(path) => Ledger::open(path)?,
            None => (Ledger::in_memory(), Vec::new()),
        };
        let epoch = match records.first() {
            Some(Record::World { seed: stored, epoch }) if *stored == seed => *epoch,
            Some(Record::World { seed: stored, .. }) => {
                return Err(SandboxError::OtherSeed { stored: *stored, asked: seed });
            }
            _ => now,
        };
        let mut state = Self::fresh(seed, epoch, ledger);
        if records.is_empty() {
            state.ledger.write(&Record::World { seed, epoch });
        }
        for record in records {
            state.restore(record);
        }
        Ok(state)
    }

    fn fresh(seed: u64, epoch: DateTime<Utc>, ledger: Ledger) -> Self {
        Self::of(World::seeded(seed, epoch), seed, epoch, ledger)
    }

    /// A state that begins with `world`.
    pub(super) fn of(world: World, seed: u64, epoch: DateTime<Utc>, ledger: Ledger) -> Self {
        let challenged = world
            .people
            .values()
            .filter(|person| person.login == LoginKind::Challenge)
            .map(|person| person.pk)
            .collect();
        Self {
            seed,
            epoch,
            world,
            ledger,
            logins: Logins::new(seed, challenged),
            faults: Faults::default(),
            cache: HashMap::new(),
            requests: BTreeMap::new(),
        }
    }

    /// Begins again with a new world; everything is forgotten, sessions and faults too.
    pub(super) fn reset(&mut self, seed: u64, now: DateTime<Utc>) {
        let mut ledger = std::mem::replace(&mut self.ledger, Ledger::in_memory());
        ledger.clear();
        ledger.write(&Record::World { seed, epoch: now });
        *self = Self::fresh(seed, now, ledger);
    }

    fn restore(&mut self, record: Record) {
        match record {
            Record::World { .. } => {}
            Record::Login { account, number } => self.logins.restore_number(account, number),
            Record::SessionEnded { hash } => self.logins.restore_ended(hash),
            Record::Write { entry, effect } => {
                if entry.outcome != LedgerOutcome::Refused
                    && let Ok(account) = entry.account.parse()
                    && let Err(refused) = self.world.apply(account, &effect, entry.sequence, entry.at)
                {
                    tracing::warn!(
                        ledger.sequence = entry.sequence,
                        refused = refused.0,
                        "a write of the ledger no longer applies"
                    );
                }
                self.ledger.restore(entry);
            }
        }
    }

    /// One write: applied to the world and entered in the ledger, before anybody is answered.
    pub(super) fn write(&mut self, asking: &Asking, effect: Effect) -> Result<Applied, Refusal> {
        let account = asking.account()?;
        let sequence = self.ledger.next_sequence();
        let repeated = self.ledger.is_repeated(account, &effect);
        let result = match &asking.refuse {
            Some(name) => Err(name.clone()),
            None => self.world.apply(account, &effect, sequence, asking.now).map_err(|refused| refused.0.to_owned()),
        };
        let (outcome, duplicate) = match &result {
            Ok(applied) if applied.changed => (LedgerOutcome::Effective, repeated && effect.text().is_some()),
            Ok(_) => (LedgerOutcome::NoOp, repeated),
            Err(_) => (LedgerOutcome::Refused, false),
        };
        let entry = LedgerEntry {
            sequence,
            at: asking.now,
            account: account.to_string(),
            kind: effect.kind().to_owned(),
            target: effect.target(),
            text_hash: effect.text().map(hash),
            outcome,
            reason: result.as_ref().err().cloned(),
            duplicate,
            injected: asking.injected,
        };
        self.ledger.enter(entry, effect);
        result.map_err(|name| Refusal::named(&name))
    }

    /// Logs an account in; gives the session's id as the gateway sends it.
    pub(super) fn log_in(&mut self, account: u64, now: DateTime<Utc>, locale: &str, offset_s: i64) -> String {
        let (key, number) = self.logins.log_in(account, now, locale, offset_s);
        self.ledger.write(&Record::Login { account, number });
        super::logins::encoded(&key)
    }

    /// The platform ends a session for good.
    pub(super) fn end_session(&mut self, key: &str) {
        let hash = self.logins.end(key);
        self.ledger.write(&Record::SessionEnded { hash });
    }

    /// The pk of an account given as pk or user name.
    pub(super) fn account_named(&self, text: &str) -> Option<u64> {
        self.world
            .person_named(text)
            .or_else(|| text.parse().ok().and_then(|pk| self.world.person(pk)))
            .map(|person| person.pk)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn epoch() -> DateTime<Utc> {
        DateTime::from_timestamp(1_750_000_000, 0).expect("a valid instant")
    }

    /// Writes of any kind on the first few people, media and stories, so that they meet each other.
    fn effect(world: &World, kind: u8, index: usize, text: u8) -> Effect {
        let person = *world.people.keys().nth(index % 8).expect("a person");
        let media = *world.posts.keys().nth(index % 6).expect("a post");
        let story = *world.stories.keys().nth(index % 3).expect("a story");
        let text = format!("text {}", text % 2);
        match kind % 10 {
            0 => Effect::Like { media },
            1 => Effect::Unlike { media },
            2 => Effect::Follow { user: person },
            3 => Effect::Unfollow { user: person },
            4 => Effect::RemoveFollower { user: person },
            5 => Effect::Comment { media, text, reply_to: None },
            6 => Effect::MessagePeople { users: BTreeSet::from([person]), text },
            7 => Effect::SeeStory { story },
            8 => Effect::LikeStory { story },
            _ => Effect::UnlikeStory { story },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn a_restart_rebuilds_the_world_and_the_ledger_exactly(
            writes in prop::collection::vec((any::<u8>(), 0_usize..48, any::<u8>(), 0_usize..3, any::<bool>()), 1..40),
        ) {
            let dir = tempfile::tempdir().expect("a folder");
            let file = dir.path().join("ledger.jsonl");
            let mut state = State::open(1, epoch(), Some(&file)).expect("a new ledger");
            for (step, (kind, index, text, account, refuse)) in writes.into_iter().enumerate() {
                let account = *state.world.people.keys().nth(account).expect("a person");
                let now = epoch() + TimeDelta::seconds(i64::try_from(step).expect("few"));
                let refuse = refuse.then(|| "FeedbackRequired".to_owned());
                let asking = Asking { account: Some(account), session: None, now, injected: false, refuse };
                let effect = effect(&state.world, kind, index, text);
                // A refusal is an entry as well.
                let _ = state.write(&asking, effect);
            }
            let rebuilt = State::open(1, epoch() + TimeDelta::days(9), Some(&file)).expect("the same ledger");
            prop_assert_eq!(state.ledger.entries(), rebuilt.ledger.entries());
            prop_assert_eq!(format!("{:?}", state.world.posts), format!("{:?}", rebuilt.world.posts));
            prop_assert_eq!(format!("{:?}", state.world.stories), format!("{:?}", rebuilt.world.stories));
            prop_assert_eq!(format!("{:?}", state.world.conversations), format!("{:?}", rebuilt.world.conversations));
            for who in state.world.people.keys() {
                prop_assert_eq!(state.world.following_of(*who), rebuilt.world.following_of(*who));
            }
        }
    }
}
