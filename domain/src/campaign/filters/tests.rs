//! Every filter by itself, what has to be read first, and the lists that go before all of them.

use super::*;
use crate::campaign::CampaignError;

fn now() -> DateTime<Utc> {
    "2026-03-20T10:00:00Z".parse().unwrap()
}

/// As lists show people.
fn listed() -> Facts {
    Facts {
        number: "7".to_owned(),
        username: Some("ann".to_owned()),
        is_private: Some(false),
        has_picture: Some(true),
        ..Facts::default()
    }
}

/// As a page shows them.
fn whole() -> Facts {
    Facts {
        is_verified: Some(false),
        is_business: Some(false),
        followers: Some(300),
        following: Some(200),
        posts: Some(10),
        biography: Some("Climbing & coffee. I live in Zürich, don't ask. 东京".to_owned()),
        is_whole: true,
        ..listed()
    }
}

fn judge(filters: &Filters, facts: &Facts) -> Judgement {
    filters.judge(facts, None, now())
}

const fn range(least: Option<u64>, most: Option<u64>) -> Range {
    Range { least, most }
}

#[test]
fn nothing_set_lets_everybody_through_without_a_read() {
    let filters = Filters::default();
    assert!(!filters.needs_profile());
    assert_eq!(judge(&filters, &Facts::default()), Judgement::Pass);
}

#[test]
fn each_filter_says_why_somebody_is_left_alone() {
    let none = Filters::default;
    for (filters, reason) in [
        (Filters { private: Some(true), ..none() }, SkipReason::NotPrivate),
        (Filters { verified: Some(true), ..none() }, SkipReason::NotVerified),
        (Filters { business: Some(true), ..none() }, SkipReason::NotBusiness),
        (Filters { has_picture: Some(false), ..none() }, SkipReason::HasPicture),
        (Filters { followers: range(Some(301), None), ..none() }, SkipReason::TooFewFollowers),
        (Filters { followers: range(None, Some(299)), ..none() }, SkipReason::TooManyFollowers),
        (Filters { following: range(Some(201), None), ..none() }, SkipReason::TooFewFollowing),
        (Filters { following: range(None, Some(199)), ..none() }, SkipReason::TooManyFollowing),
        (Filters { ratio: range(Some(151), None), ..none() }, SkipReason::RatioTooLow),
        (Filters { ratio: range(None, Some(149)), ..none() }, SkipReason::RatioTooHigh),
        (Filters { least_posts: Some(11), ..none() }, SkipReason::TooFewPosts),
        (Filters { words: vec!["climb".to_owned(), "tea".to_owned()], ..none() }, SkipReason::NoWord),
    ] {
        assert_eq!(judge(&filters, &whole()), Judgement::Skip(reason));
    }
    let opposite = Facts {
        is_private: Some(true),
        is_verified: Some(true),
        is_business: Some(true),
        has_picture: Some(false),
        ..whole()
    };
    for (filters, reason) in [
        (Filters { private: Some(false), ..none() }, SkipReason::Private),
        (Filters { verified: Some(false), ..none() }, SkipReason::Verified),
        (Filters { business: Some(false), ..none() }, SkipReason::Business),
        (Filters { has_picture: Some(true), ..none() }, SkipReason::NoPicture),
    ] {
        assert_eq!(judge(&filters, &opposite), Judgement::Skip(reason));
        assert_eq!(judge(&filters, &whole()), Judgement::Pass);
    }
}

#[test]
fn bounds_are_included() {
    let filters = Filters {
        followers: range(Some(300), Some(300)),
        following: range(Some(200), Some(200)),
        ratio: range(Some(150), Some(150)),
        least_posts: Some(10),
        ..Filters::default()
    };
    assert!(filters.needs_profile());
    assert_eq!(judge(&filters, &whole()), Judgement::Pass);
    assert_eq!(ratio_of(&Facts { followers: Some(3), following: Some(0), ..whole() }), Some(300));
}

#[test]
fn a_page_is_read_only_when_lists_do_not_tell() {
    let filters = Filters { private: Some(true), least_posts: Some(1), ..Filters::default() };
    assert_eq!(judge(&filters, &listed()), Judgement::Skip(SkipReason::NotPrivate));
    let private = Facts { is_private: Some(true), ..listed() };
    assert_eq!(judge(&filters, &private), Judgement::Needs(Read::Profile));
    let untold = Facts { is_whole: true, ..private };
    assert_eq!(judge(&filters, &untold), Judgement::Skip(SkipReason::NotKnown));
}

#[test]
fn words_are_whole_words_of_any_script() {
    for word in ["coffee", "zürich", "live in", "don't", "东京"] {
        assert!(has_words(whole().biography.as_deref().unwrap(), word), "{word}");
    }
    for word in ["cof", "live", "in live", "京东"] {
        assert_eq!(has_words(whole().biography.as_deref().unwrap(), word), word == "live", "{word}");
    }
}

#[test]
fn the_black_list_goes_before_the_white_one_and_that_before_the_filters() {
    let strict = Filters { private: Some(true), ..Filters::default() };
    let white = Filters { white_list: vec!["@ann".parse().unwrap()], ..strict };
    assert_eq!(judge(&white, &whole()), Judgement::Pass);
    let both = Filters { black_list: vec!["7".parse().unwrap()], ..white };
    assert_eq!(judge(&both, &whole()), Judgement::Skip(SkipReason::BlackListed));
    let nameless = Facts { username: None, ..listed() };
    let named = Filters { black_list: vec!["@bob".parse().unwrap()], ..Filters::default() };
    assert_eq!(judge(&named, &nameless), Judgement::Needs(Read::Profile));
    assert_eq!(judge(&named, &Facts { is_whole: true, ..nameless }), Judgement::Skip(SkipReason::NotKnown));
}

#[test]
fn people_are_met_again_after_the_interval_or_never() {
    let met_at = Some(now() - TimeDelta::days(30));
    let judge = |days: Option<Option<u32>>, met_at| {
        let met = days.map(|again_after_days| Met { again_after_days });
        Filters { met, ..Filters::default() }.judge(&listed(), met_at, now())
    };
    assert_eq!(judge(None, met_at), Judgement::Pass);
    assert_eq!(judge(Some(Some(30)), met_at), Judgement::Pass);
    assert_eq!(judge(Some(Some(31)), met_at), Judgement::Skip(SkipReason::AlreadyMet));
    assert_eq!(judge(Some(None), met_at), Judgement::Skip(SkipReason::AlreadyMet));
    assert_eq!(judge(Some(None), None), Judgement::Pass);
}

#[test]
fn drafts_come_into_one_form_and_nonsense_is_refused_with_its_place() {
    let draft = DraftFilters {
        followers: DraftRange { least: Some(0), most: Some(5) },
        ratio: DraftRatio { least: Some(0.5), most: None },
        words: vec!["  Live   IN ".to_owned(), "live in".to_owned()],
        white_list: vec!["@Bob".to_owned(), "bob".to_owned()],
        ..DraftFilters::default()
    };
    let filters = draft.clone().check().unwrap();
    assert_eq!(filters.followers, range(None, Some(5)));
    assert_eq!(filters.ratio, range(Some(50), None));
    assert_eq!(filters.words, ["live in"]);
    assert_eq!(filters.white_list.len(), 1);
    let many = vec!["1".to_owned(); 1_001];
    for (draft, code, path) in [
        (
            DraftFilters { followers: DraftRange { least: Some(2), most: Some(1) }, ..draft.clone() },
            "CAMPAIGN_INVALID_FILTER",
            "filters.followers",
        ),
        (
            DraftFilters { ratio: DraftRatio { least: Some(f64::NAN), most: None }, ..draft.clone() },
            "CAMPAIGN_INVALID_FILTER",
            "filters.ratio",
        ),
        (
            DraftFilters { met: Some(Met { again_after_days: Some(0) }), ..draft.clone() },
            "CAMPAIGN_INVALID_FILTER",
            "filters.met.again_after_days",
        ),
        (
            DraftFilters { words: vec!["a".to_owned(), " ".to_owned()], ..draft.clone() },
            "CAMPAIGN_INVALID_WORDS",
            "filters.words.1",
        ),
        (
            DraftFilters { black_list: vec!["no body".to_owned()], ..draft.clone() },
            "CAMPAIGN_INVALID_PERSON",
            "filters.black_list.0",
        ),
        (DraftFilters { black_list: many, ..draft }, "CAMPAIGN_LIST_TOO_LONG", "filters.black_list"),
    ] {
        let refusal: CampaignError = draft.check().unwrap_err();
        assert_eq!((refusal.code(), refusal.path().join(".").as_str()), (code, path));
    }
}
