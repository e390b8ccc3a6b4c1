//! Whom the product may unfollow: only whom it followed itself, long enough ago, who does not follow back.

use chrono::{DateTime, TimeDelta, Utc};

use super::filters::{Facts, Filters};
use super::skip::{Judgement, Read, SkipReason};

/// How long a follow is left alone: people need time to follow back.
pub const WAIT: TimeDelta = TimeDelta::days(14);

/// How the account and a person stand to each other, as the platform tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the account follows the person, or asked to.
    pub we_follow: Option<bool>,
    /// Whether the person follows the account.
    pub follows_us: Option<bool>,
}

/// Whether somebody may be unfollowed whom the product followed at `followed_at`, if it did.
#[must_use]
pub fn may_unfollow(
    filters: &Filters,
    facts: &Facts,
    followed_at: Option<DateTime<Utc>>,
    standing: Option<Standing>,
    now: DateTime<Utc>,
) -> Judgement {
    if filters.spares(facts) {
        return Judgement::Skip(SkipReason::WhiteListed);
    }
    let Some(followed_at) = followed_at else { return Judgement::Skip(SkipReason::NotFollowedByUs) };
    if now < followed_at + WAIT {
        return Judgement::Skip(SkipReason::FollowedTooRecently);
    }
    // Having met the person is what this is about.
    let filters = Filters { met: None, ..filters.clone() };
    filters.judge(facts, None, now).and_then(|| match standing {
        None => Judgement::Needs(Read::Relationship),
        Some(Standing { we_follow: Some(false), .. }) => Judgement::Skip(SkipReason::NotFollowing),
        Some(Standing { follows_us: Some(true), .. }) => Judgement::Skip(SkipReason::FollowsBack),
        Some(Standing { we_follow: Some(true), follows_us: Some(false) }) => Judgement::Pass,
        // In doubt somebody is spared.
        Some(_) => Judgement::Skip(SkipReason::NotKnown),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-20T10:00:00Z".parse().unwrap()
    }

    fn facts() -> Facts {
        Facts { number: "7".to_owned(), username: Some("ann".to_owned()), ..Facts::default() }
    }

    fn long_ago() -> DateTime<Utc> {
        now() - WAIT
    }

    const fn standing(we_follow: Option<bool>, follows_us: Option<bool>) -> Standing {
        Standing { we_follow, follows_us }
    }

    fn judge(followed_at: impl Into<Option<DateTime<Utc>>>, standing: impl Into<Option<Standing>>) -> Judgement {
        may_unfollow(&Filters::default(), &facts(), followed_at.into(), standing.into(), now())
    }

    #[test]
    fn whoever_does_not_follow_back_after_two_weeks_may_be_unfollowed() {
        assert_eq!(judge(long_ago(), None), Judgement::Needs(Read::Relationship));
        assert_eq!(judge(long_ago(), standing(Some(true), Some(false))), Judgement::Pass);
    }

    #[test]
    fn everybody_else_is_spared_with_the_reason() {
        let not_back = standing(Some(true), Some(false));
        let long_ago = Some(long_ago());
        let a_second_early = long_ago.map(|at| at + TimeDelta::seconds(1));
        for (followed_at, standing, reason) in [
            (None, not_back, SkipReason::NotFollowedByUs),
            (a_second_early, not_back, SkipReason::FollowedTooRecently),
            (long_ago, standing(Some(true), Some(true)), SkipReason::FollowsBack),
            (long_ago, standing(Some(false), Some(false)), SkipReason::NotFollowing),
            (long_ago, standing(Some(true), None), SkipReason::NotKnown),
            (long_ago, standing(None, Some(false)), SkipReason::NotKnown),
        ] {
            assert_eq!(judge(followed_at, standing), Judgement::Skip(reason));
        }
    }

    #[test]
    fn the_white_list_spares_before_anything_is_read() {
        for listed in ["7", "@ann"] {
            let filters = Filters { white_list: vec![listed.parse().unwrap()], ..Filters::default() };
            let judgement = may_unfollow(&filters, &facts(), Some(long_ago()), None, now());
            assert_eq!(judgement, Judgement::Skip(SkipReason::WhiteListed));
        }
    }

    #[test]
    fn names_on_the_white_list_need_the_name_of_the_person() {
        let filters = Filters { white_list: vec!["@ann".parse().unwrap()], ..Filters::default() };
        let nameless = Facts { username: None, ..facts() };
        let not_back = standing(Some(true), Some(false));
        let judgement = may_unfollow(&filters, &nameless, Some(long_ago()), Some(not_back), now());
        assert_eq!(judgement, Judgement::Needs(Read::Profile));
        let read = Facts { is_whole: true, ..nameless };
        let judgement = may_unfollow(&filters, &read, Some(long_ago()), Some(not_back), now());
        assert_eq!(judgement, Judgement::Skip(SkipReason::NotKnown));
    }

    #[test]
    fn having_met_the_person_is_no_reason() {
        let filters = Filters { met: Some(super::super::Met { again_after_days: None }), ..Filters::default() };
        let judgement =
            may_unfollow(&filters, &facts(), Some(long_ago()), Some(standing(Some(true), Some(false))), now());
        assert_eq!(judgement, Judgement::Pass);
    }
}
