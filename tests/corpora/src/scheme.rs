//! A signature scheme for fuzzing: a signature is a hash of the public key and the bytes, so that targets can speak for any
//! member. What they may not forge is up to them.

use quorate_crypto::{Claim, Signer, Verifier, sha256};
use quorate_types::{PublicKey, Signature};

/// The key of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FakeSigner(PublicKey);

impl FakeSigner {
    pub(crate) fn named(name: &str) -> Self {
        Self(PublicKey(sha256(name.as_bytes()).0))
    }

    /// The key that a member votes with.
    pub(crate) fn member(index: u16) -> Self {
        Self::named(&format!("vote {index}"))
    }
}

fn tag(key: &PublicKey, bytes: &[u8]) -> Signature {
    let half = sha256(&[&key.0, bytes].concat());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&half.0);
    Signature(signature)
}

impl Signer for FakeSigner {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        tag(&self.0, bytes)
    }
}

/// Checks signatures of [`FakeSigner`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FakeVerifier;

impl Verifier for FakeVerifier {
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        claims.iter().map(|claim| tag(&claim.key, &claim.message) == claim.signature).collect()
    }
}
