//! From the parts of a text and the facts of a person to what is sent.

use super::{Facts, LONGEST_TEXT, Node, RenderError, Template, Variable};
use crate::splitmix::SplitMix64;

/// What a text becomes for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendering {
    /// For whom.
    pub username: String,
    pub text: Result<String, RenderError>,
}

/// Renders for a person. The same facts and roll give the same text.
pub(super) fn render(nodes: &[Node], facts: &Facts, roll: u64) -> Result<String, RenderError> {
    let mut text = String::new();
    write(nodes, facts, &mut SplitMix64::new(roll), &mut text);
    let text = text.trim();
    match text.chars().count() {
        0 => Err(RenderError::Empty),
        length if length > LONGEST_TEXT => Err(RenderError::TooLong),
        _ => Ok(text.to_owned()),
    }
}

/// Renders for people in turn, each time with another roll.
pub(super) fn preview(template: &Template, people: &[Facts], count: usize) -> Vec<Rendering> {
    let rendering = |(roll, facts): (u64, &Facts)| Rendering {
        username: facts.username.clone().unwrap_or_default(),
        text: template.render(facts, roll),
    };
    (0_u64..).zip(people.iter().cycle()).take(if people.is_empty() { 0 } else { count }).map(rendering).collect()
}

/// People who do not exist, for previews: one of them has no name but the account's.
#[must_use]
pub fn sample_people() -> Vec<Facts> {
    [
        ("mia.keller", "Mia Keller", 1_240, 87),
        ("jonas_b", "Jonas", 310, 12),
        ("ada.l", "Ada de la Cruz", 58_000, 940),
        ("nord22", "", 96, 3),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (username, full_name, followers, posts))| Facts {
        number: (number + 1).to_string(),
        username: Some(username.to_owned()),
        full_name: Some(full_name.to_owned()),
        followers: Some(followers),
        posts: Some(posts),
        is_whole: true,
        ..Facts::default()
    })
    .collect()
}

fn write(nodes: &[Node], facts: &Facts, rolls: &mut SplitMix64, text: &mut String) {
    for node in nodes {
        match node {
            Node::Text(own) => text.push_str(own),
            Node::Variable { variable, otherwise } => {
                let value = value(*variable, facts);
                let otherwise = otherwise.as_deref().unwrap_or_default();
                text.push_str(if value.is_empty() { otherwise } else { &value });
            }
            Node::Choice(alternatives) => {
                if let Some(chosen) = rolls.pick(alternatives) {
                    write(chosen, facts, rolls, text);
                }
            }
        }
    }
}

fn value(variable: Variable, facts: &Facts) -> String {
    let plain = |text: &Option<String>| text.as_deref().map(one_line).unwrap_or_default();
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    match variable {
        Variable::Username => plain(&facts.username),
        Variable::FullName => plain(&facts.full_name),
        Variable::FirstName => first_name(&plain(&facts.full_name)),
        Variable::Followers => number(facts.followers),
        Variable::Posts => number(facts.posts),
    }
}

/// What a person calls itself must not break out of its line.
fn one_line(text: &str) -> String {
    let visible: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first word that has letters, without the signs around it.
fn first_name(full_name: &str) -> String {
    let is_sign = |letter: char| !letter.is_alphanumeric();
    full_name
        .split_whitespace()
        .map(|word| word.trim_matches(is_sign))
        .find(|word| word.chars().any(char::is_alphabetic))
        .unwrap_or_default()
        .to_owned()
}
