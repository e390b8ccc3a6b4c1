//! What a command that could not do its work tells: a stable code, what happened, what to do, an exit status.
//!
//! Every error that reaches the command line becomes one of these, and no error is told in any other form.

mod from;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Exit statuses of `sysexits.h`, so that scripts and service managers can tell failures apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The work was done and its answer is no (`verify` found a difference, `demo` does not agree).
    Disagreement = 1,
    /// The command line is wrong.
    Usage = 64,
    /// Input that was given is wrong.
    Data = 65,
    /// Something that is needed is not there: a program, a server, an address.
    Unavailable = 69,
    /// A fault of Reprise itself.
    Software = 70,
    /// A file or folder cannot be made.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// It may work later: something else is in the way now.
    TryLater = 75,
    /// The user who runs it may not.
    NoPermission = 77,
    /// The settings are wrong.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command's failure, ready to be shown.
#[derive(Debug)]
pub struct Failure {
    pub code: &'static str,
    pub exit: Exit,
    pub message: String,
    /// What the person can do about it.
    pub hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub fn new(code: &'static str, exit: Exit, message: impl Into<String>) -> Self {
        Self { code, exit, message: message.into(), hint: None, source: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause, which is shown after the message.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the causes of an error whose own words are the message already.
    #[must_use]
    fn caused_by_sources_of(self, error: impl Error) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !self.message.contains(&text) && !words.last().is_some_and(|last| last.contains(&text)) {
                words.push(text);
            }
            next = cause.source();
        }
        if words.is_empty() { self } else { self.caused_by(words.join(": ")) }
    }

    /// The causes, outermost first; one that the words before it hold already is left out.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let words = cause.to_string();
            if !causes.last().is_some_and(|last| last.contains(&words)) {
                causes.push(words);
            }
            next = cause.source();
        }
        causes
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| -> &(dyn Error + 'static) { source })
    }
}
