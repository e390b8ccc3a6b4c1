//! The repository's own files, for the rules that they must keep.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates, lowest first, and the root package (`""`).
pub const CRATES: [&str; 6] = ["domain", "store", "projections", "workers", "api", ""];

/// A file of Rust.
pub struct SourceFile {
    /// From the repository's top, with `/`.
    pub path: String,
    pub text: String,
}

impl SourceFile {
    /// A file that holds nothing but tests.
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.starts_with("tests/") || self.path.ends_with("/tests.rs")
    }

    /// The part before the tests.
    pub fn code(&self) -> &str {
        if self.is_test() {
            return "";
        }
        let end = ["\n#[cfg(test)]\nmod tests {", "\n#[cfg(test)]\nmod test {"]
            .iter()
            .filter_map(|start| self.text.find(start))
            .min();
        &self.text[..end.unwrap_or(self.text.len())]
    }

    /// The part that is tests.
    pub fn tests(&self) -> &str {
        &self.text[self.code().len()..]
    }
}

pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The manifest of a crate.
pub fn manifest(name: &str) -> toml::Table {
    let path = top().join(name).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of Rust of a crate: its `src`, `tests` and `benches`.
pub fn files_of(name: &str) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        collect(&top().join(name).join(folder), &mut files);
    }
    files
}

/// Every file of Rust.
pub fn files() -> Vec<SourceFile> {
    CRATES.iter().flat_map(|name| files_of(name)).collect()
}

fn collect(folder: &Path, files: &mut Vec<SourceFile>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a readable file");
            let path = path.strip_prefix(top()).expect("it is below the top").to_string_lossy().replace('\\', "/");
            files.push(SourceFile { path, text });
        }
    }
}
