//! Proposing: what a primary does with what it holds (N1, K6).

use crate::outbox::Outbox;
use crate::replica::Replica;
use crate::slot::Offer;
use crate::timers::Timer;
use quorate_crypto::{HashedBatch, Signer};
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{LedgerTime, Message, Monotonic, Now, Proposal, Seq, Statement};
use std::sync::Arc;
use std::time::Duration;

/// How a primary lets requests gather while blocks are under way (N1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Gathering {
    /// What waits has gathered long enough.
    pub(crate) over: bool,
    /// An own proposal whose way to a decision is timed, and when it was made.
    timed: Option<(Seq, Monotonic)>,
    /// How long that took lately.
    decided_after: Duration,
}

impl Gathering {
    fn proposed(&mut self, seq: Seq, now: Monotonic) {
        self.over = false;
        self.timed = self.timed.or(Some((seq, now)));
    }

    /// Slots up to this one are decided.
    fn decided(&mut self, seq: Seq, now: Monotonic) {
        if let Some((_, at)) = self.timed.take_if(|(timed, _)| *timed <= seq) {
            self.decided_after = (self.decided_after * 3 + now.since(at)) / 4;
        }
    }
}

impl<S: Signer> Replica<S> {
    /// N1: proposes while fewer than DEPTH own slots are uncommitted and enough waits. If no block is under way one request is
    /// enough; what arrives while one is gathers for the next, for half as long as a block takes, within bounds.
    pub(crate) fn propose(&mut self, now: Now, out: &mut Outbox) {
        self.gathering.decided(self.delivered, now.monotonic);
        // Blocks of a later view may have come before its NEW-VIEW: slots that are decided need no proposal.
        self.next_proposal = self.next_proposal.max(self.delivered.next());
        if self.is_primary()
            && self.active
            && self.next_proposal > self.window_end()
            && self.custody.has_ready()
        {
            hit("the window is full");
        }
        while self.may_propose() && self.custody.has_ready() && self.is_worth_a_block() {
            let seq = self.next_proposal;
            let parameters = &self.config.parameters;
            let most = parameters.block_max_transactions as usize;
            let transactions = self.custody.cut(seq, most, parameters.block_max_bytes as usize);
            if transactions.is_empty() {
                return;
            }
            self.propose_batch(HashedBatch::of(LedgerTime(now.wall.0), transactions), out);
            self.gathering.proposed(seq, now.monotonic);
            self.timers.cancel(Timer::Gather);
        }
        if self.may_propose() && self.custody.has_ready() && !self.timers.is_set(Timer::Gather) {
            let tuning = &self.config.tuning;
            let half = self.gathering.decided_after / 2;
            let gather = half.clamp(tuning.gather_least, tuning.gather_most);
            self.timers.set(Timer::Gather, now.monotonic.plus(gather));
        }
    }

    /// N1: a block costs the same votes, syncs and signatures however little is in it. The more blocks are under way, the more
    /// must wait for the next one.
    fn is_worth_a_block(&self) -> bool {
        let Some(others) = self.uncommitted_proposals().checked_sub(1) else { return true };
        let times = 4_usize.saturating_pow(u32::try_from(others).unwrap_or(u32::MAX));
        let least = self.config.tuning.gather_requests.saturating_mul(times);
        let most = self.config.parameters.block_max_transactions as usize;
        self.gathering.over || self.custody.worth() >= least.min(most)
    }

    fn may_propose(&self) -> bool {
        self.is_primary()
            && self.active
            && self.can_vote()
            && !self.catching_up
            && self.next_proposal <= self.window_end()
            && self.uncommitted_proposals() < self.config.parameters.depth
            && (mutant("m55") || !self.pledges.abstains(self.view, self.next_proposal))
    }

    /// Own slots that are proposed and not decided.
    fn uncommitted_proposals(&self) -> u64 {
        let first = self.delivered.next();
        let undecided =
            self.slots.range(first..self.next_proposal.max(first)).filter(|(_, slot)| slot.decided.is_none());
        undecided.count() as u64
    }

    /// The proposal is the primary's vote: it sends no PREPARE (N1).
    fn propose_batch(&mut self, batch: HashedBatch, out: &mut Outbox) {
        let (seq, view, digest) = (self.next_proposal, self.view, batch.digest());
        let batch = Arc::new(batch);
        self.next_proposal = seq.next();
        let pre_prepare = self.pledges.pledge(Statement::PrePrepare { view, seq, digest }, out);
        let signature = pre_prepare.signature;
        let Some(slot) = self.slot_mut(seq) else { return };
        slot.offers = vec![Offer { view, digest, signature }];
        slot.bodies.insert(digest, batch.clone());
        self.record_proposal(seq, digest, &batch, out);
        out.broadcast_early(Message::Proposal(Proposal { pre_prepare, batch: batch.batch().clone() }));
        self.advance(seq, out);
    }

    /// K6: an idle primary makes an empty block when the state has an obligation whose time has come.
    pub(crate) fn on_tick(&mut self, now: Now, out: &mut Outbox) {
        let due = self.obligation.is_some_and(|time| time.0 <= now.wall.0);
        let idle = self.next_proposal == self.executed.next();
        if due && idle && self.may_propose() && !self.custody.has_ready() {
            self.propose_batch(HashedBatch::of(LedgerTime(now.wall.0), Vec::new()), out);
        }
    }

    /// Where proposing goes on after a NEW-VIEW (V7).
    pub(crate) fn continue_after(&mut self, last: Seq) {
        self.gathering = Gathering::default();
        self.next_proposal = last.max(self.base.base()).next();
        if mutant("m25") {
            self.next_proposal = self.next_proposal.next();
        }
    }
}
