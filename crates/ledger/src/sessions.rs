//! Exactly once per (sender, session, number): C1.
//!
//! A session is a leaf with a window of numbers. Each session also has one *review*, a leaf whose key begins with a
//! time: when a block's time has reached it, the session is evicted if it has been idle for E, and else reviewed again E
//! after its last activity. So a transaction need not move anything in the index of what to evict.

use crate::namespace::BlockState;
use crate::tree::{Leaves, prefixed};
use quorate_types::layout::Writer;
use quorate_types::mutants::mutant;
use quorate_types::{
    LedgerTime, Number, NumberState, Parameters, PublicKey, SessionId, SessionLeaf, StateKey, Transaction,
    VoidReason, limits,
};
use std::collections::BTreeMap;

/// The session a leaf describes. Leaves are written by [`Sessions`] alone and certified, so one that does not read back is
/// a fault of the program, not of a peer; it counts as a session that has used nothing.
fn read_session(leaf: &[u8]) -> SessionLeaf {
    SessionLeaf::from_bytes(leaf).unwrap_or_default()
}

fn read_count(leaf: &[u8]) -> u32 {
    leaf.try_into().map_or(0, u32::from_be_bytes)
}

/// The session in this state.
pub(crate) fn session(leaves: &Leaves, sender: PublicKey, session: SessionId) -> Option<SessionLeaf> {
    leaves.get(&StateKey::Session(sender, session).to_bytes()).map(|leaf| read_session(leaf))
}

/// How many sessions a sender has in this state.
pub(crate) fn session_count(leaves: &Leaves, sender: PublicKey) -> u32 {
    leaves.get(&StateKey::SessionCount(sender).to_bytes()).map_or(0, |leaf| read_count(leaf))
}

/// Whether a block of this time would look at a session for eviction.
pub(crate) fn review_is_due(leaves: &Leaves, time: LedgerTime) -> bool {
    due_reviews(leaves, time).next().is_some()
}

fn due_reviews(
    leaves: &Leaves,
    time: LedgerTime,
) -> impl Iterator<Item = (LedgerTime, PublicKey, SessionId)> {
    prefixed(leaves, &StateKey::REVIEWS, &[])
        .map_while(|(key, _)| StateKey::review_from_bytes(key).ok())
        .take_while(move |(due, _, _)| *due <= time)
}

/// Whether the times allow a transaction in a block of this time: `t ≤ valid_until ≤ t + V`, both inclusive.
pub(crate) fn check_validity(
    transaction: &Transaction,
    time: LedgerTime,
    parameters: &Parameters,
) -> Result<(), VoidReason> {
    if time > transaction.valid_until {
        Err(VoidReason::Expired)
    } else if transaction.valid_until > time.plus_millis(parameters.max_validity_ms) {
        Err(VoidReason::ValidTooLong)
    } else {
        Ok(())
    }
}

/// Whether a session's window has this number unused. A session that does not exist has used none.
pub(crate) fn check_number(
    session: Option<&SessionLeaf>,
    number: Number,
    parameters: &Parameters,
) -> Result<(), VoidReason> {
    let state = match session {
        Some(session) => session.state_of(number, parameters.session_window),
        None => SessionLeaf::default().state_of(number, parameters.session_window),
    };
    match state {
        NumberState::Unused => Ok(()),
        NumberState::BelowLow => Err(VoidReason::NumberBelowWindow),
        NumberState::Used => Err(VoidReason::NumberUsed),
        NumberState::AboveWindow => Err(VoidReason::NumberAboveWindow),
    }
}

/// The sessions that a block touches, read once and written once.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    touched: BTreeMap<(PublicKey, SessionId), Option<SessionLeaf>>,
    counts: BTreeMap<PublicKey, u32>,
    reviews: Vec<(Vec<u8>, bool)>,
}

impl Sessions {
    /// Evicts what has been idle for E at the block's time, and never sooner. It looks at a bounded number of sessions,
    /// more than one block can open: what is left is looked at in the next block.
    pub(crate) fn evict_idle(&mut self, leaves: &Leaves, time: LedgerTime, parameters: &Parameters) {
        for (due, sender, id) in due_reviews(leaves, time).take(limits::MAX_SESSION_REVIEWS) {
            self.reviews.push((StateKey::Review(due, sender, id).to_bytes(), false));
            let Some(leaf) = session(leaves, sender, id) else { continue };
            let idle_at = leaf.last_activity.plus_millis(parameters.evict_after_ms);
            if idle_at <= time {
                self.touched.insert((sender, id), None);
                let count = self.count(leaves, sender);
                *count = count.saturating_sub(1);
            } else {
                self.reviews.push((StateKey::Review(idle_at, sender, id).to_bytes(), true));
            }
        }
    }

    fn count(&mut self, leaves: &Leaves, sender: PublicKey) -> &mut u32 {
        self.counts.entry(sender).or_insert_with(|| session_count(leaves, sender))
    }

    /// Consumes a transaction's number, if the session has it unused; opens the session if there is none.
    pub(crate) fn consume(
        &mut self,
        leaves: &Leaves,
        transaction: &Transaction,
        time: LedgerTime,
        parameters: &Parameters,
    ) -> Result<(), VoidReason> {
        let (sender, id, number) = (transaction.sender, transaction.session, transaction.number);
        let place = self.touched.entry((sender, id)).or_insert_with(|| session(leaves, sender, id));
        check_number(place.as_ref(), number, parameters)?;
        if place.is_none() {
            let count = self.counts.entry(sender).or_insert_with(|| session_count(leaves, sender));
            if *count >= parameters.sessions_per_client {
                return Err(VoidReason::TooManySessions);
            }
            *count += 1;
            let due = time.plus_millis(parameters.evict_after_ms);
            self.reviews.push((StateKey::Review(due, sender, id).to_bytes(), true));
        }
        let leaf = place.get_or_insert_default();
        leaf.last_activity = time;
        use_number(leaf, number);
        Ok(())
    }

    /// Writes what changed.
    pub(crate) fn write_to(self, block: &mut BlockState<'_>) {
        for ((sender, id), leaf) in self.touched {
            if mutant("m21") {
                continue;
            }
            let key = StateKey::Session(sender, id).to_bytes();
            if leaf.is_some() || block.get(&key).is_some() {
                block.set(key, leaf.map(|leaf| leaf.to_bytes()));
            }
        }
        for (sender, count) in self.counts {
            let value = (count > 0).then(|| Writer::untagged().u32(count).finish());
            block.set(StateKey::SessionCount(sender).to_bytes(), value);
        }
        for (key, present) in self.reviews {
            block.set(key, present.then(Vec::new));
        }
    }
}

/// Marks a number of the window as used, and moves `low` over used numbers only.
fn use_number(leaf: &mut SessionLeaf, number: Number) {
    if mutant("m22") {
        // Only the last number is kept: what is skipped can never be used.
        (leaf.low, leaf.used) = (number.next(), Vec::new());
        return;
    }
    let offset =
        usize::try_from(number.above(leaf.low)).expect("a number in the window is near its beginning");
    let byte = offset / 8;
    if leaf.used.len() <= byte {
        leaf.used.resize(byte + 1, 0);
    }
    leaf.used[byte] |= 1 << (offset % 8);
    let whole = leaf.used.iter().take_while(|byte| **byte == u8::MAX).count();
    let bits = leaf.used.get(whole).map_or(0, |byte| byte.trailing_ones());
    leaf.low = leaf.low.plus(8 * whole as u64 + u64::from(bits));
    leaf.used.drain(..whole);
    if bits > 0 {
        shift_down(&mut leaf.used, bits);
    }
    while leaf.used.last() == Some(&0) {
        leaf.used.pop();
    }
}

/// Shifts a bitmap towards its beginning by 1 to 7 bits.
fn shift_down(bitmap: &mut [u8], bits: u32) {
    for at in 0..bitmap.len() {
        let above = bitmap.get(at + 1).copied().unwrap_or(0);
        bitmap[at] = bitmap[at] >> bits | above << (8 - bits);
    }
}

#[cfg(test)]
mod tests;
