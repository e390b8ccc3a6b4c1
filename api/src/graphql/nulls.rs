//! What becomes of a field that failed, as the specification has it: it is null, and where it may not be, the next field
//! above that may be is. The library leaves such fields out instead, which typed clients cannot read.

use std::collections::HashMap;
use std::sync::OnceLock;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, OperationType, Selection, SelectionSet, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::parser::{parse_query, parse_schema};
use async_graphql::{PathSegment, ServerError};
use serde_json::Value;

/// The types of the schema's fields, by type and field.
struct Shapes(HashMap<String, HashMap<String, Type>>);

/// Where an error is, and whether the value there may be null.
struct Step<'a> {
    segment: &'a PathSegment,
    nullable: bool,
}

/// Puts null where `errors` say that `data` misses something. `query` is what was executed.
pub fn complete(data: &mut Value, errors: &[ServerError], query: &str, operation_name: Option<&str>) {
    if errors.iter().all(|error| error.path.is_empty()) {
        return;
    }
    let Ok(document) = parse_query(query) else { return };
    for error in errors {
        let steps = steps(&document, operation_name, &error.path);
        let nullable = steps.iter().rposition(|step| step.nullable);
        match nullable {
            // A path that does not fit the schema is nobody's; there the data stays as it is.
            _ if steps.len() < error.path.len() => {}
            Some(last) => put_null(data, &steps[..=last]),
            None => *data = Value::Null,
        }
    }
}

fn put_null(data: &mut Value, steps: &[Step<'_>]) {
    let mut place = data;
    for step in steps {
        let next = match (step.segment, place) {
            (PathSegment::Field(name), Value::Object(fields)) => fields.entry(name.as_str()).or_insert(Value::Null),
            (PathSegment::Index(index), Value::Array(items)) => match items.get_mut(*index) {
                Some(item) => item,
                None => return,
            },
            // Something above it is null already.
            _ => return,
        };
        place = next;
    }
    *place = Value::Null;
}

fn steps<'a>(document: &ExecutableDocument, name: Option<&str>, path: &'a [PathSegment]) -> Vec<Step<'a>> {
    let mut steps = Vec::with_capacity(path.len());
    let operation = document.operations.iter().find(|(given, _)| match (name, given) {
        (Some(name), Some(given)) => given.as_str() == name,
        (None, _) => true,
        (Some(_), None) => false,
    });
    let Some((_, operation)) = operation else { return steps };
    let root = match operation.node.ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    };
    let mut sets: Vec<(&str, &SelectionSet)> = vec![(root, &operation.node.selection_set.node)];
    let mut current: Option<&Type> = None;
    for segment in path {
        let found = match segment {
            PathSegment::Field(key) => {
                let (kind, below) = field(document, &sets, key);
                sets = below;
                kind
            }
            PathSegment::Index(_) => current.and_then(|list| match &list.base {
                BaseType::List(item) => Some(&**item),
                BaseType::Named(_) => None,
            }),
        };
        let Some(kind) = found else { return steps };
        steps.push(Step { segment, nullable: kind.nullable });
        current = Some(kind);
    }
    steps
}

/// The type of the field that is answered under `key`, and what is selected of it.
fn field<'a>(
    document: &'a ExecutableDocument,
    sets: &[(&'a str, &'a SelectionSet)],
    key: &str,
) -> (Option<&'static Type>, Vec<(&'a str, &'a SelectionSet)>) {
    let mut kind = None;
    let mut below = Vec::new();
    let mut waiting = sets.to_vec();
    while let Some((parent, set)) = waiting.pop() {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) if field.node.response_key().node.as_str() == key => {
                    let Some(found) = shapes().field(parent, field.node.name.node.as_str()) else { continue };
                    kind = Some(found);
                    below.push((named(found), &field.node.selection_set.node));
                }
                Selection::Field(_) => {}
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref().map_or(parent, |on| on.node.on.node.as_str());
                    waiting.push((on, &inline.node.selection_set.node));
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        waiting.push((on, &fragment.node.selection_set.node));
                    }
                }
            }
        }
    }
    (kind, below)
}

fn named(kind: &Type) -> &str {
    match &kind.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(item) => named(item),
    }
}

impl Shapes {
    fn field(&self, parent: &str, name: &str) -> Option<&Type> {
        self.0.get(parent)?.get(name)
    }
}

fn shapes() -> &'static Shapes {
    static SHAPES: OnceLock<Shapes> = OnceLock::new();
    SHAPES.get_or_init(|| {
        // What the library writes, it reads; a test compares.
        let definitions = parse_schema(super::schema_sdl()).map(|schema| schema.definitions).unwrap_or_default();
        let types = definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some(definition.node),
            _ => None,
        });
        let fields_of = |kind| match kind {
            TypeKind::Object(object) => object.fields,
            TypeKind::Interface(interface) => interface.fields,
            _ => Vec::new(),
        };
        let shapes = types.map(|definition| {
            let fields = fields_of(definition.kind)
                .into_iter()
                .map(|Positioned { node, .. }| (node.name.node.to_string(), node.ty.node));
            (definition.name.node.to_string(), fields.collect())
        });
        Shapes(shapes.collect())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn completed(query: &str, mut data: Value, path: &[&str]) -> Value {
        let path = path.iter().map(|part| match part.parse() {
            Ok(index) => PathSegment::Index(index),
            Err(_) => PathSegment::Field((*part).to_owned()),
        });
        let error = ServerError::new("no", None).with_path(path.collect());
        complete(&mut data, &[error], query, None);
        data
    }

    #[test]
    fn field_that_may_be_null_is() {
        let data = completed(
            "{ viewer { bot { state reason } } }",
            json!({ "viewer": { "bot": { "state": "ERROR" } } }),
            &["viewer", "bot", "reason"],
        );
        assert_eq!(data, json!({ "viewer": { "bot": { "state": "ERROR", "reason": null } } }));
    }

    #[test]
    fn field_that_may_not_be_null_takes_the_next_above_that_may() {
        let query = "{ a: node(id: 1) { ...F } engine { now } } fragment F on Bot { sums: totals { kind } }";
        let data = completed(query, json!({ "a": null, "engine": { "now": "x" } }), &["a", "sums"]);
        assert_eq!(data, json!({ "a": null, "engine": { "now": "x" } }));
        let query = "{ viewer { bot { counters { kind } } user { id } } }";
        let data = completed(
            query,
            json!({ "viewer": { "bot": null, "user": { "id": "x" } } }),
            &["viewer", "bot", "counters"],
        );
        assert_eq!(data, Value::Null);
    }

    #[test]
    fn items_of_lists_are_found() {
        let query = "{ nodes(ids: [1, 2]) { id ... on Campaign { runs { nodes { id } } } } }";
        let data = json!({ "nodes": [{ "id": "x" }, { "id": "y" }] });
        let data = completed(query, data, &["nodes", "1", "runs", "nodes"]);
        assert_eq!(data, json!({ "nodes": [{ "id": "x" }, null] }));
    }
}
