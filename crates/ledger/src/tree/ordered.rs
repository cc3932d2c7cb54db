//! The search tree by key: a persistent AVL tree. Its height is bounded whatever keys clients choose, which a tree
//! balanced by the keys' hashes would not be. A node that no other version holds is changed in place.

use super::Entry;
use std::cmp::Ordering;
use std::sync::Arc;

/// A subtree; `None` is the empty one.
pub(super) type Link = Option<Arc<Node>>;

/// A subtree that is not empty.
#[derive(Clone, Debug)]
pub(super) struct Node {
    entry: Arc<Entry>,
    left: Link,
    right: Link,
    height: u8,
}

fn height(link: &Link) -> u8 {
    link.as_ref().map_or(0, |node| node.height)
}

/// The entry with this key.
pub(super) fn get<'a>(root: &'a Link, key: &[u8]) -> Option<&'a Entry> {
    let mut link = root;
    while let Some(node) = link {
        link = match key.cmp(&node.entry.key) {
            Ordering::Less => &node.left,
            Ordering::Greater => &node.right,
            Ordering::Equal => return Some(&node.entry),
        };
    }
    None
}

/// Sets an entry. Returns whether its key was there.
pub(super) fn insert(link: &mut Link, entry: Arc<Entry>) -> bool {
    let Some(shared) = link else {
        *link = Some(Arc::new(Node { entry, left: None, right: None, height: 1 }));
        return false;
    };
    let node = Arc::make_mut(shared);
    let existed = match entry.key.cmp(&node.entry.key) {
        Ordering::Less => insert(&mut node.left, entry),
        Ordering::Greater => insert(&mut node.right, entry),
        Ordering::Equal => {
            node.entry = entry;
            true
        }
    };
    if !existed {
        rebalance(shared);
    }
    existed
}

/// Removes a key. Returns whether it was there; if not, nothing is copied.
pub(super) fn remove(link: &mut Link, key: &[u8]) -> bool {
    let exists = get(link, key).is_some();
    if exists {
        remove_present(link, key);
    }
    exists
}

fn remove_present(link: &mut Link, key: &[u8]) {
    let Some(shared) = link else { return };
    let node = Arc::make_mut(shared);
    match key.cmp(&node.entry.key) {
        Ordering::Less => remove_present(&mut node.left, key),
        Ordering::Greater => remove_present(&mut node.right, key),
        Ordering::Equal => match (node.left.take(), node.right.take()) {
            (None, child) | (child, None) => {
                *link = child;
                return;
            }
            (left, right) => {
                node.left = left;
                node.right = right;
                if let Some(next) = take_first(&mut node.right) {
                    node.entry = next;
                }
            }
        },
    }
    rebalance(shared);
}

/// Removes the entry with the least key.
fn take_first(link: &mut Link) -> Option<Arc<Entry>> {
    let shared = link.as_mut()?;
    let node = Arc::make_mut(shared);
    if let Some(first) = take_first(&mut node.left) {
        rebalance(shared);
        return Some(first);
    }
    let (entry, right) = (node.entry.clone(), node.right.take());
    *link = right;
    Some(entry)
}

/// Restores the balance of a node whose subtrees are balanced and differ in height by at most two.
fn rebalance(shared: &mut Arc<Node>) {
    let (left, right) = (height(&shared.left), height(&shared.right));
    if left > right + 1 {
        let leans_right = shared.left.as_ref().is_some_and(|node| height(&node.right) > height(&node.left));
        if leans_right && let Some(child) = &mut Arc::make_mut(shared).left {
            rotate_left(child);
        }
        rotate_right(shared);
    } else if right > left + 1 {
        let leans_left = shared.right.as_ref().is_some_and(|node| height(&node.left) > height(&node.right));
        if leans_left && let Some(child) = &mut Arc::make_mut(shared).right {
            rotate_right(child);
        }
        rotate_left(shared);
    } else {
        measure(Arc::make_mut(shared));
    }
}

fn measure(node: &mut Node) {
    node.height = 1 + height(&node.left).max(height(&node.right));
}

fn rotate_right(shared: &mut Arc<Node>) {
    let Some(mut top) = Arc::make_mut(shared).left.take() else { return };
    let inner = Arc::make_mut(&mut top).right.take();
    let down = Arc::make_mut(shared);
    down.left = inner;
    measure(down);
    std::mem::swap(shared, &mut top);
    // `top` is now the node that went down.
    let up = Arc::make_mut(shared);
    up.right = Some(top);
    measure(up);
}

fn rotate_left(shared: &mut Arc<Node>) {
    let Some(mut top) = Arc::make_mut(shared).right.take() else { return };
    let inner = Arc::make_mut(&mut top).left.take();
    let down = Arc::make_mut(shared);
    down.right = inner;
    measure(down);
    std::mem::swap(shared, &mut top);
    let up = Arc::make_mut(shared);
    up.left = Some(top);
    measure(up);
}

/// The entries from a key on, in order.
pub(super) struct Range<'a> {
    /// The nodes whose entry and right subtree are still to come, the next one last.
    stack: Vec<&'a Node>,
}

impl<'a> Range<'a> {
    /// The entries whose key is not less than `from`.
    pub(super) fn starting_at(root: &'a Link, from: &[u8]) -> Self {
        let mut stack = Vec::new();
        let mut link = root;
        while let Some(node) = link {
            if node.entry.key.as_slice() < from {
                link = &node.right;
            } else {
                stack.push(node.as_ref());
                link = &node.left;
            }
        }
        Self { stack }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        let node = self.stack.pop()?;
        let mut link = &node.right;
        while let Some(next) = link {
            self.stack.push(next);
            link = &next.left;
        }
        Some(&node.entry)
    }
}

#[cfg(test)]
impl Node {
    /// The true height, if the subtree is balanced, sorted and measured right.
    pub(super) fn checked_height(link: &Link) -> u8 {
        let Some(node) = link else { return 0 };
        let (left, right) = (Self::checked_height(&node.left), Self::checked_height(&node.right));
        assert!(left.abs_diff(right) <= 1, "unbalanced");
        assert_eq!(node.height, 1 + left.max(right));
        node.height
    }
}
