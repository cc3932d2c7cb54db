//! Clients that wait at this gateway (C2, C3).

use crate::recent::Consumed;
use quorate_types::TransactionId;
use std::collections::{BTreeMap, BTreeSet};

/// Tokens that may wait: each stands for a call of a client.
const MOST_WAITING: usize = 65_536;

/// Who waits for which transaction.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    by_id: BTreeMap<TransactionId, BTreeSet<u64>>,
    by_number: BTreeMap<Consumed, BTreeSet<TransactionId>>,
    number_of: BTreeMap<TransactionId, Consumed>,
    by_token: BTreeMap<u64, TransactionId>,
}

impl Gateway {
    /// Whether there is room for another waiter.
    pub(crate) fn has_room(&self) -> bool {
        self.by_token.len() < MOST_WAITING
    }

    pub(crate) fn wait(&mut self, token: u64, id: TransactionId, number: Option<Consumed>) {
        self.by_token.insert(token, id);
        self.by_id.entry(id).or_default().insert(token);
        if let Some(number) = number {
            self.by_number.entry(number).or_default().insert(id);
            self.number_of.insert(id, number);
        }
    }

    /// Whether anybody waits for this transaction.
    pub(crate) fn waits_for(&self, id: &TransactionId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Removes and returns who waits for this transaction.
    pub(crate) fn take(&mut self, id: &TransactionId) -> BTreeSet<u64> {
        let tokens = self.by_id.remove(id).unwrap_or_default();
        for token in &tokens {
            self.by_token.remove(token);
        }
        if let Some(number) = self.number_of.remove(id)
            && let Some(ids) = self.by_number.get_mut(&number)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.by_number.remove(&number);
            }
        }
        tokens
    }

    /// Transactions that are waited for and whose number this is.
    pub(crate) fn waiting_for_number(&self, number: &Consumed) -> Vec<TransactionId> {
        self.by_number.get(number).into_iter().flatten().copied().collect()
    }

    /// Removes and returns all who wait.
    pub(crate) fn take_all(&mut self) -> Vec<u64> {
        std::mem::take(self).by_token.into_keys().collect()
    }

    /// Nobody listens to this token any more.
    pub(crate) fn forget(&mut self, token: u64) {
        let Some(id) = self.by_token.remove(&token) else { return };
        if let Some(tokens) = self.by_id.get_mut(&id) {
            tokens.remove(&token);
            if tokens.is_empty() {
                self.take(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
