//! The replica: its state, and one match on the input. What each input means stands in the file of its clause.

use crate::batching::Gathering;
use crate::checkpoint::Checkpoints;
use crate::config::Config;
use crate::custody::Custody;
use crate::execution::Attestations;
use crate::input::{Input, Recovered};
use crate::outbox::{Outbox, Report};
use crate::pledges::Pledges;
use crate::recovery::Greeting;
use crate::repair::Peers;
use crate::slot::Slot;
use crate::status::{Phase, ReplicaStatus};
use crate::timers::{Timer, Timers};
use crate::turnaround::Turnaround;
use crate::verdict::{Evidence, Ignored, Verdict};
use crate::view_change::ViewChanges;
use quorate_crypto::{CheckedMessage, HashedTransaction, Signer, Verified};
use quorate_types::{
    BaseProof, Digest, Epoch, Message, Monotonic, Now, Parameters, Quorums, ReplicaId, Seq, StatementKind,
    Suspicion, View, limits,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// One replica's protocol state (S). Everything it does follows from its start and its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica<S> {
    pub(crate) config: Config,
    pub(crate) pledges: Pledges<S>,
    pub(crate) view: View,
    /// Whether this replica takes part in `view`, or waits for its NEW-VIEW.
    pub(crate) active: bool,
    /// The highest proven checkpoint: votes are for base+1 … base+L.
    pub(crate) base: BaseProof,
    /// The stable checkpoint whose state is held: truncation goes by it.
    pub(crate) stable: BaseProof,
    /// Blocks up to here are durable and the state there can be rebuilt (K1).
    pub(crate) durable: Seq,
    /// Slots above stable.
    pub(crate) slots: BTreeMap<Seq, Slot>,
    /// Handed over to execution, in order.
    pub(crate) delivered: Seq,
    pub(crate) executed: Seq,
    pub(crate) executed_time: quorate_types::LedgerTime,
    /// Header hashes of executed blocks above the stable checkpoint and of the checkpoint itself (K4).
    pub(crate) headers: BTreeMap<Seq, Digest>,
    pub(crate) obligation: Option<quorate_types::LedgerTime>,
    /// The last slot of this epoch, if that is known (G1): nothing above it is decided by these members.
    pub(crate) closes: Option<Seq>,
    /// The next sequence number to propose when primary.
    pub(crate) next_proposal: Seq,
    pub(crate) gathering: Gathering,
    pub(crate) custody: Custody,
    pub(crate) attestations: Attestations,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) view_changes: ViewChanges,
    pub(crate) suspicion: Option<Suspicion>,
    /// Proof that this view's primary misbehaves was sent along already.
    pub(crate) condemned: BTreeMap<ReplicaId, Evidence>,
    pub(crate) timers: Timers,
    /// The timeout of V6 and V10.
    pub(crate) timeout: Duration,
    /// Executions of the oldest request in a row without suspicion (V6).
    pub(crate) calm: u64,
    /// What the request timer runs for (V10).
    pub(crate) request_timer_for: Option<RequestTimer>,
    pub(crate) turnaround: Turnaround,
    /// When an empty batch was last accepted (K6).
    pub(crate) last_empty: Option<Monotonic>,
    pub(crate) peers: Peers,
    pub(crate) greeting: Greeting,
    pub(crate) learner: bool,
    pub(crate) halted: bool,
    /// Nothing is said of executed blocks up to here: another start may have said something else (K4).
    pub(crate) disputed: Seq,
    pub(crate) catching_up: bool,
    /// A fetched state that takes the place of the executed one: until then nothing is handed to execution (T3).
    pub(crate) installing: Option<Seq>,
    /// The highest slot for which the log held a certificate at the start (N9, F2).
    pub(crate) mark_floor: Seq,
    /// The last moment at which something progressed, for the rate of STATUS (R1).
    pub(crate) progress: (Position, Monotonic),
    /// Base moved in this turn: what was buffered beyond the window may fit now (N2).
    pub(crate) window_moved: bool,
}

/// What must move while something is missing (R1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Position {
    executed: Seq,
    certified: Seq,
    base: Seq,
    view: View,
}

/// What the request timer is bound to: an expiry for anything else is stale (V10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestTimer {
    pub(crate) view: View,
    pub(crate) head: Head,
}

/// The oldest thing in custody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Head {
    Request(quorate_types::TransactionId),
    /// An obligation of the executed state that needs a block (K6).
    Obligation(quorate_types::LedgerTime),
    /// A window that is used up, from this base, while requests wait.
    Window(Seq),
}

impl<S: Signer> Replica<S> {
    /// Starts from what was found on disk; sends nothing but HELLO until q−1 others have answered (D6).
    ///
    /// # Panics
    /// If `config.me` is no member, or what was recovered contradicts itself: both are for the caller to refuse first.
    pub fn start(config: Config, signer: S, recovered: Recovered, now: Now, out: &mut Outbox) -> Self {
        let member = config.members.get(config.me).expect("`me` is a member");
        assert_eq!(member.vote, signer.public_key(), "the signer holds the member's vote key");
        let mut replica = Self::blank(config, signer);
        replica.recover(recovered, now, out);
        replica.check_invariants();
        replica
    }

    /// What the members agreed on in their genesis.
    pub fn parameters(&self) -> &Parameters {
        &self.config.parameters
    }

    fn blank(config: Config, signer: S) -> Self {
        let epoch = config.members.epoch();
        let timeout = config.parameters.view_timeout();
        Self {
            pledges: Pledges::new(signer, config.me, *config.members.ledger(), epoch),
            view: View::ZERO,
            active: true,
            base: BaseProof::Genesis,
            stable: BaseProof::Genesis,
            durable: Seq::ZERO,
            slots: BTreeMap::new(),
            delivered: Seq::ZERO,
            executed: Seq::ZERO,
            executed_time: quorate_types::LedgerTime::default(),
            headers: BTreeMap::new(),
            obligation: None,
            closes: None,
            next_proposal: Seq::new(1),
            gathering: Gathering::default(),
            custody: Custody::default(),
            attestations: Attestations::default(),
            checkpoints: Checkpoints::default(),
            view_changes: ViewChanges::default(),
            suspicion: None,
            condemned: BTreeMap::new(),
            timers: Timers::default(),
            timeout,
            calm: 0,
            request_timer_for: None,
            turnaround: Turnaround::default(),
            last_empty: None,
            peers: Peers::default(),
            greeting: Greeting::new(config.nonce),
            learner: !config.may_vote,
            halted: false,
            disputed: Seq::ZERO,
            catching_up: false,
            installing: None,
            mark_floor: Seq::ZERO,
            progress: (Position::default(), Monotonic::default()),
            window_moved: false,
            config,
        }
    }

    /// Total: any input in any state. What it wants done goes into `out`; what it thought of the input is returned.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Outbox) -> Verdict {
        let verdict = match input {
            Input::Requests(requests) => self.on_requests(now, requests, out),
            Input::Message { from, message } => self.on_message(now, from, message.into_inner(), out),
            Input::Deadline => self.on_deadline(now, out),
            Input::PrimarySilent => self.on_primary_silent(out),
            Input::PrimaryHeard => self.on_primary_heard(out),
            Input::PeerConnected { peer } => self.on_peer_connected(peer, out),
            Input::Executed(execution) => self.on_executed(now, execution, out),
            Input::CheckpointDurable { seq } => self.on_checkpoint_durable(seq, out),
            Input::StateFetched { seq } => self.on_state_fetched(seq, out),
            Input::Installed(installed) => self.on_installed(*installed, out),
        };
        self.settle(now, out);
        self.check_invariants();
        verdict
    }

    fn on_message(
        &mut self,
        now: Now,
        from: ReplicaId,
        message: CheckedMessage,
        out: &mut Outbox,
    ) -> Verdict {
        if from.index() >= usize::from(self.n()) || from == self.me() {
            return Verdict::Ignored(Ignored::WrongSender);
        }
        match message {
            CheckedMessage::Proposal { pre_prepare, .. } if pre_prepare.signer == self.me() => {
                Verdict::Ignored(Ignored::Duplicate)
            }
            CheckedMessage::Proposal { pre_prepare, batch } => {
                self.on_proposal(now, from, pre_prepare, batch, out)
            }
            // Own statements come back only from the log, never from a peer (D6).
            CheckedMessage::Vote(signed) if signed.signer == self.me() => {
                Verdict::Ignored(Ignored::Duplicate)
            }
            CheckedMessage::Vote(signed) => match signed.statement.kind() {
                StatementKind::Prepare | StatementKind::Commit => self.on_vote(now, signed, out),
                StatementKind::Attest => self.on_attest(&signed, out),
                StatementKind::Checkpoint => self.on_checkpoint(&signed, out),
                _ => Verdict::Ignored(Ignored::Invalid),
            },
            CheckedMessage::ViewChange(view_change) => self.on_view_change(now, view_change, out),
            CheckedMessage::NewView(new_view) => self.on_new_view(now, new_view, out),
            CheckedMessage::CommitCertificate(certificate) => self.on_commit_certificate(certificate, out),
            CheckedMessage::BlockCertificate(certificate) => self.on_block_certificate(certificate, out),
            CheckedMessage::Body(batch) => self.on_body(now, &batch, out),
            CheckedMessage::Block(block) => self.on_block(now, from, &block, out),
            CheckedMessage::Forward(transactions) => self.on_forward(now, from, transactions, out),
            CheckedMessage::Evidence(pair) => self.on_evidence(*pair, out),
            CheckedMessage::Notice(notice) => self.on_notice(now, from, notice, out),
            // The host puts states together; the core is told of the whole (T3).
            CheckedMessage::StateParts(_) | CheckedMessage::StateLeaves(_) => {
                Verdict::Ignored(Ignored::Unasked)
            }
        }
    }

    fn on_requests(
        &mut self,
        now: Now,
        requests: Vec<Verified<HashedTransaction>>,
        out: &mut Outbox,
    ) -> Verdict {
        let mut verdict = Verdict::Accepted;
        let mut admitted = Vec::new();
        for request in requests {
            let request = request.into_inner();
            match self.custody.admit(request.clone(), None, now.monotonic) {
                Ok(()) => admitted.push(request.signed().clone()),
                Err(ignored) => verdict = Verdict::Ignored(ignored),
            }
        }
        self.forward_at_once(admitted, out);
        verdict
    }

    /// C2: whoever holds a request forwards it to the primary at once.
    fn forward_at_once(&mut self, transactions: Vec<quorate_types::SignedTransaction>, out: &mut Outbox) {
        if transactions.is_empty() {
            return;
        }
        if !self.active || self.doubts_primary() {
            out.broadcast(Message::Forward(transactions));
        } else if self.primary() != self.me() {
            out.send(self.primary(), Message::Forward(transactions));
        }
    }

    fn on_forward(
        &mut self,
        now: Now,
        from: ReplicaId,
        transactions: Vec<HashedTransaction>,
        out: &mut Outbox,
    ) -> Verdict {
        let mut verdict = Verdict::Accepted;
        let mut admitted = Vec::new();
        for transaction in transactions {
            match self.custody.admit(transaction.clone(), Some(from), now.monotonic) {
                Ok(()) => admitted.push(transaction.signed().clone()),
                Err(ignored) => verdict = Verdict::Ignored(ignored),
            }
        }
        if self.active && self.primary() != from {
            self.forward_at_once(admitted, out);
        }
        verdict
    }

    fn on_deadline(&mut self, now: Now, out: &mut Outbox) -> Verdict {
        while let Some(timer) = self.timers.take_due(now.monotonic) {
            match timer {
                Timer::Request => {
                    let _ = self.on_request_timeout(out);
                }
                Timer::NewView => self.on_new_view_timeout(now, out),
                Timer::Status => self.on_status_timer(now, out),
                Timer::Forward => self.on_forward_timer(now, out),
                Timer::Hello => self.on_hello_timer(now, out),
                Timer::Tick => self.on_tick(now, out),
                Timer::Fetch => self.on_fetch_timer(now, out),
                Timer::Gather => self.gathering.over = true,
                Timer::Order => {
                    let _ = self.on_order_timeout(now, out);
                }
            }
        }
        Verdict::Accepted
    }

    /// C2: requests that are in no slot go to all members, repeatedly, at a bounded rate.
    fn on_forward_timer(&mut self, now: Now, out: &mut Outbox) {
        let delay = u64::try_from(self.config.tuning.forward.as_micros()).unwrap_or(u64::MAX);
        self.forward_older(Monotonic(now.monotonic.0.saturating_sub(delay)), now, out);
    }

    /// V12: what a slow primary lets wait, the others shall hold too.
    pub(crate) fn forward_unordered(&mut self, now: Now, out: &mut Outbox) {
        let delay = u64::try_from(self.config.tuning.order_least.as_micros()).unwrap_or(u64::MAX);
        self.forward_older(Monotonic(now.monotonic.0.saturating_sub(delay)), now, out);
    }

    fn forward_older(&mut self, until: Monotonic, now: Now, out: &mut Outbox) {
        const MOST: usize = 256;
        let forward = self.custody.forward_overdue(until, now.monotonic, MOST);
        if !forward.is_empty() {
            out.broadcast(Message::Forward(forward));
        }
    }

    /// What follows from any input: votes due, proposals, timers.
    fn settle(&mut self, now: Now, out: &mut Outbox) {
        self.consider_view_change(now, out);
        let moved = std::mem::take(&mut self.window_moved);
        if moved {
            self.replay_buffered(now, out);
        }
        self.deliver(out);
        self.update_stable(out);
        if moved {
            self.forget_settled(out);
        }
        self.reserve(out);
        self.propose(now, out);
        self.deliver(out);
        self.catch_up(now, out);
        self.drop_expired(now);
        self.update_request_timer(now);
        self.update_order_timer(now, out);
        self.update_periodic_timers(now);
    }

    fn update_periodic_timers(&mut self, now: Now) {
        if self.custody.has_ready() && !self.timers.is_set(Timer::Forward) {
            self.timers.set(Timer::Forward, now.monotonic.plus(self.config.tuning.forward));
        }
        if self.obligation.is_some() && !self.timers.is_set(Timer::Tick) {
            self.timers.set(Timer::Tick, now.monotonic.plus(self.config.parameters.tick()));
        }
        let position = self.position();
        if position != self.progress.0 {
            self.progress = (position, now.monotonic);
        }
        if self.something_missing(now) {
            let soon = now.monotonic.plus(self.config.tuning.status_busy);
            self.timers.set_no_later(Timer::Status, soon);
        }
    }

    /// When [`Input::Deadline`] is due next.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.timers.next()
    }

    /// Why this replica would refuse to sign a statement, if it would. An auditor asks a replica that has just started from
    /// a disk whether it still stands by what it said before (D1).
    pub fn objection(&self, statement: &quorate_types::Statement) -> Option<String> {
        match statement.seq() {
            Some(seq) if statement.kind() != StatementKind::Attest && seq <= self.settled() => {
                Some(format!("{seq} is at or below the stable checkpoint, or a window below base"))
            }
            _ => self.pledges.objection(statement),
        }
    }

    /// Where the replica stands.
    pub fn status(&self) -> ReplicaStatus {
        ReplicaStatus {
            me: self.me(),
            epoch: self.epoch(),
            view: self.view,
            active: self.active,
            primary: self.primary(),
            phase: self.phase(),
            base: self.base.base(),
            stable: self.stable.base(),
            proposed: self.highest_proposed(),
            prepared: self.highest_prepared(),
            committed: self.delivered,
            executed: self.executed,
            certified: self.attestations.certified(),
            custody: self.custody.len(),
            custody_bytes: self.custody.bytes(),
            waiting: self.custody.len() > 0 || self.delivered < self.highest_proposed(),
            suspicion: self.suspicion,
            view_timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            view_changes: self.view_changes_for_pending(),
            hello_missing: self.hello_missing(),
            needs_state: self.needs_state(),
            installing: self.installing.is_some(),
            may_mark: self.can_vote() && self.executed >= self.mark_floor,
        }
    }

    fn phase(&self) -> Phase {
        if self.halted {
            Phase::Halted
        } else if self.learner {
            Phase::Learner
        } else if !self.greeting.complete {
            Phase::Starting
        } else if self.catching_up {
            Phase::CatchingUp
        } else if !self.active {
            Phase::ViewChange
        } else {
            Phase::Normal
        }
    }

    pub(crate) fn me(&self) -> ReplicaId {
        self.config.me
    }

    pub(crate) fn n(&self) -> u16 {
        self.config.members.count()
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.config.members.epoch()
    }

    pub(crate) fn quorums(&self) -> Quorums {
        self.config.members.quorums()
    }

    pub(crate) fn primary(&self) -> ReplicaId {
        self.config.members.primary(self.view)
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.primary() == self.me()
    }

    /// The highest slot in which votes are cast.
    pub(crate) fn window_end(&self) -> Seq {
        let end = self.base.base().plus(self.config.parameters.window);
        self.closes.map_or(end, |last| last.min(end))
    }

    /// Whether statements may be made: not before the HELLO replies (D6), not by a learner (L1), not once halted (K4).
    pub(crate) fn can_vote(&self) -> bool {
        self.greeting.complete && !self.learner && !self.halted
    }

    fn position(&self) -> Position {
        let certified = self.attestations.certified();
        Position { executed: self.executed, certified, base: self.base.base(), view: self.view }
    }

    pub(crate) fn highest_proposed(&self) -> Seq {
        let offered = self.slots.iter().rev().find(|(_, slot)| !slot.offers.is_empty());
        offered.map_or(self.executed, |(seq, _)| (*seq).max(self.executed))
    }

    fn highest_prepared(&self) -> Seq {
        let prepared = self.slots.iter().rev().find(|(_, slot)| slot.prepared.is_some());
        prepared.map_or(self.executed, |(seq, _)| (*seq).max(self.executed))
    }

    /// Stops voting for ever and says why (K4, N9).
    pub(crate) fn halt(&mut self, report: Report, out: &mut Outbox) {
        if !self.halted {
            self.halted = true;
            quorate_types::probes::hit("a replica stops for ever");
            out.report(report);
        }
    }

    /// The slot of `seq`, made if it lies in what may be held: above stable, within the window, and of what a transfer
    /// brings only the next few.
    pub(crate) fn slot_mut(&mut self, seq: Seq) -> Option<&mut Slot> {
        let near = self.executed.plus(2 * limits::FETCH_BLOCKS as u64);
        let transferred = seq <= self.base.base() && seq > near;
        if seq <= self.stable.base() || seq > self.window_end() || transferred {
            return None;
        }
        Some(self.slots.entry(seq).or_default())
    }
}

#[cfg(test)]
mod tests;
