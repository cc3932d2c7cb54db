//! Exactly once per (sender, session, number) (C1).

use quorate_types::layout::{LayoutError, Reader, Writer};
use quorate_types::{LedgerTime, Number, Parameters, Transaction, VoidReason};

/// One session as it stands in the state: every number below `low` is used, and those whose bit is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    pub low: Number,
    /// The time of the block that last consumed a number of it.
    pub last_activity: LedgerTime,
    /// Bit i, lowest first, stands for `low + i`; no zero bytes at the end.
    pub used: Vec<u8>,
}

impl Session {
    /// The leaf's bytes: low ‖ last activity ‖ bitmap.
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::untagged().u64(self.low.get()).u64(self.last_activity.0).short(&self.used).finish()
    }

    /// Reads a session's leaf.
    ///
    /// # Errors
    /// If the bytes are not exactly one leaf.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(bytes);
        let session = Self {
            low: Number::new(reader.u64()?),
            last_activity: LedgerTime(reader.u64()?),
            used: reader.short()?.to_vec(),
        };
        reader.end()?;
        Ok(session)
    }

    /// Whether a number was used.
    pub fn is_used(&self, number: Number) -> bool {
        if number < self.low {
            return true;
        }
        let offset = number.above(self.low);
        let byte = usize::try_from(offset / 8).ok().and_then(|at| self.used.get(at));
        byte.is_some_and(|byte| byte >> (offset % 8) & 1 == 1)
    }

    /// Why a number may not be consumed, if it may not.
    pub fn refuses(&self, number: Number, window: u32) -> Option<VoidReason> {
        if number < self.low {
            Some(VoidReason::NumberBelowWindow)
        } else if number.above(self.low) >= u64::from(window) {
            Some(VoidReason::NumberAboveWindow)
        } else if self.is_used(number) {
            Some(VoidReason::NumberUsed)
        } else {
            None
        }
    }

    /// Consumes a number that [`Session::refuses`] does not refuse. `low` moves over used numbers only.
    pub fn consume(&mut self, number: Number, time: LedgerTime) {
        let offset = usize::try_from(number.above(self.low)).unwrap_or(usize::MAX);
        if self.used.len() <= offset / 8 {
            self.used.resize(offset / 8 + 1, 0);
        }
        self.used[offset / 8] |= 1 << (offset % 8);
        self.last_activity = self.last_activity.max(time);
        self.slide();
    }

    fn slide(&mut self) {
        let free = (0..self.used.len() * 8).find(|at| self.used[at / 8] >> (at % 8) & 1 == 0);
        let shift = free.unwrap_or(self.used.len() * 8);
        if shift > 0 {
            let mut moved = vec![0; self.used.len()];
            for at in shift..self.used.len() * 8 {
                if self.used[at / 8] >> (at % 8) & 1 == 1 {
                    moved[(at - shift) / 8] |= 1 << ((at - shift) % 8);
                }
            }
            self.used = moved;
            self.low = self.low.plus(shift as u64);
        }
        while self.used.last() == Some(&0) {
            self.used.pop();
        }
    }
}

/// Why an inclusion at this time would be void for its validity span, if it would (C1): `t ≤ valid_until ≤ t + V`.
pub fn refused_by_time(
    transaction: &Transaction,
    time: LedgerTime,
    parameters: &Parameters,
) -> Option<VoidReason> {
    if transaction.valid_until < time {
        Some(VoidReason::Expired)
    } else if transaction.valid_until > time.plus_millis(parameters.max_validity_ms) {
        Some(VoidReason::ValidTooLong)
    } else {
        None
    }
}

/// What a gateway may tell a client before ordering (C3): advice, for the state may differ when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Ok,
    /// An inclusion in the next block would be void for this reason.
    WouldBeVoid(VoidReason),
}

