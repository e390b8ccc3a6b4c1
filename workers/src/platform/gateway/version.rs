//! Which gateways we know. An unknown one is refused before anything else is asked of it.

use serde::Deserialize;

use crate::platform::Build;

const NAME: &str = "aiograpi-rest";

#[derive(Deserialize)]
struct BuildAnswer {
    name: Option<String>,
    version: Option<String>,
}

/// The build, when it is one that keeps the contract: 4 from 4.9 on, 5 and 6.
pub(super) fn known(body: &[u8]) -> Option<Build> {
    let answer: BuildAnswer = serde_json::from_slice(body).ok()?;
    if answer.name.as_deref() != Some(NAME) {
        return None;
    }
    let version = answer.version?;
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    matches!((major, minor), (4, 9..) | (5 | 6, _)).then_some(Build { version, major, minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_known(name: &str, version: &str) -> bool {
        let body = serde_json::json!({ "name": name, "version": version, "git_sha": null });
        known(body.to_string().as_bytes()).is_some()
    }

    #[test]
    fn only_versions_that_keep_the_contract_are_known() {
        for version in ["4.9.0", "4.11.2", "5.0.0", "6.0.0", "6.3.1"] {
            assert!(is_known(NAME, version), "{version}");
        }
        for version in ["2.1.0", "4.8.9", "7.0.0", "60.0.0", "0+unknown", "", "6"] {
            assert!(!is_known(NAME, version), "{version}");
        }
        assert!(!is_known("instagrapi-rest", "6.0.0"));
        assert!(known(b"not json").is_none());
    }
}
