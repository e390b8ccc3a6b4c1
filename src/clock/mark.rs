//! How far engine time may have come, kept in a file: no restart, not even after a crash, goes back behind it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    engine_time: DateTime<Utc>,
}

/// The file.
#[derive(Debug)]
pub struct MarkFile(PathBuf);

impl MarkFile {
    pub fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The mark, or nothing when there never was one.
    pub fn read(&self) -> io::Result<Option<DateTime<Utc>>> {
        match fs::read(&self.0) {
            Ok(bytes) => {
                let stored: Stored = serde_json::from_slice(&bytes)?;
                Ok(Some(stored.engine_time))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the mark: after a crash there is the old one or the new one.
    pub fn write(&self, engine_time: DateTime<Utc>) -> io::Result<()> {
        let fresh = self.0.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(&Stored { engine_time })?)?;
        file.sync_data()?;
        fs::rename(&fresh, &self.0)
    }
}
