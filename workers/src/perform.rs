//! The one call that an action is: sent once, ever. What its failure means is not decided here.

use std::str::FromStr;

use domain::bot::ActionKind;

use crate::action::Planned;
use crate::link::Link;
use crate::platform::{MediaId, PlatformError, PlatformErrorKind, StoryId, UserPk, WriteAnswer};

/// Gateway calls that an action may cost: its own, and the reads that settle it.
#[must_use]
pub(crate) const fn requests_of(kind: ActionKind) -> u32 {
    match kind {
        ActionKind::Like | ActionKind::Follow | ActionKind::Unfollow | ActionKind::Comment => 2,
        ActionKind::Story => 1,
        ActionKind::Dm => 3,
    }
}

/// Sends the action.
pub(crate) async fn perform(link: &Link<'_>, action: &Planned) -> Result<WriteAnswer, PlatformError> {
    let platform = link.platform();
    match action.kind {
        ActionKind::Like => {
            let media = &parse::<MediaId>(&action.target, "POST /media/like")?;
            link.call(|call, session| async move { platform.like(call, &session, media).await }).await
        }
        ActionKind::Follow => {
            let user = &parse::<UserPk>(&action.target, "POST /user/follow")?;
            link.call(|call, session| async move { platform.follow(call, &session, user).await }).await
        }
        ActionKind::Unfollow => {
            let user = &parse::<UserPk>(&action.target, "DELETE /user/follow")?;
            link.call(|call, session| async move { platform.unfollow(call, &session, user).await }).await
        }
        ActionKind::Story if action.likes_story => {
            let story = &parse::<StoryId>(&action.target, "POST /story/like")?;
            link.call(|call, session| async move { platform.like_story(call, &session, story).await }).await
        }
        ActionKind::Story => {
            let story = &[parse::<StoryId>(&action.target, "PATCH /story/seen")?.pk()];
            link.call(|call, session| async move { platform.see_stories(call, &session, story).await }).await
        }
        ActionKind::Comment => {
            let media = &parse::<MediaId>(&action.target, "POST /media/comment")?;
            let text = words(action, "POST /media/comment")?;
            link.call(|call, session| async move { platform.comment(call, &session, media, text).await }).await?;
            Ok(WriteAnswer::Confirmed)
        }
        ActionKind::Dm => {
            let user = &parse::<UserPk>(&action.target, "POST /direct/message")?;
            let text = words(action, "POST /direct/message")?;
            link.call(|call, session| async move { platform.send_direct_message(call, &session, user, text).await })
                .await?;
            Ok(WriteAnswer::Confirmed)
        }
    }
}

fn parse<T: FromStr>(target: &str, call: &'static str) -> Result<T, PlatformError> {
    target.parse().map_err(|_| PlatformError::new(PlatformErrorKind::RequestInvalid, call))
}

fn words<'a>(action: &'a Planned, call: &'static str) -> Result<&'a str, PlatformError> {
    action.text.as_deref().ok_or_else(|| PlatformError::new(PlatformErrorKind::RequestInvalid, call))
}
