//! What is understood, what is refused and where, and that renderings are what the text says.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Template {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn refused(text: &str) -> TemplateError {
    text.parse::<Template>().expect_err(text)
}

fn ann() -> Facts {
    Facts {
        number: "7".to_owned(),
        username: Some("ann.b".to_owned()),
        full_name: Some("🌲 Ann-Marie Berg".to_owned()),
        followers: Some(12),
        posts: Some(3),
        ..Facts::default()
    }
}

fn nameless() -> Facts {
    Facts {
        number: "8".to_owned(),
        username: Some("x".to_owned()),
        full_name: Some("✨ 22".to_owned()),
        ..Facts::default()
    }
}

fn all(text: &str, facts: &Facts) -> BTreeSet<String> {
    let template = read(text);
    (0..500).filter_map(|roll| template.render(facts, roll).ok()).collect()
}

fn only(text: &str, facts: &Facts) -> String {
    let all = all(text, facts);
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

#[test]
fn variables_say_what_is_known_of_the_person() {
    let text = "{username}/{full_name}/{first_name}/{followers}/{ posts }";
    assert_eq!(only(text, &ann()), "ann.b/🌲 Ann-Marie Berg/Ann-Marie/12/3");
    assert_eq!(only("hi {first_name?there}!", &nameless()), "hi there!");
    assert_eq!(only("hi {first_name?there}!", &ann()), "hi Ann-Marie!");
    assert_eq!(only("hi {first_name}!", &nameless()), "hi !");
}

#[test]
fn what_people_call_themselves_stays_in_its_line() {
    let facts = Facts { full_name: Some("A\nB {username} {x|y}\u{7}".to_owned()), ..ann() };
    assert_eq!(only("{full_name}", &facts), "A B {username} {x|y}");
}

#[test]
fn alternatives_are_chosen_by_the_roll_and_may_stand_in_others() {
    let texts = all("{hi|hello {there|you}} {username}", &ann());
    let expected = ["hi ann.b", "hello there ann.b", "hello you ann.b"];
    assert_eq!(texts, expected.map(str::to_owned).into());
    assert_eq!(all("a{|b}", &ann()), ["a", "ab"].map(str::to_owned).into());
    assert_eq!(read("{hi|hello {there|you}} {username}").variants(), 3);
}

#[test]
fn the_same_roll_gives_the_same_text_in_every_version() {
    let template = read("{a|b|c}{d|e|f}{g|h|i} {username}");
    let texts: Vec<_> = (0..4).map(|roll| template.render(&ann(), roll).unwrap()).collect();
    assert_eq!(texts, (0..4).map(|roll| template.render(&ann(), roll).unwrap()).collect::<Vec<_>>());
    assert_eq!(texts.join(","), "bdh ann.b,ceg ann.b,bfg ann.b,adg ann.b");
}

#[test]
fn a_backslash_makes_letters_of_signs() {
    assert_eq!(only(r"a \{b\|c\} \\ d | e", &ann()), r"a {b|c} \ d | e");
    assert_eq!(all(r"{x\|y|z\}}", &ann()), ["x|y", "z}"].map(str::to_owned).into());
    assert_eq!(only(r"{full_name?\}}", &Facts::default()), "}");
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    for (text, error) in [
        ("hi {username", TemplateError::Unclosed { position: 4 }),
        ("hi {a|b", TemplateError::Unclosed { position: 4 }),
        ("hi {a|{b}", TemplateError::UnknownVariable { position: 7, name: "b".to_owned() }),
        ("ü}", TemplateError::Unopened { position: 2 }),
        ("{a|b}}", TemplateError::Unopened { position: 6 }),
        ("hi {}", TemplateError::EmptyBraces { position: 4 }),
        ("hi { }", TemplateError::EmptyBraces { position: 4 }),
        ("hi {?x}", TemplateError::EmptyBraces { position: 4 }),
        ("hi {firstname}", TemplateError::UnknownVariable { position: 4, name: "firstname".to_owned() }),
        ("a\0b", TemplateError::BadLetter { position: 2 }),
        (r"a\n", TemplateError::BadEscape { position: 2 }),
        (r"a\", TemplateError::BadEscape { position: 2 }),
    ] {
        let refusal = refused(text);
        assert_eq!(refusal, error, "{text:?}");
        assert!(refusal.position().is_some());
    }
    assert_eq!(refused(&"a".repeat(2_001)), TemplateError::TooLong { length: 2_001 });
    assert_eq!(refused(&"{a|".repeat(9)), TemplateError::TooDeep { position: 25 });
}

#[test]
fn an_unknown_variable_is_told_the_known_ones() {
    let said = refused("{name}").to_string();
    for variable in Variable::ALL {
        assert!(said.contains(&format!("{{{variable}}}")), "{said}");
    }
}

#[test]
fn a_text_that_can_come_out_empty_is_refused() {
    for text in ["", "  \n", "{|hi}", "{a| }", "{ {|}|b}"] {
        assert_eq!(read(text).check(1), Err(TemplateError::Empty), "{text:?}");
    }
    for text in ["{username}", "a{|b}", "{a|b}"] {
        assert_eq!(read(text).check(1), Ok(()), "{text:?}");
    }
    assert_eq!(read("{first_name}").render(&nameless(), 0), Err(RenderError::Empty));
    let long = "a".repeat(1_001);
    assert_eq!(read(&long).render(&ann(), 0), Err(RenderError::TooLong));
}

#[test]
fn a_text_for_many_has_the_name_or_enough_variants() {
    assert_eq!(read("hi").check(5), Ok(()));
    assert_eq!(read("hi").check(6), Err(TemplateError::TooUniform { targets: 6, variants: 1, needed: 2 }));
    assert_eq!(read("{hi|hello}").check(10), Ok(()));
    assert_eq!(read("{hi|hi|hi}").check(6).unwrap_err().code(), "TEMPLATE_TOO_UNIFORM");
    assert_eq!(read("{hi|hello}").check(11).unwrap_err().code(), "TEMPLATE_TOO_UNIFORM");
    assert_eq!(read("hi {username}").check(200), Ok(()));
    assert_eq!(read("{hi {username}|hello {full_name}}").check(200), Ok(()));
    assert_eq!(read("{hi {username}|hello}").check(200).unwrap_err().code(), "TEMPLATE_TOO_UNIFORM");
    assert_eq!(read("you have {followers} followers").check(200).unwrap_err().code(), "TEMPLATE_TOO_UNIFORM");
}

#[test]
fn numbers_of_variants_do_not_overflow() {
    assert_eq!(read(&"{a|b|c|d|e|f|g|h}".repeat(100)).variants(), u64::MAX);
}

#[test]
fn only_counts_need_the_page_of_the_person() {
    assert!(!read("{username} {full_name} {a|{first_name}}").needs_profile());
    assert!(read("{a|b {posts}}").needs_profile());
}

#[test]
fn a_preview_shows_several_people_and_what_is_wrong_for_one() {
    let people = sample_people();
    let shown = read("{hi|hello} {first_name}").preview(&people, 8);
    assert_eq!(shown.len(), 8);
    assert!(shown.iter().map(|rendering| &rendering.text).collect::<Vec<_>>().len() > 3);
    let empty = read("{first_name}").preview(&people, 4);
    assert_eq!(empty.iter().filter(|rendering| rendering.text == Err(RenderError::Empty)).count(), 1);
    assert!(read("hi").preview(&[], 3).is_empty());
}

proptest! {
    #[test]
    fn any_text_is_understood_or_refused_inside_its_bounds(text in "[a{}|\\\\? _nameusr]{0,60}", roll: u64) {
        match text.parse::<Template>() {
            Ok(template) => {
                let _ = template.render(&ann(), roll);
                prop_assert!(template.variants() >= 1);
            }
            Err(error) => {
                let length = text.chars().count();
                prop_assert!(error.position().is_none_or(|position| (1..=length).contains(&position)), "{:?}", error);
            }
        }
    }

    #[test]
    fn plain_words_come_out_as_they_are(text in "[a-zA-Z0-9 .,!é東🌲]{1,80}") {
        prop_assume!(!text.trim().is_empty());
        prop_assert_eq!(read(&text).render(&ann(), 1).unwrap(), text.trim());
    }
}
