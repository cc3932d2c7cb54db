//! The end of an epoch (G2). One replica lives in one epoch: the host starts another one for the next, from what is stored.
//!
//! That a slot is the last one of its epoch is known once the block that changes the members is executed, which is at or below the
//! checkpoint before the slot's own. Slots above the last one may have been proposed, voted on and decided before: that counts for nothing
//! (F1), since none of them is handed to execution before everything up to the checkpoint below it is executed.

use crate::outbox::{Effect, Outbox};
use crate::replica::Replica;
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::Signer;
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{Now, Outlook, ReplicaId, Seq, Status};

impl<S: Signer> Replica<S> {
    /// What the executed state asks of the blocks to come.
    pub(crate) fn look_ahead(&mut self, outlook: Outlook, out: &mut Outbox) {
        self.obligation = outlook.obligation;
        // A fetched state may be that with which the epoch began: what it knows of is the end of the one before.
        let closes = outlook.closes.filter(|last| *last > self.config.members.after());
        if self.closes.is_some() || closes.is_none() {
            return;
        }
        self.closes = closes;
        self.void_slots_beyond_end();
        self.reclaim_custody();
        self.close_epoch(out);
    }

    /// What was decided above the last slot is void. What was prepared there stays: until the epoch is over here, VIEW-CHANGEs tell of it as
    /// of everything else, or the members who do not know of the end yet would see two decisions of one slot (V2, V7).
    pub(crate) fn void_slots_beyond_end(&mut self) {
        let Some(last) = self.closes else { return };
        for (_, slot) in self.slots.range_mut(last.next()..) {
            hit("slots beyond the end of the epoch are void");
            slot.decided = None;
            slot.commit_certificate = None;
            slot.commits.clear();
        }
    }

    /// Whether a slot is known to belong to the next epoch.
    pub(crate) fn is_beyond_end(&self, seq: Seq) -> bool {
        self.closes.is_some_and(|last| seq > last)
    }

    /// Whether a slot may be handed to execution: whether it is this epoch's is known only once everything up to the checkpoint
    /// below it is executed.
    pub(crate) fn is_of_this_epoch(&self, seq: Seq) -> bool {
        let below = seq.previous();
        let checkpoint = below.minus(below.get() % self.config.parameters.checkpoint_every);
        mutant("m56") || (self.executed >= checkpoint && self.closes.is_none_or(|last| seq <= last))
    }

    /// The epoch is over here once its last block is stable: whoever is behind can be given the proof of it (K2).
    pub(crate) fn close_epoch(&mut self, out: &mut Outbox) {
        if let Some(last) = self.closes
            && self.stable.base() == last
            && last > self.config.members.after()
        {
            hit("an epoch ends");
            out.push(Effect::CloseEpoch { last });
        }
    }

    /// The state with which the epoch began must be stored, which a restart may have found unstored: whoever comes without it cannot use the
    /// blocks below, nor an older state, of which the certificates are of former keys (T1).
    pub(crate) fn store_opening(&self, out: &mut Outbox) {
        let seq = self.config.members.after();
        if seq > Seq::ZERO && self.stable.base() == seq && self.executed >= seq {
            out.push(Effect::StoreState { seq, certificate: self.config.members.closing().cloned() });
        }
    }

    /// A peer that is in an older epoch lacks its end; one that is in a later epoch has what is missing here.
    pub(crate) fn on_status_of_other_epoch(
        &mut self,
        now: Now,
        from: ReplicaId,
        status: &Status,
        out: &mut Outbox,
    ) -> Verdict {
        // Where it was in this epoch tells nothing any more of what it can give.
        self.peers.status.remove(&from);
        if status.epoch > self.epoch() {
            self.peers.fetch.hint = Some(from);
            return Verdict::Ignored(Ignored::OtherEpoch);
        }
        if self.may_repair(from, now) {
            out.push(Effect::SupplyHandover { to: from, epoch: status.epoch });
        }
        Verdict::Accepted
    }
}

#[cfg(test)]
mod tests;
