//! The sandbox's own book of every write that reached the platform. It is kept apart from the
//! engine, so that a test can hold the two against each other. It never forgets: with a file, each
//! line is written before the reply, and a restart rebuilds the world from it.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{SandboxError, world::Effect};

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LedgerOutcome {
    /// The world is another than before.
    Effective,
    /// It was so already.
    NoOp,
    /// The platform said no.
    Refused,
}

/// One write as the platform saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    pub sequence: u64,
    /// By the sandbox's clock.
    pub at: DateTime<Utc>,
    /// The pk of the account that wrote.
    pub account: String,
    /// `LIKE`, `FOLLOW`, `DIRECT_MESSAGE` and so on.
    pub kind: String,
    /// The pk of the person, media, comment or story; of several people, joined by commas.
    pub target: String,
    /// SHA-256 of the text, in hex.
    pub text_hash: Option<String>,
    pub outcome: LedgerOutcome,
    /// The name of the refusal.
    pub reason: Option<String>,
    /// The account had done exactly this before, and it still held.
    pub duplicate: bool,
    /// The sandbox delivered it a second time itself, as a fault told it to.
    pub injected: bool,
}

/// Sums over some entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerTotals {
    pub entries: u64,
    pub effective: u64,
    pub no_op: u64,
    pub refused: u64,
    /// Second deliveries that no fault explains: each is a broken promise of the engine's.
    pub duplicates: u64,
    pub injected: u64,
    /// Effective writes by kind.
    pub by_kind: BTreeMap<String, u64>,
}

impl LedgerTotals {
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = &'a LedgerEntry>) -> Self {
        let mut totals = Self::default();
        for entry in entries {
            totals.entries += 1;
            totals.duplicates += u64::from(entry.duplicate && !entry.injected);
            totals.injected += u64::from(entry.injected);
            match entry.outcome {
                LedgerOutcome::Effective => {
                    totals.effective += 1;
                    *totals.by_kind.entry(entry.kind.clone()).or_default() += 1;
                }
                LedgerOutcome::NoOp => totals.no_op += 1,
                LedgerOutcome::Refused => totals.refused += 1,
            }
        }
        totals
    }
}

/// A line of the file. The effect keeps the text, for without it no thread could be rebuilt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Record {
    World { seed: u64, epoch: DateTime<Utc> },
    Write { entry: LedgerEntry, effect: Effect },
    Login { account: u64, number: u64 },
    SessionEnded { hash: String },
}

/// The book and its file.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: Vec<LedgerEntry>,
    done: HashSet<(String, String, String, Option<String>)>,
    file: Option<File>,
}

impl Ledger {
    pub(super) fn in_memory() -> Self {
        Self { entries: Vec::new(), done: HashSet::new(), file: None }
    }

    /// Opens the file, or makes it, and gives what it holds. A last line that a crash has cut off
    /// is dropped; its write was never answered.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Record>), SandboxError> {
        let failed = |source| SandboxError::Ledger { path: PathBuf::from(path), source };
        let mut file = options().open(path).map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            tracing::warn!(ledger.cut_bytes = text.len() - whole, "dropping a line that was cut off");
            file.set_len(whole as u64).map_err(failed)?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut records = Vec::new();
        for (index, line) in text[..whole].lines().enumerate() {
            let record = serde_json::from_str(line).map_err(|source| SandboxError::LedgerLine {
                path: PathBuf::from(path),
                line: index + 1,
                source,
            })?;
            records.push(record);
        }
        Ok((Self { entries: Vec::new(), done: HashSet::new(), file: Some(file) }, records))
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.entries.last().map_or(1, |entry| entry.sequence + 1)
    }

    pub(super) fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }

    /// Whether the account has done the same before and it would be done a second time now.
    pub(super) fn is_repeated(&self, account: u64, effect: &Effect) -> bool {
        self.done.contains(&key(&account.to_string(), effect.kind(), &effect.target(), effect.text().map(hash)))
    }

    /// Enters a write, on disk first.
    pub(super) fn enter(&mut self, entry: LedgerEntry, effect: Effect) {
        self.write(&Record::Write { entry: entry.clone(), effect });
        self.restore(entry);
    }

    /// Enters what the file already holds.
    pub(super) fn restore(&mut self, entry: LedgerEntry) {
        if entry.outcome == LedgerOutcome::Effective {
            self.done.insert(key(&entry.account, &entry.kind, &entry.target, entry.text_hash.clone()));
        }
        self.entries.push(entry);
    }

    /// Writes a line, if there is a file. A failure is logged; the book in memory stays right.
    pub(super) fn write(&mut self, record: &Record) {
        let Some(file) = &mut self.file else { return };
        let line = serde_json::to_string(record).map(|mut line| {
            line.push('\n');
            line
        });
        let begun_at = file.stream_position();
        let written = line.map_err(std::io::Error::from).and_then(|line| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            tracing::error!(%error, "the sandbox cannot write its ledger");
            // Half a line in the middle would make the file useless.
            if let Ok(begun_at) = begun_at {
                let _ = file.set_len(begun_at).and_then(|()| file.seek(SeekFrom::Start(begun_at)));
            }
        }
    }

    /// Forgets everything, in the file too.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.done.clear();
        if let Some(file) = &mut self.file {
            let emptied = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
            if let Err(error) = emptied {
                tracing::error!(%error, "the sandbox cannot empty its ledger");
            }
        }
    }
}

fn key(account: &str, kind: &str, target: &str, hash: Option<String>) -> (String, String, String, Option<String>) {
    (account.to_owned(), kind.to_owned(), target.to_owned(), hash)
}

pub(super) fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
