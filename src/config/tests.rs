//! Settings: which layer wins, what is refused, what never shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::check::default_data_dir;
use super::*;
use crate::failure::Failure;

type Texts = BTreeMap<String, String>;

fn texts(pairs: &[(&str, &str)]) -> Texts {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn load(flags: &Texts, variables: &Texts, file: Option<&Path>) -> Result<Config, ConfigError> {
    let layers = Layers::gather(flags, variables, file)?;
    Config::check(&layers, variables)
}

fn file_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("reprise.toml");
    fs::write(&path, text).expect("the file is written");
    (folder, path)
}

#[test]
fn flag_wins_over_variable_and_variable_over_file() {
    let (_folder, path) = file_with("listen = \"127.0.0.1:1\"\nlog = \"warn\"\ndata_dir = \"/a\"");
    let variables = texts(&[("REPRISE_LISTEN", "127.0.0.1:2"), ("REPRISE_LOG", "debug")]);
    let flags = texts(&[("listen", "127.0.0.1:3")]);

    let config = load(&flags, &variables, Some(&path)).expect("valid settings");

    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.log, "debug");
    assert_eq!(config.data_dir, PathBuf::from("/a"));
}

#[test]
fn misspelt_key_of_the_file_names_the_right_one() {
    let (_folder, path) = file_with("lisen = \"127.0.0.1:1\"");
    let error = load(&Texts::new(), &Texts::new(), Some(&path)).expect_err("an unknown key");
    assert_eq!(error.code(), "CONFIG_UNKNOWN_KEY");
    assert!(Failure::from(error).hint.is_some_and(|hint| hint.contains("listen")));
}

#[test]
fn misspelt_variable_names_the_right_one() {
    let variables = texts(&[("REPRISE_DATADIR", "/a")]);
    let error = load(&Texts::new(), &variables, None).expect_err("an unknown variable");
    assert!(Failure::from(error).hint.is_some_and(|hint| hint.contains("REPRISE_DATA_DIR")));
}

#[test]
fn variables_of_tests_are_no_settings() {
    let variables = texts(&[
        ("REPRISE_TEST_DATABASE_URL", "x"),
        ("REPRISE_RECORD", "1"),
        ("REPRISE_SEED", "17"),
        ("REPRISE_DATA_DIR", "/a"),
    ]);
    assert!(load(&Texts::new(), &variables, None).is_ok());
}

#[test]
fn variable_of_one_command_is_no_trouble_for_the_others() {
    let variables = texts(&[(DEMO_PASSWORD_VARIABLE, "x"), ("REPRISE_DATA_DIR", "/a")]);
    assert!(load(&Texts::new(), &variables, None).is_ok());
}

#[test]
fn secret_is_read_from_a_file_and_never_shown() {
    let (_folder, path) = file_with("postgres://person:hush@localhost/reprise\n");
    let variables =
        texts(&[("REPRISE_DATABASE_URL_FILE", path.to_str().expect("a text path")), ("REPRISE_DATA_DIR", "/a")]);
    let layers = Layers::gather(&Texts::new(), &variables, None).expect("valid settings");
    let config = Config::check(&layers, &variables).expect("valid settings");

    let url = config.database_url.as_ref().expect("a database");
    assert_eq!(url.reveal(), "postgres://person:hush@localhost/reprise");
    assert!(!format!("{config:?}").contains("hush"));
    assert!(!format!("{:?}", describe(&layers)).contains("hush"));
}

#[test]
fn malformed_value_names_its_key_and_its_source() {
    let variables = texts(&[("REPRISE_LISTEN", "somewhere"), ("REPRISE_DATA_DIR", "/a")]);
    let error = load(&Texts::new(), &variables, None).expect_err("not an address");
    assert_eq!(error.code(), "CONFIG_INVALID_VALUE");
    assert!(error.to_string().contains("listen") && error.to_string().contains("REPRISE_LISTEN"));
}

#[test]
fn malformed_database_url_is_not_quoted() {
    let variables = texts(&[("DATABASE_URL", "mysql://person:hush@h/d"), ("REPRISE_DATA_DIR", "/a")]);
    let error = load(&Texts::new(), &variables, None).expect_err("not PostgreSQL");
    assert!(!Failure::from(error).to_string().contains("hush"));
}

#[test]
fn malformed_file_does_not_show_its_lines() {
    let (_folder, path) = file_with("database_url = \"postgres://person:hush@h/d");
    let error = load(&Texts::new(), &Texts::new(), Some(&path)).expect_err("an open quote");
    assert_eq!(error.code(), "CONFIG_FILE_MALFORMED");
    assert!(!error.to_string().contains("hush"));
}

#[test]
fn data_folder_follows_the_user() {
    let variables = texts(&[("HOME", "/home/ada")]);
    let of = |root, variables: &Texts| default_data_dir(root, variables).ok();
    assert_eq!(of(true, &variables), Some(PathBuf::from("/var/lib/reprise")));
    assert_eq!(of(false, &variables), Some(PathBuf::from("/home/ada/.local/share/reprise")));
    let variables = texts(&[("HOME", "/home/ada"), ("XDG_DATA_HOME", "/srv/ada")]);
    assert_eq!(of(false, &variables), Some(PathBuf::from("/srv/ada/reprise")));
    assert_eq!(of(false, &Texts::new()), None);
}

#[test]
fn every_setting_is_described_once() {
    let layers = Layers::gather(&Texts::new(), &Texts::new(), None).expect("defaults");
    let described: Vec<_> = describe(&layers).into_iter().map(|row| row.key).collect();
    let keys: std::collections::BTreeSet<_> = described.iter().collect();
    assert_eq!(keys.len(), SETTINGS.len());
}

#[test]
fn fast_clock_is_refused_with_a_gateway() {
    let variables = texts(&[
        ("REPRISE_GATEWAY_URL", "http://127.0.0.1:8000"),
        ("REPRISE_CLOCK_SPEED", "60"),
        ("REPRISE_DATA_DIR", "/a"),
    ]);
    let error = load(&Texts::new(), &variables, None).expect_err("not with a gateway");
    assert_eq!(error.code(), "CONFIG_CLOCK_WITH_GATEWAY");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (variable, value) in [
        ("REPRISE_CLOCK_SPEED", "0.5"),
        ("REPRISE_CLOCK_SPEED", "NaN"),
        ("REPRISE_DATABASE_CONNECTIONS", "1"),
        ("REPRISE_WORKER_CONCURRENCY", "0"),
    ] {
        let variables = texts(&[(variable, value), ("REPRISE_DATA_DIR", "/a")]);
        let error = load(&Texts::new(), &variables, None).expect_err(variable);
        assert_eq!(error.code(), "CONFIG_INVALID_VALUE", "{variable}={value}");
    }
}

#[test]
fn origins_are_hosts_without_paths() {
    let of = |origins: &str| {
        let variables = texts(&[("REPRISE_PUBLIC_ORIGINS", origins), ("REPRISE_DATA_DIR", "/a")]);
        load(&Texts::new(), &variables, None).map(|config| config.public_origins).ok()
    };
    let two = ["https://a.example".to_owned(), "http://localhost:8080".to_owned()];
    assert_eq!(of("https://a.example, http://localhost:8080"), Some(two.to_vec()));
    assert_eq!(of("https://a.example/path"), None);
    assert_eq!(of("a.example"), None);
    assert_eq!(of("https://me@a.example"), None);
}
