//! The certified state: an in-memory map from keys to values with a Merkle root.
//!
//! A [`Tree`] has its entries twice: sorted by key, which gives lookups and listings, and as a sparse Merkle tree by hashed
//! key, which gives root and proofs (`quorate_crypto::sparse` defines its shape). Both are changed in place: a block touches
//! the paths of what it changes and copies nothing.
//!
//! The whole state lives in memory; what makes it durable is the change set of each block ([`crate::StateStore`]).

mod hashed;

use quorate_crypto::sparse::key_hash;
use quorate_crypto::{SparsePath, sha256};
use quorate_types::Digest;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// What a block changed: each key with its new value, or `None` for removed.
pub type Changes = BTreeMap<Vec<u8>, Option<Arc<[u8]>>>;

/// Keys with their values, sorted.
pub type Leaves = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// Makes the changes to sorted leaves. Removing a key that is not there is no error.
pub(crate) fn change(leaves: &mut Leaves, key: &[u8], value: Option<&Arc<[u8]>>) {
    match (value, leaves.get_mut(key)) {
        (Some(value), Some(held)) => *held = value.clone(),
        (Some(value), None) => {
            leaves.insert(key.to_vec(), value.clone());
        }
        (None, Some(_)) => {
            leaves.remove(key);
        }
        (None, None) => {}
    }
}

/// The leaves whose key begins with `prefix` and is not less than `from`, in order.
pub(crate) fn prefixed<'a>(
    leaves: &'a Leaves,
    prefix: &'a [u8],
    from: &[u8],
) -> impl Iterator<Item = (&'a [u8], &'a Arc<[u8]>)> + use<'a> {
    let begin = (Bound::Included(from.max(prefix)), Bound::Unbounded);
    leaves
        .range::<[u8], _>(begin)
        .map(|(key, value)| (key.as_slice(), value))
        .take_while(move |(key, _)| key.starts_with(prefix))
}

/// The state.
#[derive(Debug, Default)]
pub struct Tree {
    leaves: Leaves,
    hashed: hashed::Tree,
}

impl Tree {
    /// The tree with these leaves. Of a key that occurs twice the last value counts.
    pub fn from_leaves(leaves: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let changes = leaves.into_iter().map(|(key, value)| (key, Some(Arc::from(value)))).collect();
        let mut tree = Self::default();
        tree.apply(&changes);
        tree
    }

    /// Makes these changes. Every node is hashed once, however many changes are below it.
    pub fn apply(&mut self, changes: &Changes) {
        let mut hashed = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            change(&mut self.leaves, key, value.as_ref());
            let value_hash = value.as_ref().map(|value| sha256(value));
            hashed.push(hashed::Change { key_hash: key_hash(key), value_hash });
        }
        hashed.sort_unstable_by_key(|change| change.key_hash);
        self.hashed.apply(&hashed);
    }

    /// All keys with their values, in order.
    pub fn leaves(&self) -> &Leaves {
        &self.leaves
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<[u8]>> {
        self.leaves.get(key)
    }

    /// The root of the sparse Merkle tree; [`quorate_crypto::sparse::EMPTY`] without any key.
    pub fn root(&self) -> Digest {
        self.hashed.root()
    }

    /// The proof that a key has the value it has, or is absent (X5).
    pub fn prove(&self, key: &[u8]) -> SparsePath {
        self.hashed.prove(&key_hash(key))
    }
}

#[cfg(test)]
mod tests;
