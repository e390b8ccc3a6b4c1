//! Given, when, then; what is refused; the shapes that campaigns are stored in.

mod exactly_once;
mod scheduling;

use chrono::{DateTime, TimeZone, Utc};
use cqrs_es::Aggregate;
use cqrs_es::test::TestFramework;
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Campaign, CampaignCommand, CampaignError, CampaignEvent, Definition, Draft, DraftSource, HashtagTab, Module, Source,
};
use crate::decide::{Decide, fold};
use crate::ids::{BotId, CampaignId};

fn at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).unwrap()
}

fn campaign_id() -> CampaignId {
    CampaignId::from_uuid(Uuid::from_u128(6))
}

fn bot_id() -> BotId {
    BotId::from_uuid(Uuid::from_u128(1))
}

fn draft() -> Draft {
    tagged("#Alps")
}

fn tagged(name: &str) -> Draft {
    let source = DraftSource::Hashtag { name: name.to_owned(), tab: HashtagTab::Top };
    Draft::new(" Mountains ", Module::Like, source, 20)
}

fn placed(location_pk: &str) -> Draft {
    Draft { source: DraftSource::Location { location_pk: location_pk.to_owned(), tab: HashtagTab::Recent }, ..draft() }
}

fn definition() -> Definition {
    let source = Source::Hashtag { name: "alps".to_owned(), tab: HashtagTab::Top };
    Definition::new("Mountains".to_owned(), Module::Like, source, 20)
}

fn define(draft: Draft) -> CampaignCommand {
    CampaignCommand::Define { campaign_id: campaign_id(), bot_id: bot_id(), draft, at: at() }
}

fn defined() -> CampaignEvent {
    CampaignEvent::CampaignDefined { campaign_id: campaign_id(), bot_id: bot_id(), definition: definition(), at: at() }
}

fn archived() -> CampaignEvent {
    CampaignEvent::CampaignArchived { at: at() }
}

fn revise(draft: Draft) -> CampaignCommand {
    CampaignCommand::Revise { draft, at: at() }
}

fn framework() -> TestFramework<Campaign> {
    TestFramework::with(())
}

/// What a definition of `draft` is refused for, or its stored form.
fn checked(draft: Draft) -> Result<Definition, CampaignError> {
    let events = Campaign::default().decide(define(draft))?;
    match &events[..] {
        [CampaignEvent::CampaignDefined { definition, .. }] => Ok(definition.clone()),
        other => panic!("{other:?}"),
    }
}

fn source_of(draft: Draft) -> Result<Source, CampaignError> {
    checked(draft).map(|definition| definition.source)
}

#[test]
fn a_draft_is_stored_in_its_normal_form() {
    framework().given_no_previous_events().when(define(draft())).then_expect_events(vec![defined()]);
    let state = fold(Campaign::default(), [defined()]);
    assert_eq!(state.id(), Some(campaign_id()));
    assert_eq!(state.bot_id(), Some(bot_id()));
    assert_eq!(state.definition(), Some(&definition()));
    assert_eq!(state.revision(), 1);
    assert!(state.is_active());
}

#[test]
fn a_revision_counts_up() {
    let changed = Draft { max_targets: 21, ..draft() };
    let definition = Definition { max_targets: 21, ..definition() };
    let revised = CampaignEvent::CampaignRevised { revision: 2, definition: definition.clone(), at: at() };
    framework().given(vec![defined()]).when(revise(changed)).then_expect_events(vec![revised.clone()]);
    let state = fold(Campaign::default(), [defined(), revised]);
    assert_eq!((state.revision(), state.definition()), (2, Some(&definition)));
}

#[test]
fn a_revision_that_changes_nothing_appends_nothing() {
    framework().given(vec![defined()]).when(revise(draft())).then_expect_events(Vec::new());
}

#[test]
fn an_archived_campaign_is_not_active() {
    let archive = CampaignCommand::Archive { at: at() };
    framework().given(vec![defined()]).when(archive).then_expect_events(vec![archived()]);
    assert!(!fold(Campaign::default(), [defined(), archived()]).is_active());
}

#[test]
fn every_command_in_a_state_that_does_not_allow_it_names_both() {
    let (new, active, gone) = (vec![], vec![defined()], vec![defined(), archived()]);
    let archive = CampaignCommand::Archive { at: at() };
    let cells = [
        (active.clone(), define(draft()), "defined already"),
        (gone.clone(), define(draft()), "defined already"),
        (new.clone(), revise(draft()), "not defined"),
        (gone.clone(), revise(draft()), "archived"),
        (new, archive.clone(), "not defined"),
        (gone, archive, "archived"),
    ];
    for (history, command, state) in cells {
        let refusal = CampaignError::NotAllowed { command: command.name(), state };
        framework().given(history).when(command).then_expect_error(refusal);
    }
}

#[test]
fn a_revision_is_checked_like_a_definition() {
    framework()
        .given(vec![defined()])
        .when(revise(Draft { max_targets: 0, ..draft() }))
        .then_expect_error(CampaignError::InvalidMaxTargets { given: 0 });
}

#[test]
fn names_have_one_to_eighty_characters_and_no_line_breaks() {
    let named = |name: String| checked(Draft { name, ..draft() });
    for (name, length) in [(String::new(), 0), ("  ".to_owned(), 0), ("ü".repeat(81), 81), ("a\nb".to_owned(), 3)] {
        assert_eq!(named(name), Err(CampaignError::InvalidName { length }));
    }
    assert_eq!(named("ü".repeat(80)).unwrap().name, "ü".repeat(80));
}

#[test]
fn a_run_has_one_to_two_hundred_targets() {
    for given in [0, 201, u32::MAX] {
        let refusal = checked(Draft { max_targets: given, ..draft() });
        assert_eq!(refusal, Err(CampaignError::InvalidMaxTargets { given }));
    }
    for given in [1, 200] {
        assert_eq!(checked(Draft { max_targets: given, ..draft() }).unwrap().max_targets, given);
    }
}

#[test]
fn hashtags_of_every_script_are_taken() {
    for (given, stored) in [
        ("#Alps", "alps"),
        ("  ÄLPLER_2 ", "älpler_2"),
        ("हिन्दी", "हिन्दी"),
        ("می\u{200C}خواهم", "می\u{200C}خواهم"),
        ("東京", "東京"),
        ("❤️", "❤️"),
    ] {
        let source = Source::Hashtag { name: stored.to_owned(), tab: HashtagTab::Top };
        assert_eq!(source_of(tagged(given)), Ok(source), "{given:?}");
    }
}

#[test]
fn hashtags_without_length_or_with_spaces_and_signs_are_refused_with_the_problem() {
    for (given, problem) in [
        ("", "is empty".to_owned()),
        ("#", "is empty".to_owned()),
        ("two words", "has ' '".to_owned()),
        ("##alps", "has '#'".to_owned()),
        ("a-b", "has '-'".to_owned()),
        ("a/../b", "has '/'".to_owned()),
        ("a\u{202E}b", "has '\\u{202e}'".to_owned()),
        ("a\u{00A0}b", "has '\\u{a0}'".to_owned()),
        ("a\u{85}b", "has '\\u{85}'".to_owned()),
        ("“alps”", "has '“'".to_owned()),
    ] {
        assert_eq!(source_of(tagged(given)), Err(CampaignError::InvalidHashtag { problem }), "{given:?}");
    }
    let problem = "has 101 characters".to_owned();
    assert_eq!(source_of(tagged(&"a".repeat(101))), Err(CampaignError::InvalidHashtag { problem }));
    assert!(source_of(tagged(&"a".repeat(100))).is_ok());
}

#[test]
fn a_location_is_a_number_of_the_platform() {
    for (given, location_pk) in [("212988663", 212_988_663), (" 1 ", 1), ("9223372036854775807", i64::MAX as u64)] {
        assert_eq!(source_of(placed(given)), Ok(Source::Location { location_pk, tab: HashtagTab::Recent }));
    }
    for given in ["", "0", "-1", "+1", "1.0", "1e3", "Zermatt", "9223372036854775808", "１２"] {
        let refusal = CampaignError::InvalidLocation { given: given.to_owned() };
        assert_eq!(source_of(placed(given)), Err(refusal), "{given:?}");
    }
    let long = source_of(placed(&"x".repeat(10_000)));
    assert_eq!(long, Err(CampaignError::InvalidLocation { given: "x".repeat(40) }));
}

#[test]
fn modules_name_their_action() {
    let names: Vec<_> = Module::ALL.iter().map(|module| module.action().as_str()).collect();
    assert_eq!(names, ["LIKE", "FOLLOW", "UNFOLLOW", "STORY", "STORY", "COMMENT", "DM"]);
}

proptest! {
    #[test]
    fn any_text_is_taken_in_a_form_that_is_taken_again_or_refused(given in "\\PC{0,120}") {
        for draft in [tagged(&given), placed(&given), Draft { name: given.clone(), ..draft() }] {
            let Ok(definition) = checked(draft) else { continue };
            let again = match &definition.source {
                Source::Hashtag { name, tab } => DraftSource::Hashtag { name: name.clone(), tab: *tab },
                Source::Location { location_pk, tab } => {
                    DraftSource::Location { location_pk: location_pk.to_string(), tab: *tab }
                }
                other => panic!("{other:?}"),
            };
            let Definition { name, module, max_targets, .. } = definition.clone();
            prop_assert_eq!(checked(Draft::new(name, module, again, max_targets)), Ok(definition));
        }
    }

    #[test]
    fn replaying_the_events_gives_the_state_in_memory(steps in prop::collection::vec((0_u8..3, 1_u32..300), 0..20)) {
        let (mut state, mut all) = (Campaign::default(), Vec::new());
        for (which, max_targets) in steps {
            let draft = Draft { max_targets, ..draft() };
            let command = match which {
                0 => define(draft),
                1 => revise(draft),
                _ => CampaignCommand::Archive { at: at() },
            };
            for event in state.decide(command).unwrap_or_default() {
                state.apply(event.clone());
                all.push(event);
            }
            let restored: Campaign = serde_json::from_value(serde_json::to_value(&state).unwrap()).unwrap();
            prop_assert_eq!(&restored, &state);
        }
        prop_assert_eq!(fold(Campaign::default(), all), state);
    }
}
