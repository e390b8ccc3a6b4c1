//! What a campaign of a play is to do, by its module, and which of the platform's calls it makes for that.

use domain::campaign::{Draft, DraftSource, HashtagTab, Module};

use crate::platform::sandbox::World;

/// People of a list that a campaign is given; some of them will not do.
const LISTED: usize = 12;

/// What a person writes down for a campaign of `account`.
pub(super) fn draft(module: Module, max_targets: u32, world: &World, account: &str) -> Draft {
    let source = match module {
        Module::Like | Module::Follow | Module::Comment => {
            DraftSource::Hashtag { name: "handmade".to_owned(), tab: HashtagTab::Recent }
        }
        Module::Unfollow => DraftSource::Followed,
        Module::StorySee | Module::StoryLike => DraftSource::List { people: storytellers(world, account) },
        Module::Dm => DraftSource::List { people: correspondents(world, account) },
    };
    let text = match module {
        Module::Comment => Some("{What a find|Well made}, {first_name?friend}!"),
        Module::Dm => Some("{Hello|Good day} {username}, {there is something new|have a look}."),
        _ => None,
    };
    Draft { text: text.map(str::to_owned), ..Draft::new("simulated", module, source, max_targets) }
}

/// People who show stories to everybody.
fn storytellers(world: &World, account: &str) -> Vec<String> {
    let shows = |pk: &u64| world.stories.values().any(|story| story.owner == *pk);
    let people = world.people.values().filter(|person| !person.is_private && person.username != account);
    people.filter(|person| shows(&person.pk)).map(|person| person.pk.to_string()).take(LISTED).collect()
}

/// Whoever has a conversation with the account, be it that nobody answered or that they asked for no more, and some of
/// its followers.
fn correspondents(world: &World, account: &str) -> Vec<String> {
    let Some(own) = world.person_named(account).map(|person| person.pk) else { return Vec::new() };
    let conversations = world.conversations_of(own).into_iter();
    let partners = conversations.flat_map(|conversation| conversation.members.iter().copied().filter(|pk| *pk != own));
    let followers = world.followers_of(own);
    partners.chain(followers).map(|pk| pk.to_string()).take(LISTED).collect()
}

/// What the platform's ledger calls the write.
pub(super) const fn written_as(module: Module) -> &'static str {
    match module {
        Module::Like => "LIKE",
        Module::Follow => "FOLLOW",
        Module::Unfollow => "UNFOLLOW",
        Module::StorySee => "STORY_SEEN",
        Module::StoryLike => "STORY_LIKE",
        Module::Comment => "COMMENT",
        Module::Dm => "DIRECT_MESSAGE",
    }
}

/// The calls whose failure it feels: the write first.
pub(super) const fn routes(module: Module) -> &'static [&'static str] {
    match module {
        Module::Like => &["POST /media/like", "GET /media", "GET /hashtag/media/recent"],
        Module::Follow => &["POST /user/follow", "GET /user/friendship", "GET /hashtag/media/recent"],
        Module::Unfollow => &["DELETE /user/follow", "GET /user/friendship"],
        Module::StorySee => &["PATCH /story/seen", "GET /user/stories"],
        Module::StoryLike => &["POST /story/like", "GET /user/stories"],
        Module::Comment => &["POST /media/comment", "GET /media/comments", "GET /hashtag/media/recent"],
        Module::Dm => &["POST /direct/message", "GET /direct/messages", "GET /direct/thread/by/participants"],
    }
}
