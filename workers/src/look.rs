//! Reads of the platform that tell whether an action took effect. They never write.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{ActionKind, Reservation};

use crate::link::Link;
use crate::platform::{DirectMessage, FollowState, MediaId, PlatformError, PlatformErrorKind, UserPk};

/// How far the platform's clock may be from ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(10);
/// The newest messages of a conversation, and comments of a media, that are looked at.
const NEWEST: u32 = 50;

/// What a read showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It took effect.
    Done(&'static str),
    /// It has not taken effect so far.
    NotDone(&'static str),
    /// The answer does not tell, and another one would not either.
    Untold(&'static str),
    /// The answer does not tell; another one may.
    Unclear(&'static str),
}

/// Gateway calls that one look may cost.
pub(crate) const fn requests_of(kind: ActionKind) -> u32 {
    match kind {
        ActionKind::Story => 0,
        ActionKind::Dm => 2,
        _ => 1,
    }
}

/// Looks whether the open action took effect. `text` is what a comment or a message said, where that is known.
pub(crate) async fn look(link: &Link<'_>, open: &Reservation, text: Option<&str>) -> Result<Finding, PlatformError> {
    match open.kind {
        ActionKind::Like => like(link, &open.target).await,
        ActionKind::Follow => follow(link, &open.target).await,
        ActionKind::Unfollow => Ok(match follow(link, &open.target).await? {
            Finding::Done(seen) => Finding::NotDone(seen),
            Finding::NotDone(seen) => Finding::Done(seen),
            other => other,
        }),
        ActionKind::Comment => comment(link, open, text).await,
        ActionKind::Dm => message(link, open, text).await,
        ActionKind::Story => Ok(Finding::Untold("NO_READ_TELLS")),
    }
}

async fn like(link: &Link<'_>, target: &str) -> Result<Finding, PlatformError> {
    let platform = link.platform();
    let media = &parse::<MediaId>(target, "GET /media")?.pk();
    let media = link.call(|call, session| async move { platform.media(call, &session, media).await }).await?;
    Ok(match media.has_liked {
        Some(true) => Finding::Done("READ_LIKED"),
        Some(false) => Finding::NotDone("READ_NOT_LIKED"),
        None => Finding::Unclear("READ_WITHOUT_LIKE"),
    })
}

async fn follow(link: &Link<'_>, target: &str) -> Result<Finding, PlatformError> {
    let platform = link.platform();
    let user = &parse::<UserPk>(target, "GET /user/friendship")?;
    let friendship = link.call(|call, session| async move { platform.friendship(call, &session, user).await }).await?;
    Ok(match friendship.follow_state() {
        FollowState::Following => Finding::Done("READ_FOLLOWING"),
        FollowState::Requested => Finding::Done("READ_REQUESTED"),
        FollowState::NotFollowing => Finding::NotDone("READ_NOT_FOLLOWING"),
        FollowState::Unclear => Finding::Unclear("READ_WITHOUT_REQUEST"),
    })
}

async fn comment(link: &Link<'_>, open: &Reservation, text: Option<&str>) -> Result<Finding, PlatformError> {
    let platform = link.platform();
    let media = &parse::<MediaId>(&open.target, "GET /media/comments")?;
    let page = link
        .call(|call, session| async move { platform.media_comments(call, &session, media, NEWEST, None).await })
        .await?;
    let ours = page.items.iter().filter(|comment| {
        let is_own = comment.user.as_ref().is_some_and(|user| Some(user.pk.as_str()) == link.own_pk.as_deref());
        is_own && is_since(comment.created_at_utc, open)
    });
    let texts: Vec<Option<&str>> = ours.map(|comment| Some(comment.text.as_str())).collect();
    Ok(judge(&texts, text, page.next.is_none()))
}

async fn message(link: &Link<'_>, open: &Reservation, text: Option<&str>) -> Result<Finding, PlatformError> {
    let platform = link.platform();
    let user = &parse::<UserPk>(&open.target, "GET /direct/thread/by/participants")?;
    let thread = link.call(|call, session| async move { platform.thread_with(call, &session, user).await }).await?;
    let Some(thread) = thread else { return Ok(Finding::NotDone("READ_NO_THREAD")) };
    let messages = link
        .call(|call, session| async move { platform.direct_messages(call, &session, thread, NEWEST).await })
        .await?;
    let is_whole =
        messages.len() < NEWEST as usize || messages.iter().any(|message| !is_since(message.timestamp, open));
    let ours = messages.iter().filter(|message| is_ours(message, link) && is_since(message.timestamp, open));
    let texts: Vec<Option<&str>> = ours.map(|message| message.text.as_deref()).collect();
    Ok(judge(&texts, text, is_whole))
}

/// What our own words since the reservation say about the words that were to be sent.
fn judge(ours: &[Option<&str>], wanted: Option<&str>, is_whole: bool) -> Finding {
    match wanted {
        Some(wanted) if ours.contains(&Some(wanted)) => Finding::Done("READ_TEXT"),
        // A message with a link comes back without its text.
        Some(_) if ours.contains(&None) => Finding::Untold("READ_WITHOUT_TEXT"),
        None if !ours.is_empty() => Finding::Untold("WORDS_UNKNOWN"),
        _ if is_whole => Finding::NotDone("READ_NO_TEXT"),
        _ => Finding::Untold("READ_INCOMPLETE"),
    }
}

pub(crate) fn is_ours(message: &DirectMessage, link: &Link<'_>) -> bool {
    message.is_sent_by_viewer.unwrap_or_else(|| message.user_id.as_ref().map(UserPk::as_str) == link.own_pk.as_deref())
}

/// What has no time counts as new: better a doubt too many than a message twice.
fn is_since(at: Option<DateTime<Utc>>, open: &Reservation) -> bool {
    at.is_none_or(|at| at >= open.at - CLOCK_SKEW)
}

fn parse<T: FromStr>(target: &str, call: &'static str) -> Result<T, PlatformError> {
    target.parse().map_err(|_| PlatformError::new(PlatformErrorKind::RequestInvalid, call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_there_are_done() {
        assert_eq!(judge(&[Some("hi"), Some("hello")], Some("hello"), true), Finding::Done("READ_TEXT"));
        assert_eq!(judge(&[Some("hello")], Some("hello"), false), Finding::Done("READ_TEXT"));
    }

    #[test]
    fn only_a_whole_list_without_the_words_says_not_done() {
        assert_eq!(judge(&[Some("hi")], Some("hello"), true), Finding::NotDone("READ_NO_TEXT"));
        assert_eq!(judge(&[], Some("hello"), true), Finding::NotDone("READ_NO_TEXT"));
        assert_eq!(judge(&[], Some("hello"), false), Finding::Untold("READ_INCOMPLETE"));
    }

    #[test]
    fn words_that_cannot_be_compared_tell_nothing() {
        assert_eq!(judge(&[None], Some("hello"), true), Finding::Untold("READ_WITHOUT_TEXT"));
        assert_eq!(judge(&[Some("hi")], None, true), Finding::Untold("WORDS_UNKNOWN"));
    }
}
