//! A signature scheme for simulations: fast, and unforgeable by whoever goes through [`SimSigner`]. A signature is a checksum
//! of the signer's public key and the bytes.

use quorate_crypto::{Claim, Signer, Verifier, sha256};
use quorate_types::{PublicKey, Signature};

/// The key of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SimSigner(PublicKey);

impl SimSigner {
    pub(crate) fn named(name: &str) -> Self {
        Self(PublicKey(sha256(name.as_bytes()).0))
    }
}

/// Two lanes of FNV-1a over words, each begun with half of the key: fast, and different for whatever differs. Nobody here
/// looks for collisions.
fn tag(key: &PublicKey, bytes: &[u8]) -> Signature {
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_be_bytes(word)
    };
    let mut lanes = [word(&key.0[..8]), word(&key.0[8..16]) ^ bytes.len() as u64];
    for chunk in bytes.chunks(8) {
        let next = word(chunk);
        lanes[0] = (lanes[0] ^ next).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        lanes[1] = (lanes[1].rotate_left(17) ^ next).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    let mut signature = [0; 64];
    signature[..8].copy_from_slice(&lanes[0].to_be_bytes());
    signature[8..16].copy_from_slice(&lanes[1].to_be_bytes());
    Signature(signature)
}

impl Signer for SimSigner {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        tag(&self.0, bytes)
    }
}

/// Checks signatures of [`SimSigner`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimVerifier;

impl Verifier for SimVerifier {
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        claims.iter().map(|claim| tag(&claim.key, &claim.message) == claim.signature).collect()
    }
}
