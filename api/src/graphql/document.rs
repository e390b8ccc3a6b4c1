//! Documents before they are validated: how long, deep and wide they may be.
//!
//! The parser and the validation walk whatever they are given, fragments inside fragments included, so what could keep
//! them busy or overflow the stack is refused here first.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    ExecutableDocument, Field, FragmentDefinition, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::parser::{Error as ParseError, parse_query};
use async_graphql::{Name, Pos, Positioned};

use crate::code::Code;

const MOST_TOKENS: usize = 3_000;
const DEEPEST_BRACKETS: usize = 60;
const DEEPEST_FIELDS: usize = 20;
const MOST_ALIASES: usize = 60;
const MOST_ROOT_FIELDS: usize = 20;
/// Selections after every fragment is put in its places.
const MOST_SELECTIONS: usize = 5_000;

/// A document that is not executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub code: Code,
    pub message: String,
    pub position: Option<Pos>,
}

impl Refused {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), position: None }
    }
}

/// A document that may be validated, and the operation of it that is asked for.
#[derive(Debug)]
pub struct Document {
    pub parsed: ExecutableDocument,
    pub kind: OperationType,
    /// Names of the fields at the top, fragments put in.
    pub root_fields: Vec<String>,
}

/// Reads a document and finds the operation in it.
pub fn read(query: &str, operation_name: Option<&str>) -> Result<Document, Refused> {
    check_length(query)?;
    let parsed = parse_query(query).map_err(|error| syntax(&error))?;
    let operation = operation_of(&parsed, operation_name)?;
    let kind = operation.ty;
    let selections = &operation.selection_set.node;
    let mut sizes = Sizes { fragments: &parsed.fragments, known: HashMap::new(), open: HashSet::new() };
    let size = sizes.of(selections)?;
    for fragment in parsed.fragments.keys() {
        sizes.of_fragment(fragment)?;
    }
    if size.depth > DEEPEST_FIELDS {
        return Err(Refused::new(Code::QueryTooDeep, format!("fields are nested deeper than {DEEPEST_FIELDS}")));
    }
    if size.selections > MOST_SELECTIONS {
        return Err(Refused::new(Code::QueryTooWide, format!("there are more than {MOST_SELECTIONS} selections")));
    }
    let aliases: usize =
        parsed.operations.iter().map(|(_, operation)| aliases(&operation.node.selection_set.node)).sum();
    let in_fragments: usize = parsed.fragments.values().map(|fragment| aliases_of(&fragment.node)).sum();
    if aliases + in_fragments > MOST_ALIASES {
        return Err(Refused::new(Code::QueryTooWide, format!("there are more than {MOST_ALIASES} aliases")));
    }
    let mut root_fields = Vec::new();
    roots(selections, &parsed.fragments, &mut root_fields);
    if root_fields.len() > MOST_ROOT_FIELDS {
        let message = format!("there are more than {MOST_ROOT_FIELDS} fields at the top");
        return Err(Refused::new(Code::QueryTooWide, message));
    }
    Ok(Document { parsed, kind, root_fields })
}

fn syntax(error: &ParseError) -> Refused {
    let position = error.positions().next();
    Refused { position, ..Refused::new(Code::GraphqlSyntaxError, error.to_string()) }
}

fn operation_of<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Result<&'a OperationDefinition, Refused> {
    let mut operations = document.operations.iter();
    let found = match name {
        Some(name) => operations.find(|(given, _)| given.is_some_and(|given| given.as_str() == name)),
        None => operations.next().filter(|_| operations.next().is_none()),
    };
    found.map(|(_, operation)| &operation.node).ok_or_else(|| {
        let message = match name {
            Some(_) => "the document has no operation of that name",
            None => "the document has several operations: name the one to execute in operationName",
        };
        Refused::new(Code::GraphqlValidationFailed, message)
    })
}

#[derive(Clone, Copy, Default)]
struct Size {
    selections: usize,
    depth: usize,
}

/// Sizes with every fragment put in; each fragment is measured once.
struct Sizes<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    known: HashMap<&'a str, Size>,
    open: HashSet<&'a str>,
}

impl<'a> Sizes<'a> {
    fn of(&mut self, set: &'a SelectionSet) -> Result<Size, Refused> {
        let mut total = Size::default();
        for item in &set.items {
            let (own, below, deeper) = match &item.node {
                Selection::Field(field) => (1, self.of(&field.node.selection_set.node)?, 1),
                Selection::InlineFragment(inline) => (1, self.of(&inline.node.selection_set.node)?, 0),
                Selection::FragmentSpread(spread) => (1, self.of_fragment(&spread.node.fragment_name.node)?, 0),
            };
            total.selections = total.selections.saturating_add(own).saturating_add(below.selections);
            total.depth = total.depth.max(below.depth + deeper);
        }
        Ok(total)
    }

    fn of_fragment(&mut self, name: &Name) -> Result<Size, Refused> {
        // Validation says what is wrong with a fragment that is not there.
        let Some((name, fragment)) = self.fragments.get_key_value(name) else { return Ok(Size::default()) };
        if let Some(size) = self.known.get(name.as_str()) {
            return Ok(*size);
        }
        if !self.open.insert(name.as_str()) {
            return Err(Refused::new(Code::GraphqlValidationFailed, "a fragment is inside itself"));
        }
        let size = self.of(&fragment.node.selection_set.node)?;
        self.known.insert(name.as_str(), size);
        Ok(size)
    }
}

fn aliases_of(fragment: &FragmentDefinition) -> usize {
    aliases(&fragment.selection_set.node)
}

fn aliases(set: &SelectionSet) -> usize {
    let of = |field: &Field| usize::from(field.alias.is_some()) + aliases(&field.selection_set.node);
    let items = set.items.iter().map(|item| match &item.node {
        Selection::Field(field) => of(&field.node),
        Selection::InlineFragment(inline) => aliases(&inline.node.selection_set.node),
        Selection::FragmentSpread(_) => 0,
    });
    items.sum()
}

fn roots(set: &SelectionSet, fragments: &HashMap<Name, Positioned<FragmentDefinition>>, found: &mut Vec<String>) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => found.push(field.node.name.node.to_string()),
            Selection::InlineFragment(inline) => roots(&inline.node.selection_set.node, fragments, found),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = fragments.get(&spread.node.fragment_name.node) {
                    roots(&fragment.node.selection_set.node, fragments, found);
                }
            }
        }
    }
}

/// Counts tokens and brackets without parsing: what is refused here never reaches the parser.
fn check_length(query: &str) -> Result<(), Refused> {
    let bytes = query.as_bytes();
    let (mut at, mut tokens, mut depth) = (0, 0_usize, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        let length = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += bytes[at..].iter().take_while(|byte| !matches!(**byte, b'\n' | b'\r')).count();
                continue;
            }
            b'"' => string_length(&bytes[at..]),
            b'{' | b'[' | b'(' => {
                depth += 1;
                1
            }
            b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                1
            }
            _ => bytes[at..].iter().take_while(|byte| is_word(**byte)).count().max(1),
        };
        at += length;
        tokens += 1;
        if tokens > MOST_TOKENS {
            return Err(Refused::new(Code::QueryTooLong, format!("the document has more than {MOST_TOKENS} tokens")));
        }
        if depth > DEEPEST_BRACKETS {
            let message = format!("brackets are nested deeper than {DEEPEST_BRACKETS}");
            return Err(Refused::new(Code::QueryTooDeep, message));
        }
    }
    Ok(())
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-') || byte >= 0x80
}

/// Bytes of the string that `rest` begins with; all of them when it does not end.
fn string_length(rest: &[u8]) -> usize {
    let (quotes, block): (&[u8], bool) = if rest.starts_with(b"\"\"\"") { (b"\"\"\"", true) } else { (b"\"", false) };
    let mut at = quotes.len();
    while at < rest.len() {
        let tail = &rest[at..];
        if tail.starts_with(quotes) {
            return at + quotes.len();
        }
        let escaped = if block { tail.starts_with(b"\\\"\"\"") } else { tail[0] == b'\\' };
        at += match (escaped, block) {
            (true, true) => 4,
            (true, false) => 2,
            (false, _) => 1,
        };
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn code(query: &str) -> Option<Code> {
        read(query, None).err().map(|refused| refused.code)
    }

    #[test]
    fn usual_documents_pass() {
        let document =
            read("query A { viewer { ...F } } query B { __typename } fragment F on Viewer { user { id } }", Some("A"));
        let document = document.unwrap();
        assert_eq!((document.kind, document.root_fields), (OperationType::Query, vec!["viewer".to_owned()]));
        let text = r#"mutation { a(text: "}}{{ \" # no comment", block: """ " \""" }""") { id } } # { {"#;
        assert_eq!(read(text, None).unwrap().kind, OperationType::Mutation);
    }

    #[test]
    fn an_operation_must_be_clear() {
        assert_eq!(code("query A { a } query B { b }"), Some(Code::GraphqlValidationFailed));
        let refused = read("query A { a }", Some("B")).unwrap_err();
        assert_eq!(refused.code, Code::GraphqlValidationFailed);
    }

    #[test]
    fn syntax_errors_have_a_position() {
        let refused = read("{ viewer { ", None).unwrap_err();
        assert_eq!(refused.code, Code::GraphqlSyntaxError);
        assert!(refused.position.is_some());
    }

    #[test]
    fn long_and_deep_documents_are_refused_before_parsing() {
        assert_eq!(code(&format!("{{ {} }}", "a ".repeat(4_000))), Some(Code::QueryTooLong));
        assert_eq!(code(&"{a".repeat(2_000)), Some(Code::QueryTooDeep));
        assert_eq!(code(&format!("{{ a(b: {}1) }}", "[".repeat(2_000))), Some(Code::QueryTooDeep));
        let nested = format!("{}b{}", "{ a ".repeat(25), "}".repeat(25));
        assert_eq!(code(&nested), Some(Code::QueryTooDeep));
    }

    #[test]
    fn wide_documents_are_refused() {
        let roots = (0..21).fold(String::new(), |text, _| text + "viewer { id } ");
        assert_eq!(code(&format!("{{ {roots} }}")), Some(Code::QueryTooWide));
        let mut aliases = String::new();
        for number in 0..61 {
            write!(aliases, "a{number}: id ").unwrap();
        }
        assert_eq!(code(&format!("{{ viewer {{ {aliases} }} }}")), Some(Code::QueryTooWide));
    }

    #[test]
    fn fragments_cannot_hide_size() {
        let mut query = "{ a { ...F0 } } ".to_owned();
        for number in 0..30 {
            write!(query, "fragment F{number} on A {{ ...F{next} ...F{next} }} ", next = number + 1).unwrap();
        }
        query.push_str("fragment F30 on A { id }");
        assert_eq!(code(&query), Some(Code::QueryTooWide));
        assert_eq!(
            code("{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }"),
            Some(Code::GraphqlValidationFailed)
        );
    }
}
