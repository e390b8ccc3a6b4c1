//! The platform behind the sandbox: people, media, places, conversations, and what writes do to
//! them. It knows nothing of HTTP, sessions or faults. The same seed and epoch give the same world.

mod effect;
mod seed;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use domain::splitmix::SplitMix64;

pub(crate) use effect::{Applied, Effect, Refused};
#[cfg(feature = "failpoints")]
pub(crate) use seed::BUSY;

use crate::platform::ThreadId;

/// Stands before the numbers of all conversations, so that they have 39 digits.
const THREAD_BASE: u128 = 340_282_366_841_710_300_949_110_000_000_000_000_000;

/// What happens when a person of the world logs in with the right password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginKind {
    Plain,
    TwoFactor,
    Challenge,
    /// No password is right.
    WrongPassword,
}

#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) pk: u64,
    pub(crate) username: String,
    pub(crate) full_name: String,
    pub(crate) is_private: bool,
    pub(crate) is_verified: bool,
    pub(crate) is_business: bool,
    pub(crate) biography: String,
    pub(crate) login: LoginKind,
}

#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) pk: u64,
    pub(crate) name: &'static str,
    pub(crate) city: &'static str,
    pub(crate) lat: f64,
    pub(crate) lng: f64,
}

#[derive(Debug, Clone)]
pub(crate) struct Remark {
    pub(crate) pk: u64,
    pub(crate) author: u64,
    pub(crate) text: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) reply_to: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) pk: u64,
    pub(crate) owner: u64,
    pub(crate) taken_at: DateTime<Utc>,
    pub(crate) media_type: u8,
    pub(crate) caption: String,
    pub(crate) hashtags: BTreeSet<&'static str>,
    pub(crate) place: Option<u64>,
    /// Likes of people outside the world.
    pub(crate) distant_likes: u64,
    pub(crate) likers: BTreeSet<u64>,
    pub(crate) comments: Vec<Remark>,
    pub(crate) comments_disabled: bool,
}

impl Post {
    pub(crate) fn like_count(&self) -> u64 {
        self.distant_likes + self.likers.len() as u64
    }
}

#[derive(Debug, Clone)]
pub(crate) struct StoryItem {
    pub(crate) pk: u64,
    pub(crate) owner: u64,
    pub(crate) taken_at: DateTime<Utc>,
    pub(crate) seen_by: BTreeSet<u64>,
    pub(crate) liked_by: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) id: String,
    pub(crate) author: u64,
    pub(crate) text: String,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) id: ThreadId,
    pub(crate) members: BTreeSet<u64>,
    /// Oldest first.
    pub(crate) letters: Vec<Letter>,
}

/// Everything that exists on the platform.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) people: BTreeMap<u64, Person>,
    by_name: HashMap<String, u64>,
    following: HashMap<u64, BTreeSet<u64>>,
    followers: HashMap<u64, BTreeSet<u64>>,
    /// Follow requests that wait for an answer: who, whom.
    requests: BTreeSet<(u64, u64)>,
    pub(crate) places: BTreeMap<u64, Place>,
    pub(crate) posts: BTreeMap<u64, Post>,
    pub(crate) stories: BTreeMap<u64, StoryItem>,
    pub(crate) conversations: BTreeMap<ThreadId, Conversation>,
}

impl World {
    pub(crate) fn person(&self, pk: u64) -> Option<&Person> {
        self.people.get(&pk)
    }

    pub(crate) fn person_named(&self, username: &str) -> Option<&Person> {
        self.by_name.get(username).and_then(|pk| self.people.get(pk))
    }

    pub(crate) fn hashtags() -> &'static [&'static str] {
        &words::HASHTAGS
    }

    pub(crate) fn follows(&self, who: u64, whom: u64) -> bool {
        self.following.get(&who).is_some_and(|set| set.contains(&whom))
    }

    pub(crate) fn has_requested(&self, who: u64, whom: u64) -> bool {
        self.requests.contains(&(who, whom))
    }

    pub(crate) fn following_of(&self, who: u64) -> Vec<u64> {
        self.following.get(&who).map(|set| set.iter().copied().collect()).unwrap_or_default()
    }

    pub(crate) fn followers_of(&self, whom: u64) -> Vec<u64> {
        self.followers.get(&whom).map(|set| set.iter().copied().collect()).unwrap_or_default()
    }

    /// Whether `viewer` sees what `owner` posts.
    pub(crate) fn can_see(&self, viewer: u64, owner: u64) -> bool {
        viewer == owner || self.follows(viewer, owner) || self.person(owner).is_some_and(|owner| !owner.is_private)
    }

    /// A post that has been made by now.
    pub(crate) fn post(&self, pk: u64, now: DateTime<Utc>) -> Option<&Post> {
        self.posts.get(&pk).filter(|post| post.taken_at <= now)
    }

    /// The posts made by now that `viewer` sees and `keep` keeps, newest first.
    pub(crate) fn posts_where(&self, viewer: u64, now: DateTime<Utc>, keep: impl Fn(&Post) -> bool) -> Vec<&Post> {
        let mut posts: Vec<&Post> = self
            .posts
            .values()
            .filter(|post| post.taken_at <= now && keep(post) && self.can_see(viewer, post.owner))
            .collect();
        posts.sort_by_key(|post| (std::cmp::Reverse(post.taken_at), post.pk));
        posts
    }

    pub(crate) fn stories_of(&self, owner: u64, now: DateTime<Utc>) -> Vec<&StoryItem> {
        self.stories.values().filter(|story| story.owner == owner && story.taken_at <= now).collect()
    }

    /// The conversations of a person, the liveliest first.
    pub(crate) fn conversations_of(&self, member: u64) -> Vec<&Conversation> {
        let mut conversations: Vec<&Conversation> =
            self.conversations.values().filter(|conversation| conversation.members.contains(&member)).collect();
        conversations.sort_by_key(|conversation| {
            (std::cmp::Reverse(conversation.letters.last().map(|letter| letter.at)), conversation.id)
        });
        conversations
    }

    /// The number of the conversation of exactly these people.
    fn conversation_id(members: &BTreeSet<u64>) -> ThreadId {
        let mut mixed = 0;
        for member in members {
            mixed = SplitMix64::new(mixed ^ member).draw();
        }
        ThreadId::new(THREAD_BASE + u128::from(mixed))
    }
}
