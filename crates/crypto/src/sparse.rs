//! The shape of the certified state: a binary sparse Merkle tree over hashed keys with compact leaves, and its proofs
//! of presence and absence (X5). The tree itself is built in `quorate-ledger`.

pub mod parts;

use crate::digest::sha256;
use quorate_types::Digest;
use sha2::{Digest as _, Sha256};

/// The domain tags of key, leaf and inner node.
const KEY_TAG: &str = "quorate/state-key/v1";
const LEAF_TAG: &str = "quorate/state-leaf/v1";
const NODE_TAG: &str = "quorate/state-node/v1";

/// The hash of an empty subtree.
pub const EMPTY: Digest = Digest::ZERO;

/// The hash of the layout of M1: the tag, a zero byte, and both parts. It is not put together first: most hashes of a block are these.
fn tagged_hash(tag: &str, one: &[u8], other: &[u8]) -> Digest {
    let hash = Sha256::new().chain_update(tag).chain_update([0]).chain_update(one).chain_update(other);
    Digest(hash.finalize().into())
}

/// Where a key stands in the tree: bit 0 is the highest bit of byte 0.
pub fn key_hash(key: &[u8]) -> Digest {
    tagged_hash(KEY_TAG, key, &[])
}

/// The hash of a subtree that holds exactly one leaf.
pub fn leaf_hash(key_hash: &Digest, value_hash: &Digest) -> Digest {
    tagged_hash(LEAF_TAG, &key_hash.0, &value_hash.0)
}

/// The hash of a subtree that holds more than one leaf.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    tagged_hash(NODE_TAG, &left.0, &right.0)
}

/// The bit of a key hash that decides at `depth`: `true` is right.
pub fn bit(key_hash: &Digest, depth: usize) -> bool {
    key_hash.0[depth / 8] >> (7 - depth % 8) & 1 == 1
}

/// What stands where the path of a key ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// Nothing: the key is absent.
    Empty,
    /// One leaf: the key's own, or another's, which proves that the key is absent.
    Leaf { key_hash: Digest, value_hash: Digest },
}

/// A proof that a key has a value, or is absent, under a state root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparsePath {
    /// From the top down.
    pub siblings: Vec<Digest>,
    pub terminal: Terminal,
}

impl SparsePath {
    /// Whether `key` has exactly this value (`None`: is absent) under `root`. Total on any path.
    pub fn verify(&self, root: &Digest, key: &[u8], value: Option<&[u8]>) -> bool {
        let wanted = key_hash(key);
        if self.siblings.len() > 256 {
            return false;
        }
        let mut hash = match (&self.terminal, value) {
            (Terminal::Empty, None) => EMPTY,
            (Terminal::Leaf { key_hash, value_hash }, None) if *key_hash != wanted => {
                let shared =
                    (0..self.siblings.len()).all(|depth| bit(key_hash, depth) == bit(&wanted, depth));
                if !shared {
                    return false;
                }
                leaf_hash(key_hash, value_hash)
            }
            (Terminal::Leaf { key_hash, value_hash }, Some(value))
                if *key_hash == wanted && *value_hash == sha256(value) =>
            {
                leaf_hash(key_hash, value_hash)
            }
            _ => return false,
        };
        for (depth, sibling) in self.siblings.iter().enumerate().rev() {
            hash = if bit(&wanted, depth) { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
        }
        hash == *root
    }
}

#[cfg(test)]
mod tests;
