//! Admission control: what a gateway may expect of a transaction before it lets it in.

use crate::block::ExecutedBlock;
use crate::registry::is_registered;
use crate::rules::Rules;
use crate::sessions;
use crate::state::State;
use crate::tree::{Changes, Leaves, change};
use quorate_types::{ErrorCode, LedgerTime, StateKey, Transaction, VoidReason, Wall};
use std::sync::Arc;

/// What a gateway may expect of a transaction, by its own executed state and clock. Advice: only a block decides (C1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Nothing speaks against it.
    Ok,
    /// The session's window has the number as used.
    AlreadyUsed,
    /// The number is below the session's window: used.
    BelowLow,
    AboveWindow,
    TooManySessions,
    Unregistered,
    Expired,
    ValidTooLong,
}

impl Admission {
    /// The error that a refusal is answered with; `None` if it is admitted.
    pub const fn error_code(self) -> Option<ErrorCode> {
        match self {
            Self::Ok => None,
            Self::AlreadyUsed | Self::BelowLow => Some(ErrorCode::NumberUsed),
            Self::AboveWindow => Some(ErrorCode::NumberOutsideWindow),
            Self::TooManySessions => Some(ErrorCode::TooManySessions),
            Self::Unregistered => Some(ErrorCode::Unregistered),
            Self::Expired => Some(ErrorCode::Expired),
            Self::ValidTooLong => Some(ErrorCode::ValidTooLong),
        }
    }
}

impl From<Result<(), VoidReason>> for Admission {
    fn from(result: Result<(), VoidReason>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(VoidReason::Unregistered) => Self::Unregistered,
            Err(VoidReason::Expired) => Self::Expired,
            Err(VoidReason::ValidTooLong) => Self::ValidTooLong,
            Err(VoidReason::NumberBelowWindow) => Self::BelowLow,
            Err(VoidReason::NumberAboveWindow) => Self::AboveWindow,
            Err(VoidReason::NumberUsed) => Self::AlreadyUsed,
            Err(VoidReason::TooManySessions) => Self::TooManySessions,
        }
    }
}

/// The ledger's own leaves after some block: sessions and clients. It is kept beside the state by whoever admits transactions,
/// since what it says depends on the blocks that it was told of and on nothing that happens meanwhile.
#[derive(Clone, Debug)]
pub struct AdmissionControl {
    rules: Arc<Rules>,
    time: LedgerTime,
    leaves: Leaves,
}

/// The part of a block's changes that admission control needs.
pub(crate) fn own_changes(changes: &Changes) -> Changes {
    let own = changes.iter().take_while(|(key, _)| StateKey::is_own(key));
    own.map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl AdmissionControl {
    pub(crate) fn of(state: &State) -> Self {
        let own = state.leaves().iter().take_while(|(key, _)| StateKey::is_own(key));
        Self {
            rules: state.rules.clone(),
            time: state.time(),
            leaves: own.map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }

    /// The next block was executed.
    pub fn executed(&mut self, block: &ExecutedBlock) {
        self.time = block.header.time;
        for (key, value) in &block.own_changes {
            change(&mut self.leaves, key, value.as_ref());
        }
    }

    /// What would become of this transaction in a block that is made now: in ledger time or by this wall clock, whichever
    /// is later, since an idle ledger's time stands still.
    pub fn check(&self, transaction: &Transaction, now: Wall) -> Admission {
        let time = self.time.max(LedgerTime(now.0));
        self.check_at(transaction, time).into()
    }

    fn check_at(&self, transaction: &Transaction, time: LedgerTime) -> Result<(), VoidReason> {
        let (leaves, rules) = (&self.leaves, &self.rules);
        if !is_registered(leaves, rules.registry, &transaction.sender) {
            return Err(VoidReason::Unregistered);
        }
        sessions::check_validity(transaction, time, &rules.parameters)?;
        let session = sessions::session(leaves, transaction.sender, transaction.session);
        sessions::check_number(session.as_ref(), transaction.number, &rules.parameters)?;
        let count = sessions::session_count(leaves, transaction.sender);
        // The next block may evict sessions before it opens this one; on an idle ledger only a new transaction makes it.
        if session.is_none()
            && count >= rules.parameters.sessions_per_client
            && !sessions::review_is_due(leaves, time)
        {
            return Err(VoidReason::TooManySessions);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
