//! Signing, behind a trait so that the simulator can use its own scheme and a key can live elsewhere.

use quorate_types::{PublicKey, Signature};

/// Holds one private key.
pub trait Signer {
    /// The key under which the signatures verify.
    fn public_key(&self) -> PublicKey;

    /// Signs bytes that begin with a domain tag (M1). Deterministic: the same bytes give the same signature.
    fn sign(&self, bytes: &[u8]) -> Signature;
}
