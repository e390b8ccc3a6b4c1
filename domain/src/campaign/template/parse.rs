//! From a text to its parts: one pass, with the character at which it fails.

use super::{DEEPEST, LONGEST_TEMPLATE, Node, TemplateError, Variable};

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, TemplateError> {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() > LONGEST_TEMPLATE {
        return Err(TemplateError::TooLong { length: letters.len() });
    }
    if let Some(at) = letters.iter().position(|letter| letter.is_control() && *letter != '\n') {
        return Err(TemplateError::BadLetter { position: at + 1 });
    }
    let mut reader = Reader { letters, at: 0 };
    let nodes = reader.sequence(0)?;
    match reader.peek() {
        None => Ok(nodes),
        Some(_) => Err(TemplateError::Unopened { position: reader.at + 1 }),
    }
}

struct Reader {
    letters: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    /// Up to the end, a closing brace or, inside of braces, a bar: none of them is taken.
    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, TemplateError> {
        let mut nodes = Vec::new();
        let mut text = String::new();
        while let Some(letter) = self.peek() {
            match letter {
                '}' => break,
                '|' if depth > 0 => break,
                '{' => {
                    if !text.is_empty() {
                        nodes.push(Node::Text(std::mem::take(&mut text)));
                    }
                    nodes.push(self.braces(depth + 1)?);
                }
                _ => text.push(self.letter()?),
            }
        }
        if !text.is_empty() {
            nodes.push(Node::Text(text));
        }
        Ok(nodes)
    }

    /// One letter, which a backslash may stand before.
    fn letter(&mut self) -> Result<char, TemplateError> {
        let position = self.at + 1;
        let letter = self.peek().unwrap_or_default();
        self.at += 1;
        if letter != '\\' {
            return Ok(letter);
        }
        match self.peek() {
            Some(escaped @ ('{' | '}' | '|' | '\\')) => {
                self.at += 1;
                Ok(escaped)
            }
            _ => Err(TemplateError::BadEscape { position }),
        }
    }

    fn braces(&mut self, depth: usize) -> Result<Node, TemplateError> {
        let position = self.at + 1;
        if depth > DEEPEST {
            return Err(TemplateError::TooDeep { position });
        }
        self.at += 1;
        if let Some(end) = self.end_of_variable() {
            return self.variable(position, end);
        }
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.sequence(depth)?);
            match self.peek() {
                Some('|') => self.at += 1,
                Some(_) => {
                    self.at += 1;
                    return Ok(Node::Choice(alternatives));
                }
                None => return Err(TemplateError::Unclosed { position }),
            }
        }
    }

    /// Where the braces close, if neither a bar nor another brace comes before.
    fn end_of_variable(&self) -> Option<usize> {
        let mut escaped = false;
        for (offset, letter) in self.letters[self.at..].iter().enumerate() {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '}' => return Some(self.at + offset),
                '{' | '|' => return None,
                _ => {}
            }
        }
        None
    }

    fn variable(&mut self, position: usize, end: usize) -> Result<Node, TemplateError> {
        let mut name = String::new();
        while self.at < end && self.peek() != Some('?') {
            name.push(self.letter()?);
        }
        let otherwise = if self.at < end {
            self.at += 1;
            let mut otherwise = String::new();
            while self.at < end {
                otherwise.push(self.letter()?);
            }
            Some(otherwise)
        } else {
            None
        };
        self.at = end + 1;
        let name = name.trim();
        if name.is_empty() {
            return Err(TemplateError::EmptyBraces { position });
        }
        match Variable::ALL.iter().copied().find(|variable| variable.as_str() == name) {
            Some(variable) => Ok(Node::Variable { variable, otherwise }),
            None => Err(TemplateError::UnknownVariable { position, name: name.chars().take(60).collect() }),
        }
    }
}
