//! Requests that this replica holds and answers for until they are executed (C2).

use crate::verdict::Ignored;
use quorate_crypto::HashedTransaction;
use quorate_types::{
    LedgerTime, Monotonic, Number, PublicKey, ReplicaId, Seq, SessionId, SignedTransaction, TransactionId,
    limits,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The number that a transaction consumes.
pub(crate) type Slot3 = (PublicKey, SessionId, Number);

/// What several senders share of a batch, and the least that each of them has.
const SHARED: usize = 512;
const LEAST_SHARE: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    transaction: HashedTransaction,
    /// Its place in the order of arrival.
    order: u64,
    /// The peer on whose word it is held; `None` for a client of this gateway or an accepted proposal.
    peer: Option<ReplicaId>,
    since: Monotonic,
    /// The slot whose accepted proposal contains it.
    in_slot: Option<Seq>,
    forwarded: Monotonic,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Sender {
    /// In order of arrival, those in a slot included.
    queue: BTreeSet<(u64, TransactionId)>,
    bytes: usize,
}

/// The requests held: the oldest first, and round-robin over senders when a batch is cut (N1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Custody {
    held: BTreeMap<TransactionId, Held>,
    by_order: BTreeMap<u64, TransactionId>,
    by_number: BTreeMap<Slot3, BTreeSet<TransactionId>>,
    senders: BTreeMap<PublicKey, Sender>,
    /// Requests in no slot, by sender: what a batch is cut from.
    ready: BTreeMap<PublicKey, BTreeSet<(u64, TransactionId)>>,
    /// The same in the order of arrival.
    ready_by_order: BTreeMap<u64, TransactionId>,
    /// So many of them were over their sender's share when a batch was last cut.
    held_back: usize,
    /// The order in which senders are served, kept from batch to batch.
    turn: VecDeque<PublicKey>,
    by_peer: BTreeMap<ReplicaId, usize>,
    by_expiry: BTreeSet<(LedgerTime, TransactionId)>,
    bytes: usize,
    next_order: u64,
}

fn number_of(signed: &SignedTransaction) -> Slot3 {
    let transaction = &signed.transaction;
    (transaction.sender, transaction.session, transaction.number)
}

impl Custody {
    /// Takes a request in. `peer` is who forwarded it, if it came by FORWARD.
    pub(crate) fn admit(
        &mut self,
        transaction: HashedTransaction,
        peer: Option<ReplicaId>,
        now: Monotonic,
    ) -> Result<(), Ignored> {
        if self.held.contains_key(&transaction.id()) {
            return Err(Ignored::Duplicate);
        }
        let size = transaction.signed().size();
        let from_sender = self.senders.get(&transaction.signed().transaction.sender);
        let (count, bytes) = from_sender.map_or((0, 0), |sender| (sender.queue.len(), sender.bytes));
        let peer_count = peer.and_then(|peer| self.by_peer.get(&peer)).copied().unwrap_or(0);
        if count >= limits::CUSTODY_REQUESTS_PER_SENDER
            || bytes + size > limits::CUSTODY_BYTES_PER_SENDER
            || self.bytes + size > limits::CUSTODY_BYTES
            || peer_count >= limits::CUSTODY_REQUESTS_PER_PEER
        {
            return Err(Ignored::CustodyFull);
        }
        self.insert(transaction, peer, now, None);
        Ok(())
    }

    /// Takes in what an accepted proposal contains: it is bounded by the window, not by the quotas (V10).
    pub(crate) fn adopt(&mut self, transaction: HashedTransaction, seq: Seq, now: Monotonic) {
        match self.held.get(&transaction.id()) {
            Some(_) => self.mark(&transaction.id(), Some(seq)),
            None => self.insert(transaction, None, now, Some(seq)),
        }
    }

    fn insert(
        &mut self,
        transaction: HashedTransaction,
        peer: Option<ReplicaId>,
        now: Monotonic,
        in_slot: Option<Seq>,
    ) {
        let id = transaction.id();
        let order = self.next_order;
        self.next_order += 1;
        let signed = transaction.signed();
        let (sender, size) = (signed.transaction.sender, signed.size());
        self.by_order.insert(order, id);
        self.by_number.entry(number_of(signed)).or_default().insert(id);
        self.by_expiry.insert((signed.transaction.valid_until, id));
        let entry = self.senders.entry(sender).or_default();
        entry.queue.insert((order, id));
        entry.bytes += size;
        self.bytes += size;
        if let Some(peer) = peer {
            *self.by_peer.entry(peer).or_default() += 1;
        }
        if in_slot.is_none() {
            self.make_ready(sender, order, id);
        }
        self.held.insert(id, Held { transaction, order, peer, since: now, in_slot, forwarded: now });
    }

    fn make_ready(&mut self, sender: PublicKey, order: u64, id: TransactionId) {
        let queue = self.ready.entry(sender).or_default();
        if queue.is_empty() {
            self.turn.push_back(sender);
        }
        queue.insert((order, id));
        self.ready_by_order.insert(order, id);
    }

    fn unready(&mut self, sender: &PublicKey, order: u64, id: TransactionId) {
        if let Some(queue) = self.ready.get_mut(sender)
            && queue.remove(&(order, id))
        {
            self.ready_by_order.remove(&order);
            if queue.is_empty() {
                self.ready.remove(sender);
                self.turn.retain(|waiting| waiting != sender);
            }
        }
    }

    /// Says in which slot's accepted proposal a request is, if in any.
    pub(crate) fn mark(&mut self, id: &TransactionId, in_slot: Option<Seq>) {
        let Some(held) = self.held.get_mut(id) else { return };
        held.in_slot = in_slot;
        let (sender, order) = (held.transaction.signed().transaction.sender, held.order);
        match in_slot {
            Some(_) => self.unready(&sender, order, *id),
            None => self.make_ready(sender, order, *id),
        }
    }

    /// Frees every request that is in a slot above `executed`: a view change decides anew what is in a slot.
    pub(crate) fn unmark_all(&mut self) {
        let marked: Vec<TransactionId> =
            self.held.iter().filter(|(_, held)| held.in_slot.is_some()).map(|(id, _)| *id).collect();
        for id in marked {
            self.mark(&id, None);
        }
    }

    /// Lets the sender of the oldest request in no slot be served next. That request is what timers run for (V10): where batches
    /// are small and views short, a round of senders could pass it over in view after view.
    fn oldest_goes_first(&mut self) {
        let oldest = self.ready_by_order.first_key_value().map(|(_, id)| &self.held[id]);
        if let Some(sender) = oldest.map(|held| held.transaction.signed().transaction.sender)
            && self.turn.front() != Some(&sender)
        {
            self.turn.retain(|waiting| *waiting != sender);
            self.turn.push_front(sender);
        }
    }

    /// Cuts a batch: the oldest request, then round-robin over senders, oldest first of each (N1). The requests stay held. If there
    /// are several senders, none has more than its share of [`SHARED`] in it: who floods would else make the batches, and the time
    /// that they take, as large as it likes (C5).
    pub(crate) fn cut(&mut self, seq: Seq, most: usize, most_bytes: usize) -> Vec<HashedTransaction> {
        self.oldest_goes_first();
        let each = if self.ready.len() > 1 { (SHARED / self.ready.len()).max(LEAST_SHARE) } else { most };
        let mut taken: BTreeMap<PublicKey, usize> = BTreeMap::new();
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut numbers = BTreeSet::new();
        let mut skipped = VecDeque::new();
        while batch.len() < most {
            let Some(sender) = self.turn.pop_front() else { break };
            let Some(next) = self.ready.get(&sender).and_then(|queue| queue.first().copied()) else {
                continue;
            };
            let (order, id) = next;
            let share = taken.entry(sender).or_default();
            if *share >= each {
                skipped.push_back(sender);
                continue;
            }
            *share += 1;
            let transaction = self.held[&id].transaction.clone();
            let size = transaction.signed().size();
            if bytes + size > most_bytes {
                skipped.push_front(sender);
                break;
            }
            if !numbers.insert(number_of(transaction.signed())) {
                // Another transaction of the same number is in this batch already (N2): not in this one.
                skipped.push_back(sender);
                continue;
            }
            // `mark` drops an emptied sender from the turn; one with more to send goes to the end.
            self.turn.push_back(sender);
            self.held.get_mut(&id).expect("held").in_slot = Some(seq);
            self.unready(&sender, order, id);
            bytes += size;
            batch.push(transaction);
        }
        for sender in skipped.into_iter().rev() {
            self.turn.push_front(sender);
        }
        let over = |(sender, taken): (&PublicKey, &usize)| {
            let left = self.ready.get(sender).map_or(0, BTreeSet::len);
            if *taken >= each { left } else { 0 }
        };
        self.held_back = taken.iter().map(over).sum();
        batch
    }

    /// Removes one request.
    pub(crate) fn remove(&mut self, id: &TransactionId) -> bool {
        let Some(held) = self.held.remove(id) else { return false };
        let signed = held.transaction.signed();
        let (sender, size) = (signed.transaction.sender, signed.size());
        self.unready(&sender, held.order, *id);
        self.by_order.remove(&held.order);
        self.by_expiry.remove(&(signed.transaction.valid_until, *id));
        if let Some(ids) = self.by_number.get_mut(&number_of(signed)) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_number.remove(&number_of(signed));
            }
        }
        if let Some(entry) = self.senders.get_mut(&sender) {
            entry.queue.remove(&(held.order, *id));
            entry.bytes -= size;
            if entry.queue.is_empty() {
                self.senders.remove(&sender);
            }
        }
        self.bytes -= size;
        if let Some(count) = held.peer.and_then(|peer| self.by_peer.get_mut(&peer)) {
            *count -= 1;
        }
        true
    }

    /// Removes every request for a number that was consumed (C2, F15).
    pub(crate) fn remove_number(&mut self, number: &Slot3) {
        for id in self.by_number.get(number).cloned().unwrap_or_default() {
            self.remove(&id);
        }
    }

    /// Forgets all requests (T4).
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Removes requests that can no longer be executed: their `valid_until` is before `time`, or before the wall
    /// clock less the skew that clocks may err by.
    pub(crate) fn remove_expired(&mut self, time: LedgerTime) {
        while let Some((valid_until, id)) = self.by_expiry.first().copied() {
            if valid_until >= time {
                break;
            }
            self.remove(&id);
        }
    }

    /// The oldest request with the slot it is in (V10).
    pub(crate) fn oldest(&self) -> Option<(TransactionId, Option<Seq>)> {
        let id = self.by_order.values().next()?;
        Some((*id, self.held[id].in_slot))
    }

    /// Requests in no slot that were last forwarded `since` or earlier, oldest first, marked as forwarded now (C2).
    pub(crate) fn forward_overdue(
        &mut self,
        until: Monotonic,
        now: Monotonic,
        most: usize,
    ) -> Vec<SignedTransaction> {
        let mut forward = Vec::new();
        for id in self.ready_by_order.values() {
            if forward.len() >= most {
                break;
            }
            let held = self.held.get_mut(id).expect("held");
            if held.forwarded <= until {
                held.forwarded = now;
                forward.push(held.transaction.signed().clone());
            }
        }
        forward
    }

    /// Whether a request in no slot waits for its next forwarding.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready_by_order.is_empty()
    }

    /// Requests in no slot that make a block worth its cost: not those that their senders' shares hold back.
    pub(crate) fn worth(&self) -> usize {
        self.ready_by_order.len().saturating_sub(self.held_back)
    }

    /// The oldest request in no slot, and since when it is held (V12).
    pub(crate) fn oldest_ready(&self) -> Option<(TransactionId, Monotonic)> {
        let (_, id) = self.ready_by_order.first_key_value()?;
        Some((*id, self.held[id].since))
    }

    /// The first `most` requests in no slot, for a new primary that may lack them.
    pub(crate) fn ready_transactions(&self, most: usize) -> Vec<SignedTransaction> {
        let ready = self.ready_by_order.values().take(most);
        ready.map(|id| self.held[id].transaction.signed().clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
