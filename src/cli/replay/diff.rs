//! What changed between two states, as paths with the value before and after.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// One change. In lists only what came and what went is told, whatever its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `login.attempt`; of a list, the list.
    pub path: String,
    /// `None`: it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The changes from `before` to `after`, in the order of the fields.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<Change>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(before), Value::Object(after)) => objects(path, before, after, found),
        (Value::Array(before), Value::Array(after)) => lists(path, before, after, found),
        _ => found.push(Change { path: path.to_owned(), before: Some(before.clone()), after: Some(after.clone()) }),
    }
}

fn objects(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, found: &mut Vec<Change>) {
    let below = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    for (field, was) in before {
        match after.get(field) {
            Some(is) => compare(&below(field), was, is, found),
            None => found.push(Change { path: below(field), before: Some(was.clone()), after: None }),
        }
    }
    for (field, is) in after.iter().filter(|(field, _)| !before.contains_key(*field)) {
        found.push(Change { path: below(field), before: None, after: Some(is.clone()) });
    }
}

fn lists(path: &str, before: &[Value], after: &[Value], found: &mut Vec<Change>) {
    let mut surplus: HashMap<String, usize> = HashMap::new();
    for is in after {
        *surplus.entry(is.to_string()).or_default() += 1;
    }
    for was in before {
        match surplus.get_mut(&was.to_string()).filter(|count| **count > 0) {
            Some(count) => *count -= 1,
            None => found.push(Change { path: path.to_owned(), before: Some(was.clone()), after: None }),
        }
    }
    // Of equal ones the last are those that came.
    let came = after.iter().rev().filter(|is| {
        let count = surplus.get_mut(&is.to_string()).filter(|count| **count > 0);
        count.map(|count| *count -= 1).is_some()
    });
    let came: Vec<_> = came.cloned().collect();
    for new in came.into_iter().rev() {
        found.push(Change { path: path.to_owned(), before: None, after: Some(new) });
    }
}

/// A change as a line.
pub fn line(change: &Change) -> String {
    let Change { path, before, after } = change;
    match (before, after) {
        (Some(before), Some(after)) => format!("{path}: {before} → {after}"),
        (Some(before), None) => format!("{path}: - {before}"),
        (None, Some(after)) => format!("{path}: + {after}"),
        (None, None) => path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(before: Value, after: Value) -> Vec<String> {
        changes(&before, &after).iter().map(line).collect()
    }

    #[test]
    fn fields_are_told_with_their_path() {
        let before = json!({"state": "LOGGED_IN", "login": {"attempt": 1, "gone": true}});
        let after = json!({"state": "RUNNING", "login": {"attempt": 2, "new": null}});
        let told = ["login.attempt: 1 → 2", "login.gone: - true", "login.new: + null"];
        let mut found = lines(before, after);
        assert_eq!(found.pop().as_deref(), Some("state: \"LOGGED_IN\" → \"RUNNING\""));
        assert_eq!(found, told);
    }

    #[test]
    fn of_a_list_only_what_came_and_went_is_told() {
        assert_eq!(lines(json!({"a": [1, 2, 3]}), json!({"a": [2, 3, 4]})), ["a: - 1", "a: + 4"]);
        assert_eq!(lines(json!({"a": [1, 2]}), json!({"a": [1, 2, 3]})), ["a: + 3"]);
        assert_eq!(lines(json!({"a": [1, 2, 3]}), json!({"a": [2, 3]})), ["a: - 1"]);
    }

    #[test]
    fn same_states_have_no_changes() {
        assert!(changes(&json!({"a": [1, {"b": 2}]}), &json!({"a": [1, {"b": 2}]})).is_empty());
    }
}
