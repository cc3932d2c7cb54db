//! The sparse Merkle tree by hashed key. A subtree with one leaf is that leaf, so depth grows with the logarithm of the
//! number of keys; whoever wants it deeper must find keys whose hashes share a prefix of that length.

use super::Entry;
use quorate_crypto::SparsePath;
use quorate_crypto::sha256;
use quorate_crypto::sparse::{EMPTY, Terminal, bit, leaf_hash, node_hash};
use quorate_types::Digest;
use std::sync::Arc;

/// A subtree; `None` is the empty one.
pub(super) type Link = Option<Arc<Node>>;

/// A subtree that is not empty, with its hash.
#[derive(Debug)]
pub(super) enum Node {
    Leaf { key_hash: Digest, entry: Arc<Entry>, hash: Digest },
    Inner { left: Link, right: Link, hash: Digest },
}

/// One change: the entry that shall stand at this hash, or none.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) key_hash: Digest,
    pub(super) entry: Option<Arc<Entry>>,
}

impl Node {
    pub(super) fn hash(&self) -> Digest {
        match self {
            Self::Leaf { hash, .. } | Self::Inner { hash, .. } => *hash,
        }
    }

    fn leaf(key_hash: Digest, entry: Arc<Entry>) -> Arc<Self> {
        let hash = leaf_hash(&key_hash, &sha256(&entry.value));
        Arc::new(Self::Leaf { key_hash, entry, hash })
    }
}

fn hash_of(link: &Link) -> Digest {
    link.as_ref().map_or(EMPTY, |node| node.hash())
}

/// The subtree at `depth` after these changes, which are sorted by hash and all belong below it.
pub(super) fn apply(link: Link, depth: usize, changes: &[Change]) -> Link {
    if changes.is_empty() {
        return link;
    }
    match link.as_deref() {
        None => build(depth, &inserted(changes)),
        Some(Node::Leaf { key_hash, .. }) => {
            let mut leaves = inserted(changes);
            let at = changes.binary_search_by_key(key_hash, |change| change.key_hash);
            if at.is_err() {
                let place = leaves.partition_point(|(other, _)| other < key_hash);
                leaves.insert(place, (*key_hash, link.clone().expect("it is a leaf")));
            }
            build(depth, &leaves)
        }
        Some(Node::Inner { left, right, .. }) => {
            let (to_left, to_right) = split(depth, changes, |change| &change.key_hash);
            combine(apply(left.clone(), depth + 1, to_left), apply(right.clone(), depth + 1, to_right))
        }
    }
}

fn split<T>(depth: usize, items: &[T], key_hash: impl Fn(&T) -> &Digest) -> (&[T], &[T]) {
    items.split_at(items.partition_point(|item| !bit(key_hash(item), depth)))
}

fn inserted(changes: &[Change]) -> Vec<(Digest, Arc<Node>)> {
    let present = changes.iter().filter_map(|change| Some((change.key_hash, change.entry.clone()?)));
    present.map(|(key_hash, entry)| (key_hash, Node::leaf(key_hash, entry))).collect()
}

/// The subtree at `depth` of exactly these leaves, sorted by hash. Hashes are distinct, so they part before depth 256.
fn build(depth: usize, leaves: &[(Digest, Arc<Node>)]) -> Link {
    match leaves {
        [] => None,
        [(_, leaf)] => Some(leaf.clone()),
        _ => {
            let (left, right) = split(depth, leaves, |(key_hash, _)| key_hash);
            combine(build(depth + 1, left), build(depth + 1, right))
        }
    }
}

fn combine(left: Link, right: Link) -> Link {
    match (left.as_deref(), right.as_deref()) {
        (None, None) => None,
        (Some(Node::Leaf { .. }), None) => left,
        (None, Some(Node::Leaf { .. })) => right,
        _ => {
            let hash = node_hash(&hash_of(&left), &hash_of(&right));
            Some(Arc::new(Node::Inner { left, right, hash }))
        }
    }
}

/// The siblings down to where the path of `wanted` ends, and what stands there.
pub(super) fn prove(root: &Link, wanted: &Digest) -> SparsePath {
    let mut siblings = Vec::new();
    let mut link = root;
    loop {
        match link.as_deref() {
            None => return SparsePath { siblings, terminal: Terminal::Empty },
            Some(Node::Leaf { key_hash, entry, .. }) => {
                let terminal = Terminal::Leaf { key_hash: *key_hash, value_hash: sha256(&entry.value) };
                return SparsePath { siblings, terminal };
            }
            Some(Node::Inner { left, right, .. }) => {
                let goes_right = bit(wanted, siblings.len());
                let (next, sibling) = if goes_right { (right, left) } else { (left, right) };
                siblings.push(hash_of(sibling));
                link = next;
            }
        }
    }
}
