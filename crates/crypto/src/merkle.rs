//! The Merkle tree of a block: RFC 6962 hashing with the number of leaves bound into the root (M7).

use crate::digest::sha256;
use quorate_types::{Digest, layout::Writer};

/// The domain tag of a root.
const TAG: &str = "quorate/merkle/v1";

fn leaf_hash(leaf: &[u8]) -> Digest {
    sha256(&[&[0u8], leaf].concat())
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256(&[&[1u8], &left.0[..], &right.0[..]].concat())
}

fn bind(count: u32, tree: &Digest) -> Digest {
    sha256(&Writer::tagged(TAG).u32(count).fixed(&tree.0).finish())
}

/// A tree with all its levels, from which paths are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleTree {
    /// Level 0 holds the leaf hashes; an odd last node moves up unchanged, as RFC 6962's split does.
    levels: Vec<Vec<Digest>>,
}

/// The siblings that lead from a leaf to the root, lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerklePath {
    pub index: u32,
    pub count: u32,
    pub siblings: Vec<Digest>,
}

impl MerkleTree {
    /// The tree over these leaves.
    pub fn new<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>) -> Self {
        let mut levels = vec![leaves.into_iter().map(|leaf| leaf_hash(leaf.as_ref())).collect::<Vec<_>>()];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node_hash(left, right),
                    _ => pair[0],
                })
                .collect();
            levels.push(above);
        }
        Self { levels }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.levels[0].len()).expect("blocks are bounded")
    }

    /// The root, which binds the number of leaves. An empty tree hashes the empty string, as RFC 6962 does.
    pub fn root(&self) -> Digest {
        let top = self.levels.last().and_then(|level| level.first().copied()).unwrap_or_else(|| sha256(&[]));
        bind(self.count(), &top)
    }

    /// The path of a leaf, if there is one at this index.
    pub fn path(&self, index: u32) -> Option<MerklePath> {
        if index >= self.count() {
            return None;
        }
        let mut siblings = Vec::new();
        let mut at = index as usize;
        for level in &self.levels[..self.levels.len() - 1] {
            if let Some(sibling) = level.get(at ^ 1) {
                siblings.push(*sibling);
            }
            at /= 2;
        }
        Some(MerklePath { index, count: self.count(), siblings })
    }
}

/// The root over these leaves.
pub fn merkle_root<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>) -> Digest {
    MerkleTree::new(leaves).root()
}

impl MerklePath {
    /// Whether the leaf stands at `index` among `count` leaves under this root.
    pub fn verify(&self, leaf: &[u8], root: &Digest) -> bool {
        if self.index >= self.count {
            return false;
        }
        let (mut at, mut width) = (self.index, self.count);
        let mut hash = leaf_hash(leaf);
        let mut siblings = self.siblings.iter();
        while width > 1 {
            let has_sibling = at ^ 1 < width;
            if has_sibling {
                let Some(sibling) = siblings.next() else { return false };
                hash = if at % 2 == 0 { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) };
            }
            at /= 2;
            width = width.div_ceil(2);
        }
        siblings.next().is_none() && bind(self.count, &hash) == *root
    }
}

#[cfg(test)]
mod tests;
