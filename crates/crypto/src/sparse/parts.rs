//! A state tree in parts: the 2^depth subtrees at one depth, in order. They say what the root is, so that whoever knows the root can
//! take each part from anybody (T2).

use super::{EMPTY, bit, key_hash, leaf_hash, node_hash};
use crate::digest::sha256;
use quorate_types::{Digest, StatePart as Part, limits};

/// No tree is cut below this depth.
pub const MOST_DEPTH: usize = limits::MAX_STATE_PARTS.ilog2() as usize;

/// The hash of a part. What a part says of itself beside it is of use only for [`root_of`].
pub fn hash_of(part: &Part) -> Digest {
    match part {
        Part::Empty => EMPTY,
        Part::One { key_hash, value_hash } => leaf_hash(key_hash, value_hash),
        Part::Many(hash) => *hash,
    }
}

/// The subtree of two neighbours.
fn joined(left: Part, right: Part) -> Part {
    match (left, right) {
        (Part::Empty | Part::One { .. }, Part::Empty) => left,
        (Part::Empty, Part::One { .. }) => right,
        _ => Part::Many(node_hash(&hash_of(&left), &hash_of(&right))),
    }
}

/// The root of the tree with these parts. `None` if they are not 2^depth of a depth up to [`MOST_DEPTH`], or one that is a leaf
/// stands where that leaf does not belong.
///
/// Parts with the root of a tree have the hashes of that tree's parts, each in its place.
pub fn root_of(parts: &[Part]) -> Option<Digest> {
    if !parts.len().is_power_of_two() || parts.len() > 1 << MOST_DEPTH {
        return None;
    }
    let depth = parts.len().trailing_zeros() as usize;
    let in_place = |(index, part): (usize, &Part)| match part {
        Part::One { key_hash, .. } => part_of_key(key_hash, depth) == index,
        Part::Empty | Part::Many(_) => true,
    };
    if !parts.iter().enumerate().all(in_place) {
        return None;
    }
    let mut level = parts.to_vec();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| joined(pair[0], pair[1])).collect();
    }
    level.first().map(hash_of)
}

/// Which of the 2^depth parts a key belongs to.
pub fn part_of_key(key_hash: &Digest, depth: usize) -> usize {
    (0..depth).fold(0, |index, at| index << 1 | usize::from(bit(key_hash, at)))
}

/// The part that exactly these keys and values make; `None` if one of them belongs to another part, or a key is there twice.
pub fn part_with<'a>(
    depth: usize,
    index: usize,
    leaves: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<Part> {
    let mut hashes: Vec<(Digest, Digest)> =
        leaves.into_iter().map(|(key, value)| (key_hash(key), sha256(value))).collect();
    hashes.sort_unstable();
    let distinct = hashes.windows(2).all(|pair| pair[0].0 != pair[1].0);
    let here = hashes.iter().all(|(key, _)| part_of_key(key, depth) == index);
    (distinct && here).then(|| built(depth, &hashes))
}

/// The subtree at `depth` of these hashes, sorted and distinct.
fn built(depth: usize, hashes: &[(Digest, Digest)]) -> Part {
    match hashes {
        [] => Part::Empty,
        [(key_hash, value_hash)] => Part::One { key_hash: *key_hash, value_hash: *value_hash },
        _ => {
            let (left, right) = hashes.split_at(hashes.partition_point(|(key, _)| !bit(key, depth)));
            joined(built(depth + 1, left), built(depth + 1, right))
        }
    }
}

#[cfg(test)]
mod tests;
