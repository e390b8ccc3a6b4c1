//! Stored secrets come back to whom they belong, survive a change of keys, and are gone when they are erased.

use std::time::Duration;

use domain::ids::{SecretId, UserId, derive};
use store::testing::TestDatabase;
use store::vault::{Keyring, Purpose, Vault, VaultError};

const OLD: &str = "old:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW: &str = "new:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";

fn vault(database: &TestDatabase, keys: &str) -> Vault {
    Vault::new(database.pool().clone(), Keyring::parse(keys).expect("the keys are good"))
}

fn user(name: &str) -> UserId {
    UserId::from_uuid(derive(&["user", name]))
}

fn secret(name: &str) -> SecretId {
    SecretId::from_uuid(derive(&["secret", name]))
}

async fn put(vault: &Vault, name: &str, plain: &str) {
    vault.put(secret(name), user("a"), Purpose::Password, plain.as_bytes()).await.expect("it is stored");
}

async fn get(vault: &Vault, name: &str) -> Option<String> {
    let found = vault.get(secret(name), user("a"), Purpose::Password).await.expect("it opens");
    found.map(|plain| String::from_utf8(plain.to_vec()).expect("it is text"))
}

#[tokio::test]
async fn stored_secret_comes_back_and_is_not_stored_in_the_clear() {
    let database = TestDatabase::create().await;
    let vault = vault(&database, OLD);
    let key_id = vault.put(secret("one"), user("a"), Purpose::Password, b"hunter2").await.expect("it is stored");
    assert_eq!(key_id, "old");
    assert_eq!(get(&vault, "one").await.as_deref(), Some("hunter2"));
    let in_the_clear: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM account_secrets WHERE position('hunter2'::bytea IN sealed) > 0 OR sealed IS NULL",
    )
    .fetch_one(database.pool())
    .await
    .expect("it reads");
    assert_eq!(in_the_clear, 0);
}

#[tokio::test]
async fn secret_of_another_user_or_purpose_is_not_found() {
    let database = TestDatabase::create().await;
    let vault = vault(&database, OLD);
    put(&vault, "one", "hunter2").await;
    assert!(vault.get(secret("one"), user("b"), Purpose::Password).await.expect("no fault").is_none());
    assert!(vault.get(secret("one"), user("a"), Purpose::Session).await.expect("no fault").is_none());
    assert!(vault.get(secret("two"), user("a"), Purpose::Password).await.expect("no fault").is_none());
}

#[tokio::test]
async fn secret_that_somebody_moved_to_another_row_or_user_does_not_open() {
    let database = TestDatabase::create().await;
    let vault = vault(&database, OLD);
    put(&vault, "one", "hunter2").await;
    put(&vault, "two", "swordfish").await;
    sqlx::query(
        "UPDATE account_secrets
            SET sealed = (SELECT sealed FROM account_secrets WHERE secret_id = $1)
          WHERE secret_id = $2",
    )
    .bind(secret("one").uuid())
    .bind(secret("two").uuid())
    .execute(database.pool())
    .await
    .expect("the statement is good");
    let moved = vault.get(secret("two"), user("a"), Purpose::Password).await;
    assert!(matches!(moved, Err(VaultError::Broken)));
    sqlx::query("UPDATE account_secrets SET user_id = $1")
        .bind(user("b").uuid())
        .execute(database.pool())
        .await
        .expect("the statement is good");
    let stolen = vault.get(secret("one"), user("b"), Purpose::Password).await;
    assert!(matches!(stolen, Err(VaultError::Broken)));
}

#[tokio::test]
async fn repeated_put_is_fine_and_another_secret_under_the_same_id_is_refused() {
    let database = TestDatabase::create().await;
    let vault = vault(&database, OLD);
    put(&vault, "one", "hunter2").await;
    put(&vault, "one", "hunter2").await;
    for (user, purpose, plain) in [
        (user("a"), Purpose::Password, "other"),
        (user("b"), Purpose::Password, "hunter2"),
        (user("a"), Purpose::Session, "hunter2"),
    ] {
        let refused = vault.put(secret("one"), user, purpose, plain.as_bytes()).await.expect_err("it is refused");
        assert_eq!(refused.code(), "VAULT_OCCUPIED");
    }
    assert_eq!(get(&vault, "one").await.as_deref(), Some("hunter2"));
}

#[tokio::test]
async fn erased_secret_is_gone_for_good_and_its_id_with_it() {
    let database = TestDatabase::create().await;
    let vault = vault(&database, OLD);
    put(&vault, "one", "hunter2").await;
    put(&vault, "two", "swordfish").await;
    let both = [secret("one"), secret("two")];
    assert_eq!(vault.erase(user("b"), &both).await.expect("it works"), 0, "not another user's");
    assert_eq!(vault.erase(user("a"), &both[..1]).await.expect("it works"), 1);
    assert_eq!(vault.erase(user("a"), &both[..1]).await.expect("it works"), 0);
    assert_eq!(get(&vault, "one").await, None);
    assert_eq!(get(&vault, "two").await.as_deref(), Some("swordfish"));
    let again = vault.put(secret("one"), user("a"), Purpose::Password, b"hunter2").await;
    assert_eq!(again.expect_err("the id is used up").code(), "VAULT_OCCUPIED");
}

#[tokio::test]
async fn erasing_the_others_keeps_the_named_and_the_young() {
    let database = TestDatabase::create().await;
    let vault = vault(&database, OLD);
    for name in ["kept", "old", "young"] {
        put(&vault, name, name).await;
    }
    sqlx::query("UPDATE account_secrets SET created_at = created_at - interval '1 hour' WHERE secret_id <> $1")
        .bind(secret("young").uuid())
        .execute(database.pool())
        .await
        .expect("the statement is good");
    let kept = [secret("kept")];
    let spared = Duration::from_secs(600);
    assert_eq!(vault.erase_others(user("a"), &kept, spared).await.expect("it works"), 1);
    assert_eq!(get(&vault, "old").await, None);
    assert_eq!(get(&vault, "kept").await.as_deref(), Some("kept"));
    assert_eq!(get(&vault, "young").await.as_deref(), Some("young"));
    assert_eq!(vault.erase_others(user("a"), &kept, Duration::ZERO).await.expect("it works"), 1);
    assert_eq!(get(&vault, "young").await, None);
}

#[tokio::test]
async fn rotation_seals_everything_with_the_new_key_and_the_old_one_can_go() {
    let database = TestDatabase::create().await;
    let before = vault(&database, OLD);
    for name in ["one", "two", "three"] {
        put(&before, name, name).await;
    }
    before.erase(user("a"), &[secret("three")]).await.expect("it works");
    let during = vault(&database, &format!("{NEW},{OLD}"));
    assert_eq!(get(&during, "one").await.as_deref(), Some("one"));
    assert_eq!(during.rotate(1).await.expect("it works"), 1);
    assert_eq!(during.rotate(10).await.expect("it works"), 1);
    assert_eq!(during.rotate(10).await.expect("it works"), 0);
    let after = vault(&database, NEW);
    assert_eq!(get(&after, "one").await.as_deref(), Some("one"));
    assert_eq!(get(&after, "two").await.as_deref(), Some("two"));
    let gone = before.get(secret("one"), user("a"), Purpose::Password).await;
    assert_eq!(gone.expect_err("the new key is not here").code(), "VAULT_KEY_MISSING");
}
