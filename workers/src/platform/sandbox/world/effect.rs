//! Writes: what one does to the world, and when the platform says no.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Conversation, Letter, Remark, World};
use crate::platform::ThreadId;

const FIRST_MADE_REMARK: u64 = 17_900_000_000_000_000;

/// One write, complete: applying it again to the same world does the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Effect {
    Like {
        media: u64,
    },
    Unlike {
        media: u64,
    },
    Follow {
        user: u64,
    },
    Unfollow {
        user: u64,
    },
    RemoveFollower {
        user: u64,
    },
    Comment {
        media: u64,
        text: String,
        reply_to: Option<u64>,
    },
    DeleteComment {
        media: u64,
        comment: u64,
    },
    /// To people: to one, or to all of them together as a group.
    MessagePeople {
        users: BTreeSet<u64>,
        text: String,
    },
    MessageThread {
        thread: ThreadId,
        text: String,
    },
    DeleteMessage {
        thread: ThreadId,
        message: String,
    },
    SeeStory {
        story: u64,
    },
    LikeStory {
        story: u64,
    },
    UnlikeStory {
        story: u64,
    },
}

/// The platform's no, by the name that the gateway gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str);

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Whether the world is another than before.
    pub(crate) changed: bool,
    /// The comment that it made.
    pub(crate) comment: Option<u64>,
    /// The message that it made, and where.
    pub(crate) message: Option<(ThreadId, String)>,
}

impl Effect {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Like { .. } => "LIKE",
            Self::Unlike { .. } => "UNLIKE",
            Self::Follow { .. } => "FOLLOW",
            Self::Unfollow { .. } => "UNFOLLOW",
            Self::RemoveFollower { .. } => "REMOVE_FOLLOWER",
            Self::Comment { .. } => "COMMENT",
            Self::DeleteComment { .. } => "DELETE_COMMENT",
            Self::MessagePeople { .. } | Self::MessageThread { .. } => "DIRECT_MESSAGE",
            Self::DeleteMessage { .. } => "DELETE_MESSAGE",
            Self::SeeStory { .. } => "STORY_SEEN",
            Self::LikeStory { .. } => "STORY_LIKE",
            Self::UnlikeStory { .. } => "STORY_UNLIKE",
        }
    }

    /// Whom or what it is about, as text.
    pub(crate) fn target(&self) -> String {
        match self {
            Self::Like { media } | Self::Unlike { media } | Self::Comment { media, .. } => media.to_string(),
            Self::Follow { user } | Self::Unfollow { user } | Self::RemoveFollower { user } => user.to_string(),
            Self::DeleteComment { comment, .. } => comment.to_string(),
            Self::MessagePeople { users, .. } => users.iter().map(u64::to_string).collect::<Vec<_>>().join(","),
            Self::MessageThread { thread, .. } => thread.to_string(),
            Self::DeleteMessage { message, .. } => message.clone(),
            Self::SeeStory { story } | Self::LikeStory { story } | Self::UnlikeStory { story } => story.to_string(),
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Comment { text, .. } | Self::MessagePeople { text, .. } | Self::MessageThread { text, .. } => {
                Some(text)
            }
            _ => None,
        }
    }
}

impl World {
    /// Lets `account` write. `number` is unique for each write and names what the write makes.
    pub(crate) fn apply(
        &mut self,
        account: u64,
        effect: &Effect,
        number: u64,
        at: DateTime<Utc>,
    ) -> Result<Applied, Refused> {
        let changed = match effect {
            Effect::Like { media } => self.like(account, *media, true, at)?,
            Effect::Unlike { media } => self.like(account, *media, false, at)?,
            Effect::Follow { user } => self.follow(account, *user)?,
            Effect::Unfollow { user } => self.unfollow(account, *user)?,
            Effect::RemoveFollower { user } => self.unfollow(*user, account)?,
            Effect::SeeStory { story } => self.visible_story(account, *story, at)?.seen_by.insert(account),
            Effect::LikeStory { story } => self.visible_story(account, *story, at)?.liked_by.insert(account),
            Effect::UnlikeStory { story } => self.visible_story(account, *story, at)?.liked_by.remove(&account),
            Effect::DeleteComment { media, comment } => self.delete_comment(account, *media, *comment)?,
            Effect::DeleteMessage { thread, message } => self.delete_message(account, *thread, message)?,
            Effect::Comment { media, text, reply_to } => {
                let pk = FIRST_MADE_REMARK + number;
                let remark = Remark { pk, author: account, text: text.clone(), at, reply_to: *reply_to };
                self.comment(*media, remark)?;
                return Ok(Applied { changed: true, comment: Some(pk), message: None });
            }
            Effect::MessagePeople { users, text } => {
                let thread = self.conversation_with(account, users)?;
                return self.send(account, thread, text, number, at);
            }
            Effect::MessageThread { thread, text } => return self.send(account, *thread, text, number, at),
        };
        Ok(Applied { changed, comment: None, message: None })
    }

    pub(super) fn set_follow(&mut self, who: u64, whom: u64) -> bool {
        self.followers.entry(whom).or_default().insert(who);
        self.following.entry(who).or_default().insert(whom)
    }

    fn like(&mut self, account: u64, media: u64, liked: bool, at: DateTime<Utc>) -> Result<bool, Refused> {
        let owner = self.post(media, at).ok_or(Refused("MediaNotFound"))?.owner;
        if !self.can_see(account, owner) {
            return Err(Refused("MediaUnavailable"));
        }
        let post = self.posts.get_mut(&media).ok_or(Refused("MediaNotFound"))?;
        Ok(if liked { post.likers.insert(account) } else { post.likers.remove(&account) })
    }

    /// A private person is only asked.
    fn follow(&mut self, who: u64, whom: u64) -> Result<bool, Refused> {
        let person = self.person(whom).ok_or(Refused("ClientNotFoundError"))?;
        if who == whom {
            return Err(Refused("InvalidTargetUser"));
        }
        if person.is_private && !self.follows(who, whom) {
            return Ok(self.requests.insert((who, whom)));
        }
        Ok(self.set_follow(who, whom))
    }

    fn unfollow(&mut self, who: u64, whom: u64) -> Result<bool, Refused> {
        if self.person(whom).is_none() || self.person(who).is_none() {
            return Err(Refused("ClientNotFoundError"));
        }
        let had_requested = self.requests.remove(&(who, whom));
        self.followers.entry(whom).or_default().remove(&who);
        let had_followed = self.following.entry(who).or_default().remove(&whom);
        Ok(had_requested || had_followed)
    }

    fn visible_story(&mut self, account: u64, story: u64, at: DateTime<Utc>) -> Result<&mut super::StoryItem, Refused> {
        let owner = self.stories.get(&story).filter(|story| story.taken_at <= at).map(|story| story.owner);
        if !owner.is_some_and(|owner| self.can_see(account, owner)) {
            return Err(Refused("StoryNotFound"));
        }
        self.stories.get_mut(&story).ok_or(Refused("StoryNotFound"))
    }

    fn comment(&mut self, media: u64, remark: Remark) -> Result<(), Refused> {
        let owner = self.post(media, remark.at).ok_or(Refused("MediaNotFound"))?.owner;
        if !self.can_see(remark.author, owner) {
            return Err(Refused("MediaUnavailable"));
        }
        let post = self.posts.get_mut(&media).ok_or(Refused("MediaNotFound"))?;
        if post.comments_disabled {
            return Err(Refused("CommentsDisabled"));
        }
        post.comments.push(remark);
        Ok(())
    }

    fn delete_comment(&mut self, account: u64, media: u64, comment: u64) -> Result<bool, Refused> {
        let post = self.posts.get_mut(&media).ok_or(Refused("MediaNotFound"))?;
        let before = post.comments.len();
        let owner = post.owner;
        post.comments.retain(|remark| remark.pk != comment || (remark.author != account && owner != account));
        Ok(post.comments.len() < before)
    }

    /// The conversation of the account with these people, made when there is none.
    fn conversation_with(&mut self, account: u64, users: &BTreeSet<u64>) -> Result<ThreadId, Refused> {
        let others: BTreeSet<u64> = users.iter().copied().filter(|user| *user != account).collect();
        if others.is_empty() || others.iter().any(|user| self.person(*user).is_none()) {
            return Err(Refused("InvalidTargetUser"));
        }
        let mut members = others;
        members.insert(account);
        let id = Self::conversation_id(&members);
        self.conversations.entry(id).or_insert(Conversation { id, members, letters: Vec::new() });
        Ok(id)
    }

    fn send(
        &mut self,
        author: u64,
        thread: ThreadId,
        text: &str,
        number: u64,
        at: DateTime<Utc>,
    ) -> Result<Applied, Refused> {
        let conversation = self
            .conversations
            .get_mut(&thread)
            .filter(|conversation| conversation.members.contains(&author))
            .ok_or(Refused("DirectThreadNotFound"))?;
        let id = format!("31{number:033}");
        conversation.letters.push(Letter { id: id.clone(), author, text: text.to_owned(), at });
        Ok(Applied { changed: true, comment: None, message: Some((thread, id)) })
    }

    fn delete_message(&mut self, account: u64, thread: ThreadId, message: &str) -> Result<bool, Refused> {
        let conversation = self
            .conversations
            .get_mut(&thread)
            .filter(|conversation| conversation.members.contains(&account))
            .ok_or(Refused("DirectThreadNotFound"))?;
        let before = conversation.letters.len();
        conversation.letters.retain(|letter| letter.id != message || letter.author != account);
        Ok(conversation.letters.len() < before)
    }
}
