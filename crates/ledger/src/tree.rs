//! The state tree: persistent (path-copying), so that a version is a pointer and never a copy or a pause (K1). Its shape
//! is `quorate_crypto::sparse`'s. A hash is computed once per node, when a root or proof first needs it.

use quorate_crypto::sparse::{self, SparsePath, Terminal};
use quorate_types::Digest;
use std::sync::{Arc, OnceLock};

#[derive(Debug)]
enum Node {
    Leaf { key_hash: Digest, value_hash: Digest },
    Inner { left: Tree, right: Tree },
}

#[derive(Debug)]
struct Shared {
    node: Node,
    hash: OnceLock<Digest>,
}

/// One version of the tree. Cloning it is cheap.
#[derive(Clone, Debug, Default)]
pub struct Tree(Option<Arc<Shared>>);

impl Tree {
    fn leaf(key_hash: Digest, value_hash: Digest) -> Self {
        Self::of(Node::Leaf { key_hash, value_hash })
    }

    fn of(node: Node) -> Self {
        Self(Some(Arc::new(Shared { node, hash: OnceLock::new() })))
    }

    /// An inner node, or what is left of it: a subtree with exactly one leaf is that leaf.
    fn join(left: Tree, right: Tree) -> Self {
        match (&left.0, &right.0) {
            (None, None) => Tree(None),
            (Some(only), None) if matches!(only.node, Node::Leaf { .. }) => left,
            (None, Some(only)) if matches!(only.node, Node::Leaf { .. }) => right,
            _ => Self::of(Node::Inner { left, right }),
        }
    }

    /// The root hash.
    pub fn root(&self) -> Digest {
        let Some(shared) = &self.0 else { return sparse::EMPTY };
        *shared.hash.get_or_init(|| match &shared.node {
            Node::Leaf { key_hash, value_hash } => sparse::leaf_hash(key_hash, value_hash),
            Node::Inner { left, right } => sparse::node_hash(&left.root(), &right.root()),
        })
    }

    /// The version in which `key_hash` has this value, or none.
    #[must_use]
    pub fn set(&self, key_hash: &Digest, value_hash: Option<Digest>) -> Self {
        self.set_at(0, key_hash, value_hash)
    }

    fn set_at(&self, depth: usize, key_hash: &Digest, value_hash: Option<Digest>) -> Self {
        let Some(shared) = &self.0 else {
            return value_hash.map_or_else(Tree::default, |value_hash| Self::leaf(*key_hash, value_hash));
        };
        match &shared.node {
            Node::Leaf { key_hash: held, .. } if held == key_hash => {
                value_hash.map_or_else(Tree::default, |value_hash| Self::leaf(*key_hash, value_hash))
            }
            Node::Leaf { key_hash: held, .. } => match value_hash {
                None => self.clone(),
                Some(value_hash) => Self::split(depth, (*held, self.clone()), *key_hash, value_hash),
            },
            Node::Inner { left, right } => {
                if sparse::bit(key_hash, depth) {
                    Self::join(left.clone(), right.set_at(depth + 1, key_hash, value_hash))
                } else {
                    Self::join(left.set_at(depth + 1, key_hash, value_hash), right.clone())
                }
            }
        }
    }

    /// Two leaves below `depth`: inner nodes as far as their keys agree.
    fn split(depth: usize, held: (Digest, Tree), key_hash: Digest, value_hash: Digest) -> Self {
        match (sparse::bit(&held.0, depth), sparse::bit(&key_hash, depth)) {
            (false, true) => Self::of(Node::Inner { left: held.1, right: Self::leaf(key_hash, value_hash) }),
            (true, false) => Self::of(Node::Inner { left: Self::leaf(key_hash, value_hash), right: held.1 }),
            (true, true) => {
                let right = Self::split(depth + 1, held, key_hash, value_hash);
                Self::of(Node::Inner { left: Tree::default(), right })
            }
            (false, false) => {
                let left = Self::split(depth + 1, held, key_hash, value_hash);
                Self::of(Node::Inner { left, right: Tree::default() })
            }
        }
    }

    /// The proof that a key has its value, or is absent (X5).
    pub fn prove(&self, key_hash: &Digest) -> SparsePath {
        let mut siblings = Vec::new();
        let mut at = self;
        loop {
            let Some(shared) = &at.0 else { return SparsePath { siblings, terminal: Terminal::Empty } };
            match &shared.node {
                Node::Leaf { key_hash, value_hash } => {
                    let terminal = Terminal::Leaf { key_hash: *key_hash, value_hash: *value_hash };
                    return SparsePath { siblings, terminal };
                }
                Node::Inner { left, right } => {
                    let (next, sibling) = match sparse::bit(key_hash, siblings.len()) {
                        true => (right, left),
                        false => (left, right),
                    };
                    siblings.push(sibling.root());
                    at = next;
                }
            }
        }
    }
}

