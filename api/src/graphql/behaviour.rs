//! What a campaign will do, in words for the person who agrees to it.

use domain::campaign::{Definition, HashtagTab, Module, Source, unfollow};

/// The predicate of a sentence about the campaign.
pub fn behaviour(definition: &Definition) -> String {
    let (most, source) = (definition.max_targets, &definition.source);
    let given = given(source);
    let people = if source.gives_posts() {
        format!("authors of up to {most} of {given}")
    } else {
        format!("up to {most} of {given}")
    };
    let posts = if source.gives_posts() {
        format!("up to {most} of {given}")
    } else {
        format!("the newest post of up to {most} of {given}")
    };
    match definition.module {
        Module::Like => format!("likes {posts}"),
        Module::Comment => format!("comments on {posts}"),
        Module::Follow if source.gives_posts() => format!("follows the {people}"),
        Module::Follow => format!("follows {people}"),
        Module::Unfollow => {
            let days = unfollow::WAIT.num_days();
            format!("unfollows {people} who do not follow back after {days} days")
        }
        Module::StorySee => format!("looks at stories of {people}"),
        Module::StoryLike => format!("likes stories of {people}"),
        Module::Dm => format!("writes to {people}, if they follow the account or wrote to it"),
    }
}

fn given(source: &Source) -> String {
    match source {
        Source::Hashtag { name, tab } => format!("the {} posts of #{name}", word(*tab)),
        Source::Location { location_pk, tab } => format!("the {} posts of place {location_pk}", word(*tab)),
        Source::Place { query, tab } => format!("the {} posts of the place {query:?}", word(*tab)),
        Source::Followers { of } => format!("the followers of {of}"),
        Source::Following { of } => format!("the people whom {of} follows"),
        Source::Likers { of } => format!("the people who liked post {of}"),
        Source::List { people } => format!("{} listed people", people.len()),
        Source::Followed => "the people whom it followed".to_owned(),
    }
}

const fn word(tab: HashtagTab) -> &'static str {
    match tab {
        HashtagTab::Top => "top",
        HashtagTab::Recent => "newest",
    }
}
