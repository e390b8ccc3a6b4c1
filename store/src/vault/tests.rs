//! Sealed values open in their place and nowhere else.

use proptest::prelude::*;

use super::*;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER_KEY: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";

fn keyring() -> Keyring {
    Keyring::parse(&format!("one:{KEY},two:{OTHER_KEY}")).expect("the keys are good")
}

fn user(number: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128(number))
}

fn place() -> SecretContext<'static> {
    SecretContext { table: "account_secrets", row: Uuid::from_u128(1), user: user(2), purpose: "PASSWORD" }
}

fn is_broken(result: Result<Zeroizing<Vec<u8>>, VaultError>) -> bool {
    matches!(result, Err(VaultError::Broken))
}

fn contexts() -> impl Strategy<Value = (String, u128, u128, String)> {
    ("[a-z_]{0,12}", any::<u128>(), any::<u128>(), "[A-Z_]{0,12}")
}

fn as_context((table, row, owner, purpose): &(String, u128, u128, String)) -> SecretContext<'_> {
    SecretContext { table, row: Uuid::from_u128(*row), user: user(*owner), purpose }
}

proptest! {
    #[test]
    fn what_was_sealed_opens_in_its_place(plain in prop::collection::vec(any::<u8>(), 0..400), place in contexts()) {
        let keyring = keyring();
        let sealed = seal(&keyring, &as_context(&place), &plain).expect("it seals");
        let opened = open(&keyring, &as_context(&place), &sealed).expect("it opens");
        prop_assert_eq!(opened.as_slice(), plain.as_slice());
        prop_assert_eq!(sealed.bytes.len(), plain.len() + 1 + NONCE_BYTES + 16);
    }

    #[test]
    fn any_changed_byte_breaks_it(
        plain in prop::collection::vec(any::<u8>(), 0..64),
        index in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let keyring = keyring();
        let mut sealed = seal(&keyring, &place(), &plain).expect("it seals");
        let index = index.index(sealed.bytes.len());
        sealed.bytes[index] ^= change;
        prop_assert!(is_broken(open(&keyring, &place(), &sealed)));
    }

    #[test]
    fn any_part_of_it_is_broken(plain in prop::collection::vec(any::<u8>(), 0..64), kept in any::<prop::sample::Index>()) {
        let keyring = keyring();
        let mut sealed = seal(&keyring, &place(), &plain).expect("it seals");
        sealed.bytes.truncate(kept.index(sealed.bytes.len()));
        prop_assert!(is_broken(open(&keyring, &place(), &sealed)));
    }

    #[test]
    fn it_does_not_open_in_any_other_place(one in contexts(), other in contexts()) {
        prop_assume!(one != other);
        let keyring = keyring();
        let sealed = seal(&keyring, &as_context(&one), b"secret").expect("it seals");
        prop_assert!(is_broken(open(&keyring, &as_context(&other), &sealed)));
    }

    #[test]
    fn moving_a_letter_between_the_parts_of_a_place_makes_it_another(word in "[a-z]{2,9}", cut in any::<prop::sample::Index>()) {
        let cut = cut.index(word.len() - 1) + 1;
        let keyring = keyring();
        let whole = SecretContext { table: &word, purpose: "", ..place() };
        let split = SecretContext { table: &word[..cut], purpose: &word[cut..], ..place() };
        prop_assume!(whole != split);
        let sealed = seal(&keyring, &whole, b"secret").expect("it seals");
        prop_assert!(is_broken(open(&keyring, &split, &sealed)));
    }
}

#[test]
fn each_part_of_the_place_counts() {
    let keyring = keyring();
    let sealed = seal(&keyring, &place(), b"secret").expect("it seals");
    let others = [
        SecretContext { table: "idempotency_keys", ..place() },
        SecretContext { row: Uuid::from_u128(9), ..place() },
        SecretContext { user: user(9), ..place() },
        SecretContext { purpose: "SESSION", ..place() },
    ];
    for other in others {
        assert!(is_broken(open(&keyring, &other, &sealed)), "{other:?}");
    }
    let renamed = SealedBytes { key_id: "two".to_owned(), ..sealed.clone() };
    assert!(is_broken(open(&keyring, &place(), &renamed)));
    assert_eq!(open(&keyring, &place(), &sealed).expect("it opens").as_slice(), b"secret");
}

#[test]
fn same_value_sealed_twice_looks_different() {
    let keyring = keyring();
    let seal = || seal(&keyring, &place(), b"secret").expect("it seals").bytes;
    assert_ne!(seal(), seal());
}

#[test]
fn value_of_a_key_that_is_gone_names_the_key() {
    let old = Keyring::parse(&format!("two:{OTHER_KEY}")).expect("the key is good");
    let sealed = seal(&old, &place(), b"secret").expect("it seals");
    let without = Keyring::parse(&format!("one:{KEY}")).expect("the key is good");
    let error = open(&without, &place(), &sealed).expect_err("its key is gone");
    assert_eq!((error.code(), error.to_string().contains("`two`")), ("VAULT_KEY_MISSING", true));
    assert_eq!(open(&keyring(), &place(), &sealed).expect("it opens").as_slice(), b"secret");
}

#[test]
fn key_that_got_a_name_later_opens_what_it_sealed_before() {
    let unnamed = Keyring::parse(KEY).expect("the key is good");
    let sealed = seal(&unnamed, &place(), b"secret").expect("it seals");
    assert_ne!(sealed.key_id, "one");
    assert_eq!(open(&keyring(), &place(), &sealed).expect("it opens").as_slice(), b"secret");
}

#[test]
fn value_sealed_by_the_first_version_opens() {
    let sealed = SealedBytes { key_id: "one".to_owned(), bytes: hex::decode(GOLDEN).expect("it is hexadecimal") };
    assert_eq!(open(&keyring(), &place(), &sealed).expect("it opens").as_slice(), b"kept for years");
}

/// Made by a second implementation of AES-256-GCM, with a nonce of twelve bytes of 0x42.
const GOLDEN: &str = "0142424242424242424242424271f909b2ade3ca9e380b4b520fefeb756fdf6b64bb73ba6e48789679c712";

#[test]
fn debug_forms_and_errors_show_nothing_of_a_secret() {
    let keyring = keyring();
    let sealed = seal(&keyring, &place(), b"hunter2").expect("it seals");
    let shown = format!("{sealed:?} {keyring:?} {:?} {}", VaultError::Broken, VaultError::Broken);
    assert!(!shown.contains(&hex::encode(&sealed.bytes[..8])) && !shown.contains("hunter2"), "{shown}");
    assert!(shown.starts_with(r#"SealedBytes { key_id: "one", .. }"#), "{shown}");
}
