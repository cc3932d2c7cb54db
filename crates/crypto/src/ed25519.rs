//! The one acceptance rule for Ed25519: ZIP-215, single and batch alike; and strict RFC 8032 for what leaves for clients.

use crate::verify::{Claim, Rule, Verifier};
use ed25519_zebra::{VerificationKey, VerificationKeyBytes, batch};
use quorate_types::PublicKey;
use std::collections::BTreeMap;

/// Verifies with ed25519-zebra, many claims in one batch; its batch and single rules never differ, so a failed batch is
/// rechecked one by one to find who is to blame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519Verifier;

impl Verifier for Ed25519Verifier {
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        let zip215: Vec<&Claim> = claims.iter().filter(|claim| claim.rule == Rule::Zip215).collect();
        let all_valid = zip215.len() > 1 && verify_batch(&zip215);
        let mut keys = BTreeMap::new();
        claims
            .iter()
            .map(|claim| match claim.rule {
                Rule::Zip215 => all_valid || verify_zip215(claim),
                Rule::Strict => verify_strict(claim, &mut keys),
            })
            .collect()
    }
}

/// One batch equation over all claims; equal keys are merged.
fn verify_batch(claims: &[&Claim]) -> bool {
    let mut verifier = batch::Verifier::new();
    for claim in claims {
        let key = VerificationKeyBytes::from(claim.key.0);
        verifier.queue((key, ed25519_zebra::Signature::from(claim.signature.0), &claim.message[..]));
    }
    verifier.verify(rand_core::UnwrapErr(getrandom::SysRng)).is_ok()
}

fn verify_zip215(claim: &Claim) -> bool {
    VerificationKey::try_from(claim.key.0).is_ok_and(|key| {
        key.verify(&ed25519_zebra::Signature::from(claim.signature.0), &claim.message).is_ok()
    })
}

/// `keys` are those of this call that were decoded before, which takes a fifth of the time: members sign again and again.
fn verify_strict(claim: &Claim, keys: &mut BTreeMap<PublicKey, Option<ed25519_dalek::VerifyingKey>>) -> bool {
    let decoded = || ed25519_dalek::VerifyingKey::from_bytes(&claim.key.0).ok();
    let key = keys.entry(claim.key).or_insert_with(decoded);
    key.as_ref().is_some_and(|key| {
        let signature = ed25519_dalek::Signature::from_bytes(&claim.signature.0);
        key.verify_strict(&claim.message, &signature).is_ok()
    })
}

#[cfg(test)]
mod tests;
