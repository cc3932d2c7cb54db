//! The verification cache (M3): remembers successes only, under H(signed bytes ‖ signature ‖ key).

use crate::digest::sha256;
use crate::verify::{Claim, Rule, Verifier};
use quorate_types::Digest;
use quorate_types::mutants::mutant;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Remembers which signatures were found valid. Bounded: when the young generation is full it becomes the old one.
#[derive(Debug)]
pub struct Cache {
    per_generation: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: BTreeSet<Digest>,
    old: BTreeSet<Digest>,
}

impl Cache {
    /// A cache that remembers between `per_generation` and twice as many signatures; none at all if that is zero.
    pub fn new(per_generation: usize) -> Self {
        Self { per_generation, generations: Mutex::default() }
    }

    /// Checks the claims that are not known to be valid, remembers those that are. One verdict for each, in order.
    pub fn verify(&self, verifier: &dyn Verifier, claims: Vec<Claim>) -> Vec<bool> {
        if self.per_generation == 0 {
            return verifier.verify(&claims);
        }
        let keys: Vec<Digest> = claims.iter().map(Self::key).collect();
        let mut verdicts = {
            let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
            keys.iter().map(|key| generations.holds(key)).collect::<Vec<_>>()
        };
        let unknown: Vec<usize> = (0..claims.len()).filter(|at| !verdicts[*at]).collect();
        if unknown.is_empty() {
            return verdicts;
        }
        let mut claims: Vec<Option<Claim>> = claims.into_iter().map(Some).collect();
        let to_check: Vec<Claim> =
            unknown.iter().map(|at| claims[*at].take().expect("each index once")).collect();
        let fresh = verifier.verify(&to_check);
        assert_eq!(fresh.len(), to_check.len(), "one verdict for each claim");
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, valid) in unknown.into_iter().zip(fresh) {
            verdicts[at] = valid;
            if valid {
                generations.insert(keys[at], self.per_generation);
            }
        }
        verdicts
    }

    fn key(claim: &Claim) -> Digest {
        let mut bytes = Vec::with_capacity(claim.message.len() + 97);
        bytes.push(match claim.rule {
            Rule::Zip215 => 0,
            Rule::Strict => 1,
        });
        bytes.extend_from_slice(&claim.key.0);
        if !mutant("m58") {
            bytes.extend_from_slice(&claim.signature.0);
        }
        bytes.extend_from_slice(&claim.message);
        sha256(&bytes)
    }
}

impl Generations {
    fn holds(&self, key: &Digest) -> bool {
        self.young.contains(key) || self.old.contains(key)
    }

    fn insert(&mut self, key: Digest, most: usize) {
        if self.young.len() >= most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key);
    }
}
