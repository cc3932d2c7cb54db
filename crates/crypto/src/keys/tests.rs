use super::*;

#[test]
fn a_key_file_round_trips_and_is_never_overwritten() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("key.pem");
    let key = Ed25519Signer::generate();
    key.write_file(&path, None).expect("written");
    assert_eq!(Ed25519Signer::read_file(&path, None).expect("read").public_key(), key.public_key());
    assert!(matches!(key.write_file(&path, None), Err(KeyError::Exists(_))));
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("key.pem");
    Ed25519Signer::generate().write_file(&path, None).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
    assert!(matches!(Ed25519Signer::read_file(&path, None), Err(KeyError::Permissions(_, 0o640))));
}

#[test]
fn an_encrypted_key_file_needs_its_passphrase() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("key.pem");
    let key = Ed25519Signer::generate();
    key.write_file(&path, Some("correct horse")).expect("written");
    let text = std::fs::read_to_string(&path).expect("read");
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{text}");
    let words = directory.path().join("passphrase");
    std::fs::write(&words, "correct horse\n").expect("written");
    assert!(matches!(read_passphrase(&words), Err(KeyError::Permissions(..))), "others can read it");
    std::fs::set_permissions(&words, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    assert_eq!(*read_passphrase(&words).expect("private now"), "correct horse");
    let read = |passphrase| Ed25519Signer::read_file(&path, passphrase);
    assert_eq!(read(Some("correct horse")).expect("opened").public_key(), key.public_key());
    assert!(matches!(read(Some("battery staple")), Err(KeyError::WrongPassphrase(_))));
    assert!(matches!(read(None), Err(KeyError::Encrypted(_))));
}

/// Both kinds of file are PKCS#8 that OpenSSL reads; skipped with a note where openssl is missing.
#[test]
fn openssl_reads_the_key_files() {
    let directory = tempfile::tempdir().expect("tempdir");
    for (name, passphrase) in [("plain.pem", None), ("encrypted.pem", Some("secret"))] {
        let path = directory.path().join(name);
        Ed25519Signer::generate().write_file(&path, passphrase).expect("written");
        let mut openssl = std::process::Command::new("openssl");
        openssl.args(["pkey", "-noout", "-passin", "pass:secret", "-in"]).arg(&path);
        match openssl.status() {
            Ok(status) => assert!(status.success(), "openssl refuses {name}"),
            Err(error) => eprintln!("openssl is not here ({error}): not checked"),
        }
    }
}

#[test]
fn public_keys_round_trip_as_text_and_typos_are_caught() {
    let key = Ed25519Signer::from_seed(&[7; 32]).public_key();
    let text = public_key_to_text(&key);
    assert!(text.starts_with("qpk1"), "{text}");
    assert_eq!(public_key_from_text(&text).expect("read"), key);
    let flipped = text.replace(&text[10..11], if &text[10..11] == "q" { "p" } else { "q" });
    assert!(public_key_from_text(&flipped).is_err());
}

#[test]
fn g5_weak_and_non_canonical_keys_are_refused() {
    assert!(check_public_key(&Ed25519Signer::from_seed(&[7; 32]).public_key()).is_ok());
    let mut identity = [0; 32];
    identity[0] = 1;
    assert!(check_public_key(&PublicKey(identity)).is_err(), "the identity has small order");
    // y = 1 + p: the identity again, not canonical.
    let mut non_canonical = [0xff; 32];
    non_canonical[0] = 0xee;
    non_canonical[31] = 0x7f;
    assert!(check_public_key(&PublicKey(non_canonical)).is_err());
}

/// Fifty-two symbols of five bits hold four bits more than a key: they are zero, so that a key has one text.
#[test]
fn a_public_key_has_one_text() {
    use bech32::primitives::iter::Fe32IterExt;
    let text = |last: u8| -> String {
        let symbols =
            [7; 51].into_iter().chain([last]).map(|symbol| bech32::Fe32::try_from(symbol).expect("5 bits"));
        symbols.with_checksum::<Bech32m>(&HRP).chars().collect()
    };
    assert!(public_key_from_text(&text(16)).is_ok());
    assert!(public_key_from_text(&text(16).to_ascii_uppercase()).is_ok(), "capitals are the same text");
    for last in [17, 24, 31] {
        assert!(matches!(public_key_from_text(&text(last)), Err(KeyError::NotAPublicKey(_))), "{last}");
    }
}
