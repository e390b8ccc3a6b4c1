//! Makes the world from a number. Posts and stories are spread around the epoch: those of the
//! future appear when the clock reaches them, so that an accelerated clock does not run dry.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use domain::splitmix::SplitMix64;

use super::{
    Conversation, Letter, LoginKind, Person, Place, Post, Remark, StoryItem, World,
    words::{ADJECTIVES, CAPTIONS, COMMENTS, FAMILY_NAMES, GIVEN_NAMES, HASHTAGS, NOUNS, PLACES},
};

const PEOPLE: u64 = 240;
const FIRST_PERSON: u64 = 5_000_000_000;
const FIRST_PLACE: u64 = 210_000_000;
const FIRST_POST: u64 = 3_200_000_000_000_000_000;
const FIRST_STORY: u64 = 3_400_000_000_000_000_000;
const FIRST_REMARK: u64 = 17_800_000_000_000_000;
const PAST_MINUTES: u64 = 10 * 24 * 60;
const FUTURE_MINUTES: u64 = 30 * 24 * 60;

/// The person whose inbox is full.
pub(crate) const BUSY: &str = "busy.account";

/// The people that every world has, whatever its seed.
const FIXED: [(&str, LoginKind); 4] = [
    ("demo.account", LoginKind::Plain),
    ("two.factor", LoginKind::TwoFactor),
    ("challenge.met", LoginKind::Challenge),
    ("wrong.password", LoginKind::WrongPassword),
];

impl World {
    /// The world of a seed, as of `epoch`.
    pub(crate) fn seeded(seed: u64, epoch: DateTime<Utc>) -> Self {
        let mut rng = SplitMix64::new(seed);
        let mut world = Self {
            people: BTreeMap::new(),
            by_name: HashMap::new(),
            following: HashMap::new(),
            followers: HashMap::new(),
            requests: BTreeSet::new(),
            places: places(),
            posts: BTreeMap::new(),
            stories: BTreeMap::new(),
            conversations: BTreeMap::new(),
        };
        world.add_people(&mut rng);
        let pks: Vec<u64> = world.people.keys().copied().collect();
        world.add_follows(&mut rng, &pks);
        for owner in &pks {
            world.add_posts(&mut rng, *owner, &pks, epoch);
            world.add_stories(&mut rng, *owner, epoch);
        }
        world.add_conversations(&mut rng, &pks, epoch);
        world.add_busy_person(&pks[FIXED.len()..], epoch);
        world
    }

    /// Somebody with an inbox: one wrote first, one answered, one never did, one asked for no more.
    fn add_busy_person(&mut self, others: &[u64], epoch: DateTime<Utc>) {
        let pk = FIRST_PERSON + PEOPLE * 7_919 + 7_000;
        let busy = Person {
            pk,
            username: BUSY.to_owned(),
            full_name: "Bea Busy".to_owned(),
            is_private: false,
            is_verified: false,
            is_business: true,
            biography: "answers everything, sooner or later".to_owned(),
            login: LoginKind::Plain,
        };
        self.by_name.insert(busy.username.clone(), pk);
        self.people.insert(pk, busy);
        for other in others.iter().step_by(7) {
            self.set_follow(*other, pk);
            self.set_follow(pk, *other);
        }
        let letters: [&[(bool, &str)]; 4] = [
            &[(false, "Hello, may I use one of your pictures?")],
            &[(true, "Thank you for following"), (false, "You are welcome"), (true, "See you around")],
            &[(true, "Would you like to see more?")],
            &[(true, "Would you like to see more?"), (false, "No, please stop writing to me")],
        ];
        for (index, (other, letters)) in others.iter().skip(1).step_by(7).zip(letters).enumerate() {
            let members = BTreeSet::from([pk, *other]);
            let id = Self::conversation_id(&members);
            let letter = |(step, (is_ours, text)): (usize, &(bool, &str))| Letter {
                id: format!("32{:033}", index * 16 + step),
                author: if *is_ours { pk } else { *other },
                text: (*text).to_owned(),
                at: epoch - minutes(600 - 7 * step as u64),
            };
            let letters = letters.iter().enumerate().map(letter).collect();
            self.conversations.insert(id, Conversation { id, members, letters });
        }
    }

    fn add_people(&mut self, rng: &mut SplitMix64) {
        for index in 0..PEOPLE {
            let fixed = usize::try_from(index).ok().and_then(|index| FIXED.get(index));
            let adjective = rng.pick(&ADJECTIVES).copied().unwrap_or_default();
            let noun = rng.pick(&NOUNS).copied().unwrap_or_default();
            let given = rng.pick(&GIVEN_NAMES).copied().unwrap_or_default();
            let family = rng.pick(&FAMILY_NAMES).copied().unwrap_or_default();
            let (is_private, is_verified, is_business) = (rng.one_in(4), rng.one_in(15), rng.one_in(8));
            let person = Person {
                pk: FIRST_PERSON + index * 7_919 + rng.below(7_000),
                username: fixed.map_or_else(|| format!("{adjective}.{noun}{index}"), |(name, _)| (*name).to_owned()),
                full_name: format!("{given} {family}"),
                is_private: is_private && fixed.is_none(),
                is_verified,
                is_business,
                biography: format!("{adjective} {noun}"),
                login: fixed.map_or(LoginKind::Plain, |(_, login)| *login),
            };
            self.by_name.insert(person.username.clone(), person.pk);
            self.people.insert(person.pk, person);
        }
    }

    /// The fixed people follow nobody, so that a test begins from nothing.
    fn add_follows(&mut self, rng: &mut SplitMix64, pks: &[u64]) {
        for who in pks.iter().skip(FIXED.len()) {
            for _ in 0..rng.between(8, 40) {
                if let Some(whom) = rng.pick(pks).filter(|whom| *whom != who) {
                    self.set_follow(*who, *whom);
                }
            }
        }
    }

    fn add_posts(&mut self, rng: &mut SplitMix64, owner: u64, pks: &[u64], epoch: DateTime<Utc>) {
        for _ in 0..rng.between(4, 9) {
            let pk = FIRST_POST + self.posts.len() as u64 * 1_000_003 + rng.below(1_000_000);
            let hashtags: BTreeSet<&'static str> =
                (0..rng.between(1, 3)).filter_map(|_| rng.pick(&HASHTAGS).copied()).collect();
            let tags: Vec<&str> = hashtags.iter().copied().collect();
            let taken_at = around(rng, epoch);
            let comments_disabled = rng.one_in(12);
            let comments = (0..rng.between(0, 4))
                .filter_map(|index| {
                    Some(Remark {
                        pk: FIRST_REMARK + self.posts.len() as u64 * 8 + index,
                        author: *rng.pick(pks)?,
                        text: (*rng.pick(&COMMENTS)?).to_owned(),
                        at: taken_at + minutes(rng.between(1, 60)),
                        reply_to: None,
                    })
                })
                .filter(|_| !comments_disabled)
                .collect();
            let post = Post {
                pk,
                owner,
                taken_at,
                media_type: rng.pick(&[1, 1, 1, 2, 8]).copied().unwrap_or(1),
                caption: format!("{} #{}", rng.pick(&CAPTIONS).copied().unwrap_or_default(), tags.join(" #")),
                hashtags,
                place: rng.one_in(3).then(|| FIRST_PLACE + rng.below(PLACES.len() as u64)),
                distant_likes: rng.between(3, 400),
                likers: (0..rng.between(3, 12)).filter_map(|_| rng.pick(&pks[FIXED.len()..]).copied()).collect(),
                comments,
                comments_disabled,
            };
            self.posts.insert(pk, post);
        }
    }

    fn add_stories(&mut self, rng: &mut SplitMix64, owner: u64, epoch: DateTime<Utc>) {
        if !rng.one_in(3) {
            return;
        }
        for _ in 0..rng.between(1, 3) {
            let pk = FIRST_STORY + self.stories.len() as u64 * 1_000_003 + rng.below(1_000_000);
            let taken_at = epoch - minutes(rng.below(20 * 60));
            let story = StoryItem { pk, owner, taken_at, seen_by: BTreeSet::new(), liked_by: BTreeSet::new() };
            self.stories.insert(pk, story);
        }
    }

    fn add_conversations(&mut self, rng: &mut SplitMix64, pks: &[u64], epoch: DateTime<Utc>) {
        for index in 0..40_u64 {
            let members: BTreeSet<u64> = (0..2).filter_map(|_| rng.pick(&pks[FIXED.len()..]).copied()).collect();
            if members.len() < 2 {
                continue;
            }
            let authors: Vec<u64> = members.iter().copied().collect();
            let begun_at = epoch - minutes(rng.between(60, PAST_MINUTES));
            let letters = (0..rng.between(1, 5))
                .filter_map(|step| {
                    Some(Letter {
                        id: format!("30{:033}", index * 16 + step),
                        author: *rng.pick(&authors)?,
                        text: (*rng.pick(&COMMENTS)?).to_owned(),
                        at: begun_at + minutes(step * 7),
                    })
                })
                .collect();
            let id = Self::conversation_id(&members);
            self.conversations.insert(id, Conversation { id, members, letters });
        }
    }
}

fn places() -> BTreeMap<u64, Place> {
    (FIRST_PLACE..).zip(PLACES).map(|(pk, (name, city, lat, lng))| (pk, Place { pk, name, city, lat, lng })).collect()
}

/// Three in five in the past ten days, the others in the thirty days to come.
fn around(rng: &mut SplitMix64, epoch: DateTime<Utc>) -> DateTime<Utc> {
    if rng.below(5) < 3 { epoch - minutes(rng.below(PAST_MINUTES)) } else { epoch + minutes(rng.below(FUTURE_MINUTES)) }
}

fn minutes(count: u64) -> TimeDelta {
    TimeDelta::minutes(i64::try_from(count).unwrap_or(i64::MAX / 60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).expect("a valid instant")
    }

    #[test]
    fn the_same_seed_makes_the_same_world() {
        let show = |seed| format!("{:?}", World::seeded(seed, epoch()).posts);
        assert_eq!(show(7), show(7));
        assert_ne!(show(7), show(8));
    }

    #[test]
    fn every_hashtag_has_enough_posts_to_work_on() {
        let world = World::seeded(1, epoch());
        let demo = world.person_named("demo.account").map(|person| person.pk).expect("a fixed person");
        for tag in World::hashtags() {
            let posts = world.posts_where(demo, epoch(), |post| post.hashtags.contains(tag));
            assert!(posts.len() >= 30, "{tag}: {}", posts.len());
        }
    }
}
