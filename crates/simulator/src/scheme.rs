//! A signature scheme for simulations: fast, and unforgeable by whoever goes through [`SimSigner`]. A signature is a hash of
//! the signer's public key and the bytes.

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

fn tag(key: &PublicKey, bytes: &[u8]) -> Signature {
    let half = sha256(&[&key.0, bytes].concat());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&half.0);
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
