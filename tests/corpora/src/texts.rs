//! Texts that people and programs write: public keys, private keys and the genesis.

use bech32::primitives::iter::Fe32IterExt;
use bech32::{Bech32m, Fe32, Hrp};
use quorate_codec::Caps;
use quorate_crypto::{Ed25519Signer, Signer, check_public_key, public_key_from_text, public_key_to_text};
use quorate_ledger::{Machine, built_in_applications};
use quorate_proof::{TrustRoot, genesis_file};

/// Keys: the text of a public key, the symbols of one (whose checksum is then right), or a PEM file.
pub fn texts(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                public_key_text(text);
            }
        }
        1 => {
            let symbols = bytes.iter().map(|byte| Fe32::try_from(byte % 32).expect("below 32"));
            let prefix = Hrp::parse("qpk").expect("a legal prefix");
            let text: String = symbols.with_checksum::<Bech32m>(&prefix).chars().collect();
            public_key_text(&text);
        }
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                private_key_text(text);
            }
        }
    }
}

/// A public key has one text, but that bech32m may be written in capitals altogether.
fn public_key_text(text: &str) {
    let Ok(key) = public_key_from_text(text) else { return };
    assert_eq!(public_key_to_text(&key), text.to_ascii_lowercase(), "a key has one text");
    let _ = check_public_key(&key);
}

/// Encrypted files are left out: whoever writes one chooses how long its key derivation takes.
fn private_key_text(text: &str) {
    if text.contains("ENCRYPTED") {
        return;
    }
    let Ok(signer) = Ed25519Signer::from_pem(text, "key", None) else { return };
    let again = Ed25519Signer::from_pem(&signer.to_pem(), "key", None).expect("what was just written");
    assert_eq!(again.public_key(), signer.public_key());
}

/// A genesis: what is read is written back to the same, and what its rules accept can be run.
pub fn genesis(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(genesis) = genesis_file::parse(text) else { return };
    let printed = genesis_file::print(&genesis);
    let again = genesis_file::parse(&printed);
    assert_eq!(again.ok().as_ref(), Some(&genesis), "{printed}");
    let Ok(trust) = TrustRoot::from_genesis(genesis) else { return };
    let caps = Caps::new(trust.members(), &trust.genesis().parameters);
    assert!(caps.frame >= caps.small_frame);
    let _ = Machine::genesis(trust.genesis(), built_in_applications());
}
