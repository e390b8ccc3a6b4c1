//! The world in the gateway's JSON, with its traps: ids now as numbers and now as strings, fields
//! null or absent, thread ids that no 64-bit number holds, message times without a zone.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::world::{Conversation, Letter, Person, Place, Post, Remark, StoryItem, World};
use crate::platform::ThreadId;

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn picture(pk: u64) -> String {
    format!("https://cdn.example/pictures/{pk}.jpg")
}

/// One in nine has none: then the platform shows the same grey head for everybody.
fn face(pk: u64) -> String {
    if pk % 9 == 4 {
        "https://cdn.example/44884218_345707102882519_2446069589734326272_n.jpg".to_owned()
    } else {
        picture(pk)
    }
}

pub(super) fn user_short(world: &World, pk: u64) -> Value {
    let Some(person) = world.person(pk) else {
        return json!({ "pk": pk.to_string(), "username": null, "full_name": "" });
    };
    json!({
        "pk": pk.to_string(),
        "username": person.username,
        "full_name": person.full_name,
        "profile_pic_url": face(pk),
        "profile_pic_url_hd": null,
        // Some lists do not tell.
        "is_private": (!pk.is_multiple_of(7)).then_some(person.is_private),
        "stories": [],
    })
}

pub(super) fn user(world: &World, person: &Person, now: DateTime<Utc>) -> Value {
    let count = world.posts.values().filter(|post| post.owner == person.pk && post.taken_at <= now).count();
    json!({
        "pk": person.pk.to_string(),
        "username": person.username,
        "full_name": person.full_name,
        "is_private": person.is_private,
        "profile_pic_url": face(person.pk),
        "profile_pic_url_hd": face(person.pk),
        "is_verified": person.is_verified,
        "media_count": count,
        "follower_count": world.followers_of(person.pk).len(),
        "following_count": world.following_of(person.pk).len(),
        "biography": person.biography,
        "external_url": null,
        "account_type": if person.is_business { 2 } else { 1 },
        "is_business": person.is_business,
        "public_email": null,
        "category": null,
        "bio_links": [],
    })
}

pub(super) fn account(person: &Person) -> Value {
    json!({
        "pk": person.pk.to_string(),
        "username": person.username,
        "full_name": person.full_name,
        "is_private": person.is_private,
        "profile_pic_url": picture(person.pk),
        "is_verified": person.is_verified,
        "biography": person.biography,
        "external_url": "",
        "is_business": person.is_business,
        "birthday": null,
        "phone_number": null,
        "gender": null,
        "email": null,
    })
}

pub(super) fn relationship(world: &World, viewer: u64, person: &Person) -> Value {
    json!({
        "user_id": person.pk.to_string(),
        "blocking": false,
        "followed_by": world.follows(person.pk, viewer),
        "following": world.follows(viewer, person.pk),
        "incoming_request": world.has_requested(person.pk, viewer),
        "outgoing_request": world.has_requested(viewer, person.pk),
        "is_bestie": false,
        "is_blocking_reel": false,
        "is_muting_reel": false,
        "is_private": person.is_private,
        "is_restricted": false,
        "muting": false,
    })
}

pub(super) fn relationship_short(world: &World, viewer: u64, person: &Person) -> Value {
    json!({
        "user_id": person.pk.to_string(),
        "following": world.follows(viewer, person.pk),
        "incoming_request": world.has_requested(person.pk, viewer),
        "is_bestie": false,
        "is_feed_favorite": false,
        "is_private": person.is_private,
        "is_restricted": false,
        "outgoing_request": world.has_requested(viewer, person.pk),
    })
}

pub(super) fn media(world: &World, post: &Post, viewer: u64) -> Value {
    let is_video = post.media_type == 2;
    let mut media = json!({
        "pk": if post.pk.is_multiple_of(2) { json!(post.pk) } else { json!(post.pk.to_string()) },
        "id": format!("{}_{}", post.pk, post.owner),
        "code": code(post.pk),
        "taken_at": time(post.taken_at),
        "media_type": post.media_type,
        "product_type": if is_video { "clips" } else { "feed" },
        "thumbnail_url": picture(post.pk),
        "user": user_short(world, post.owner),
        "comment_count": post.comments.len(),
        "comments_disabled": post.comments_disabled,
        "like_count": post.like_count(),
        "play_count": null,
        "has_liked": post.likers.contains(&viewer),
        "caption_text": post.caption,
        "accessibility_caption": null,
        "usertags": [],
        "sponsor_tags": [],
        "video_url": null,
        "view_count": 0,
        "resources": [],
    });
    // Without a place the field is now null, now absent.
    match post.place.and_then(|pk| world.places.get(&pk)) {
        Some(place) => media["location"] = location(place),
        None if post.pk.is_multiple_of(3) => media["location"] = Value::Null,
        None => {}
    }
    media
}

pub(super) fn location(place: &Place) -> Value {
    json!({
        "pk": place.pk,
        "name": place.name,
        "phone": "",
        "website": "",
        "category": "",
        "hours": {},
        "address": "",
        "city": place.city,
        "zip": null,
        "lng": place.lng,
        "lat": place.lat,
        "external_id": place.pk * 10 + 3,
        "external_id_source": "facebook_places",
    })
}

pub(super) fn hashtag(name: &str, media_count: usize) -> Value {
    json!({ "id": format!("1784{:013}", name.len() * 7_919), "name": name, "media_count": media_count,
            "profile_pic_url": null })
}

pub(super) fn comment(world: &World, remark: &Remark) -> Value {
    json!({
        "pk": remark.pk.to_string(),
        "text": remark.text,
        "user": user_short(world, remark.author),
        "created_at_utc": time(remark.at),
        "content_type": "comment",
        "status": "Active",
        "replied_to_comment_id": remark.reply_to.map(|pk| pk.to_string()),
        "has_liked": null,
        "like_count": 0,
    })
}

pub(super) fn story(world: &World, story: &StoryItem) -> Value {
    json!({
        "pk": story.pk.to_string(),
        "id": format!("{}_{}", story.pk, story.owner),
        "code": code(story.pk),
        "taken_at": time(story.taken_at),
        "media_type": 1,
        "product_type": "story",
        "thumbnail_url": picture(story.pk),
        "user": user_short(world, story.owner),
        "video_url": null,
        "video_duration": 0.0,
        "sponsor_tags": [],
        "mentions": [],
        "links": [],
        "hashtags": [],
        "locations": [],
        "stickers": [],
        "medias": [],
    })
}

/// Typed, since a generic JSON value would round the thread id.
#[derive(Serialize)]
pub(super) struct MessageShape {
    id: String,
    user_id: String,
    thread_id: u128,
    timestamp: String,
    item_type: &'static str,
    is_sent_by_viewer: bool,
    is_shh_mode: bool,
    reactions: Option<()>,
    text: Option<String>,
    link: Option<()>,
    client_context: String,
}

pub(super) fn message(thread: ThreadId, letter: &Letter, viewer: u64) -> MessageShape {
    MessageShape {
        id: letter.id.clone(),
        user_id: letter.author.to_string(),
        thread_id: thread.get(),
        timestamp: letter.at.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        item_type: if letter.text.contains("http") { "link" } else { "text" },
        is_sent_by_viewer: letter.author == viewer,
        is_shh_mode: false,
        reactions: None,
        text: Some(letter.text.clone()),
        link: None,
        client_context: format!("70{}", letter.id.trim_start_matches('3')),
    }
}

/// The answer to a sent message leaves the text out.
pub(super) fn sent_message(thread: ThreadId, letter: &Letter, viewer: u64) -> MessageShape {
    MessageShape { text: None, ..message(thread, letter, viewer) }
}

#[derive(Serialize)]
pub(super) struct ThreadShape {
    pk: String,
    id: String,
    messages: Vec<MessageShape>,
    #[serde(flatten)]
    rest: Value,
}

pub(super) fn thread(world: &World, conversation: &Conversation, viewer: u64, messages: usize) -> ThreadShape {
    let others: Vec<u64> = conversation.members.iter().copied().filter(|member| *member != viewer).collect();
    let title: Vec<&str> =
        others.iter().filter_map(|pk| world.person(*pk)).map(|person| person.username.as_str()).collect();
    ThreadShape {
        pk: conversation.id.to_string(),
        id: conversation.id.to_string(),
        messages: newest(conversation, viewer, messages),
        rest: json!({
            "users": others.iter().map(|pk| user_short(world, *pk)).collect::<Vec<_>>(),
            "inviter": null,
            "left_users": [],
            "admin_user_ids": [],
            "last_activity_at": conversation.letters.last().map(|letter| time(letter.at)),
            "muted": false,
            "is_pin": null,
            "named": false,
            "canonical": others.len() == 1,
            "pending": false,
            "archived": false,
            "thread_type": "private",
            "thread_title": title.join(", "),
            "is_group": others.len() > 1,
            "last_seen_at": {},
        }),
    }
}

/// The newest messages first.
pub(super) fn newest(conversation: &Conversation, viewer: u64, amount: usize) -> Vec<MessageShape> {
    conversation.letters.iter().rev().take(amount).map(|letter| message(conversation.id, letter, viewer)).collect()
}

const CODE_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The short code of a pk: its digits to the base of 64.
pub(super) fn code(pk: u64) -> String {
    let mut rest = pk;
    let mut letters = Vec::new();
    while rest > 0 {
        let index = usize::try_from(rest % 64).unwrap_or_default();
        letters.push(char::from(CODE_LETTERS[index]));
        rest /= 64;
    }
    letters.iter().rev().collect()
}

/// The pk of a short code.
pub(super) fn pk_of_code(code: &str) -> Option<u64> {
    code.bytes().try_fold(0_u64, |pk, letter| {
        let index = CODE_LETTERS.iter().position(|known| *known == letter)?;
        pk.checked_mul(64)?.checked_add(index as u64)
    })
}
