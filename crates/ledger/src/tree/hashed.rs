//! The sparse Merkle tree by hashed key. A subtree with one leaf is that leaf, so depth grows with the logarithm of the
//! number of keys; whoever wants it deeper must find keys whose hashes share a prefix of that length.
//!
//! A node holds the hashes of both its children, so that a change looks at no node beside its path.

use quorate_crypto::SparsePath;
use quorate_crypto::sparse::{EMPTY, Terminal, bit, leaf_hash, node_hash};
use quorate_types::Digest;
use slab::Slab;

/// One change: the hash of the value that shall stand at this hash of a key, or none.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) key_hash: Digest,
    pub(super) value_hash: Option<Digest>,
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    key_hash: Digest,
    value_hash: Digest,
}

/// Where a subtree's topmost node is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Nowhere,
    Leaf(u32),
    Inner(u32),
}

/// A subtree with its hash.
#[derive(Clone, Copy, Debug)]
struct Subtree {
    hash: Digest,
    place: Place,
}

const NOTHING: Subtree = Subtree { hash: EMPTY, place: Place::Nowhere };

/// The tree.
#[derive(Debug)]
pub(super) struct Tree {
    root: Subtree,
    leaves: Slab<Leaf>,
    /// Left and right.
    inner: Slab<[Subtree; 2]>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: NOTHING, leaves: Slab::new(), inner: Slab::new() }
    }
}

/// # Panics
/// If there are more than 2³² nodes: their hashes alone would take 128 GiB.
fn number(place: usize) -> u32 {
    u32::try_from(place).expect("fewer than 4 billion keys fit into memory")
}

fn split<T>(depth: usize, items: &[T], key_hash: impl Fn(&T) -> &Digest) -> (&[T], &[T]) {
    items.split_at(items.partition_point(|item| !bit(key_hash(item), depth)))
}

impl Tree {
    pub(super) fn root(&self) -> Digest {
        self.root.hash
    }

    /// Makes these changes, which are sorted by hash.
    pub(super) fn apply(&mut self, changes: &[Change]) {
        self.root = self.changed(self.root, 0, changes);
    }

    /// The subtree at `depth` after these changes, which all belong below it.
    fn changed(&mut self, subtree: Subtree, depth: usize, changes: &[Change]) -> Subtree {
        if changes.is_empty() {
            return subtree;
        }
        match subtree.place {
            Place::Nowhere => {
                let leaves: Vec<Leaf> = present(changes).collect();
                self.built(depth, &leaves)
            }
            Place::Leaf(at) => self.joined(at, depth, changes),
            Place::Inner(at) => {
                let [left, right] = self.inner[at as usize];
                let (to_left, to_right) = split(depth, changes, |change| &change.key_hash);
                let left = self.changed(left, depth + 1, to_left);
                let right = self.changed(right, depth + 1, to_right);
                self.combined(left, right, Some(at))
            }
        }
    }

    /// The subtree in place of one leaf.
    fn joined(&mut self, at: u32, depth: usize, changes: &[Change]) -> Subtree {
        let old = self.leaves.remove(at as usize);
        let mut leaves: Vec<Leaf> = present(changes).collect();
        if changes.binary_search_by_key(&old.key_hash, |change| change.key_hash).is_err() {
            let place = leaves.partition_point(|leaf| leaf.key_hash < old.key_hash);
            leaves.insert(place, old);
        }
        self.built(depth, &leaves)
    }

    /// A new subtree at `depth` of exactly these leaves, sorted by hash. Hashes are distinct, so they part before depth 256.
    fn built(&mut self, depth: usize, leaves: &[Leaf]) -> Subtree {
        match leaves {
            [] => NOTHING,
            [leaf] => {
                let place = Place::Leaf(number(self.leaves.insert(*leaf)));
                Subtree { hash: leaf_hash(&leaf.key_hash, &leaf.value_hash), place }
            }
            _ => {
                let (left, right) = split(depth, leaves, |leaf| &leaf.key_hash);
                let left = self.built(depth + 1, left);
                let right = self.built(depth + 1, right);
                self.combined(left, right, None)
            }
        }
    }

    /// The subtree of two, at the place of the node that it replaces, if there is one.
    fn combined(&mut self, left: Subtree, right: Subtree, replaces: Option<u32>) -> Subtree {
        let alone = match (left.place, right.place) {
            (Place::Nowhere | Place::Leaf(_), Place::Nowhere) => Some(left),
            (Place::Nowhere, Place::Leaf(_)) => Some(right),
            _ => None,
        };
        if let Some(alone) = alone {
            if let Some(at) = replaces {
                self.inner.remove(at as usize);
            }
            return alone;
        }
        let children = [left, right];
        let at = match replaces {
            Some(at) => {
                self.inner[at as usize] = children;
                at
            }
            None => number(self.inner.insert(children)),
        };
        Subtree { hash: node_hash(&left.hash, &right.hash), place: Place::Inner(at) }
    }

    /// The siblings down to where the path of `wanted` ends, and what stands there.
    pub(super) fn prove(&self, wanted: &Digest) -> SparsePath {
        let mut siblings = Vec::new();
        let mut subtree = self.root;
        loop {
            match subtree.place {
                Place::Nowhere => return SparsePath { siblings, terminal: Terminal::Empty },
                Place::Leaf(at) => {
                    let Leaf { key_hash, value_hash } = self.leaves[at as usize];
                    return SparsePath { siblings, terminal: Terminal::Leaf { key_hash, value_hash } };
                }
                Place::Inner(at) => {
                    let [left, right] = self.inner[at as usize];
                    let goes_right = bit(wanted, siblings.len());
                    let (next, sibling) = if goes_right { (right, left) } else { (left, right) };
                    siblings.push(sibling.hash);
                    subtree = next;
                }
            }
        }
    }

    /// How many nodes are kept: leaves and others.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.leaves.len(), self.inner.len())
    }
}

fn present(changes: &[Change]) -> impl Iterator<Item = Leaf> {
    changes
        .iter()
        .filter_map(|change| Some(Leaf { key_hash: change.key_hash, value_hash: change.value_hash? }))
}
