//! 30, of states: whoever fetches one is sent parts and leaves that were changed, left out, made up, of other heights or of other parts,
//! far more than there is, or nothing any more as the end comes near.

use super::{Held, Liar, at_once, flipped};
use quorate_types::{Message, Seq, StateLeaves, StatePart, StateParts};

pub(super) fn instead(liar: &mut Liar, message: Message) -> Vec<Held> {
    let way = liar.random.below(8);
    match message {
        Message::StateParts(state) => wrong_parts(*state, way).map(Box::new).map(Message::StateParts),
        Message::StateLeaves(state) => wrong_leaves(*state, way).map(Box::new).map(Message::StateLeaves),
        other => Some(other),
    }
    .map_or_else(Vec::new, at_once)
}

fn wrong_parts(mut state: StateParts, way: u64) -> Option<StateParts> {
    let changed = |part: &StatePart| match part {
        StatePart::Empty => StatePart::Many(state.header.state_root),
        StatePart::One { key_hash, value_hash } => {
            StatePart::One { key_hash: *key_hash, value_hash: flipped(*value_hash) }
        }
        StatePart::Many(hash) => StatePart::Many(flipped(*hash)),
    };
    match way {
        0 => return None,
        1 => {
            let part = state.parts.first().map(changed);
            state.parts.splice(..1.min(state.parts.len()), part);
        }
        // A state that nobody certified, whole in itself.
        2 => state.header.state_root = flipped(state.header.state_root),
        3 => state.header.height = state.header.height.next(),
        4 => state.certificate.height = Seq::new(u64::MAX),
        5 => state.parts = vec![StatePart::Empty; 4_096],
        6 => state.parts.clear(),
        _ => {}
    }
    Some(state)
}

fn wrong_leaves(mut state: StateLeaves, way: u64) -> Option<StateLeaves> {
    match way {
        0 => return None,
        1 => state.leaves.iter_mut().take(1).for_each(|(_, value)| value.push(0)),
        2 => drop(state.leaves.pop()),
        3 => state.leaves.push((b"made up".to_vec(), b"value".to_vec())),
        4 => state.index = state.index.wrapping_add(1),
        5 => state.height = state.height.next(),
        // One leaf again and again, more than a part has.
        6 => {
            let again = state.leaves.first().cloned();
            state.leaves.extend(std::iter::repeat_n(again, 1_000).flatten());
        }
        _ => {}
    }
    Some(state)
}
