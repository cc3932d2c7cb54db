//! Starting: what the log says was promised, and what peers hold of it (D2, D6, L1).

use crate::input::Recovered;
use crate::new_view;
use crate::outbox::{Outbox, Report, ViewChangeReason};
use crate::replica::Replica;
use crate::timers::Timer;
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::{CheckedRecord, HashedBatch, Signer};
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{
    BaseProof, BlockCertificate, Digest, Hello, HelloReply, Message, NewView, Notice, Now, Record, ReplicaId,
    Seq, SignedStatement, Statement, StatementKind, Suspicion, View,
};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The exchange of HELLOs after a start (D6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Greeting {
    nonce: [u8; 32],
    pub(crate) complete: bool,
    replies: BTreeSet<ReplicaId>,
    /// The store has never run: there is nothing to abdicate from.
    first_start: bool,
}

impl Greeting {
    pub(crate) fn new(nonce: [u8; 32]) -> Self {
        Self { nonce, complete: false, replies: BTreeSet::new(), first_start: false }
    }

    /// Members that answered.
    pub(crate) fn answered(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.replies.iter().copied()
    }

    pub(crate) fn hello(&self) -> Hello {
        Hello { nonce: self.nonce }
    }
}

impl<S: Signer> Replica<S> {
    /// Rebuilds the position that the log records, and asks peers what they hold of it.
    pub(crate) fn recover(&mut self, recovered: Recovered, now: Now, out: &mut Outbox) {
        let Recovered { records, executed, batches, certified, headers, outlook, disputed } = recovered;
        // Whatever is said of an epoch is in the log that begins with its anchor, until a later checkpoint is stable.
        self.greeting.first_start = records.len() <= 1 && executed.0 == self.config.members.after();
        (self.base, self.stable) = (self.config.members.opening(), self.config.members.opening());
        if records.is_empty() {
            out.record(self.anchor());
        }
        let mut bodies = BTreeMap::new();
        (self.executed, self.delivered) = (executed.0, executed.0);
        for record in records {
            self.replay(record.into_inner(), &mut bodies);
        }
        self.attach_bodies(&bodies);
        // Own CHECKPOINTs stand in the log before the certificate that proved them.
        let base = self.base.base();
        self.checkpoints.tallies.retain(|seq, _| *seq > base);
        self.pledges.forget_settled(self.settled());
        let (seq, header, time) = executed;
        (self.executed, self.delivered, self.executed_time) = (seq, seq, time);
        (self.obligation, self.closes) = (outlook.obligation, outlook.closes);
        self.headers = headers.into_iter().collect();
        self.headers.insert(seq, header);
        self.attestations.start_at(certified);
        self.attestations.prove_by_links(self.stable.base());
        self.durable = self.stable.base();
        self.disputed = disputed;
        self.adopt_executed(batches);
        self.void_slots_beyond_end();
        self.hold_recorded_requests(now);
        self.mark_floor = self.highest_certificate();
        self.next_proposal = self.highest_proposed().max(self.base.base()).next();
        self.catching_up = self.base.base() > self.executed;
        self.drop_overtaken_slots();
        self.greet(now, out);
        self.store_opening(out);
        self.close_epoch(out);
    }

    fn anchor(&self) -> Record {
        Record::Anchor {
            epoch: self.epoch(),
            view: self.view,
            active: self.active,
            base: self.base.clone(),
            stable: self.stable.clone(),
        }
    }

    /// One record, in the order of the log.
    fn replay(&mut self, record: CheckedRecord, bodies: &mut BTreeMap<Digest, Arc<HashedBatch>>) {
        match record {
            CheckedRecord::Anchor { epoch: _, view, active, base, stable } => {
                (self.view, self.active, self.base, self.stable) = (view, active, base, stable);
                self.pledges.restore_position(view, active);
            }
            CheckedRecord::Proposal { pre_prepare, batch } => self.replay_proposal(&pre_prepare, batch),
            CheckedRecord::Body(batch) => {
                bodies.insert(batch.digest(), batch);
            }
            CheckedRecord::Vote(signed) => {
                self.pledges.restore(&signed);
                if signed.signer == self.me() {
                    self.replay_vote(&signed);
                }
            }
            CheckedRecord::Prepared(certificate) => {
                if let Some(slot) = self.slot_mut(certificate.seq) {
                    slot.prepared = Some(certificate);
                }
            }
            CheckedRecord::Committed(certificate) => {
                if let Some(slot) = self.slot_mut(certificate.seq) {
                    slot.decided = Some(certificate.digest);
                    slot.commit_certificate = Some(certificate);
                }
            }
            CheckedRecord::Block(block) => {
                if let Some(slot) = self.slot_mut(block.header.height) {
                    let digest = block.header.batch_digest;
                    slot.decided = Some(digest);
                    if let Some(batch) = &block.batch {
                        slot.bodies.insert(digest, batch.clone());
                        slot.recorded_bodies.insert(digest);
                    }
                    slot.block = Some(block);
                }
            }
            CheckedRecord::ViewChange(view_change) => {
                self.pledges.restore(&view_change.statement);
                (self.view, self.active) = (view_change.view(), false);
                self.pledges.restore_position(self.view, false);
                self.view_changes.latest.insert(view_change.statement.signer, view_change.clone());
                self.view_changes.own = Some(view_change);
            }
            CheckedRecord::NewView(new_view) => self.replay_new_view(&new_view),
            CheckedRecord::Base(certificate) => self.base = BaseProof::Checkpoint(certificate),
            CheckedRecord::Stable(certificate) => self.replay_stable(certificate),
            CheckedRecord::Reserved(reservation) => self.pledges.restore_reservation(reservation),
        }
    }

    fn replay_proposal(&mut self, pre_prepare: &SignedStatement, batch: Arc<HashedBatch>) {
        let Statement::PrePrepare { view, seq, digest } = pre_prepare.statement else { return };
        self.pledges.restore(pre_prepare);
        if let Some(slot) = self.slot_mut(seq) {
            slot.bodies.insert(digest, batch);
            slot.recorded_bodies.insert(digest);
            slot.offers = vec![crate::slot::Offer { view, digest, signature: pre_prepare.signature }];
        }
    }

    fn replay_vote(&mut self, signed: &SignedStatement) {
        match signed.statement {
            Statement::Prepare { .. } | Statement::Commit { .. } => {
                let _ = self.count_vote(signed);
            }
            Statement::Checkpoint { seq, header } if seq > self.base.base() => {
                let tally = self.checkpoints.tallies.entry(seq).or_default();
                tally.insert(signed.signer, (header, signed.signature));
            }
            _ => {}
        }
    }

    fn replay_new_view(&mut self, new_view: &Arc<NewView>) {
        let signed = &new_view.statement;
        let conclusion = new_view::conclude(&new_view.view_changes);
        self.pledges.restore(signed);
        (self.view, self.active) = (new_view.view(), true);
        self.pledges.restore_position(self.view, true);
        self.adopt_proposals(new_view, &conclusion);
        for ((seq, digest), signature) in conclusion.slots().zip(&new_view.proposals) {
            let statement = Statement::PrePrepare { view: self.view, seq, digest };
            let own = SignedStatement {
                epoch: signed.epoch,
                signer: signed.signer,
                statement,
                signature: *signature,
            };
            if seq > self.stable.base() {
                self.pledges.restore(&own);
            }
        }
        self.view_changes.accepted = Some(new_view.clone());
    }

    fn replay_stable(&mut self, certificate: BlockCertificate) {
        let seq = certificate.height;
        let proven = certificate.kind == quorate_types::CertificateKind::Checkpoint;
        self.stable = BaseProof::Checkpoint(certificate);
        if self.base.base() < seq && proven {
            self.base = self.stable.clone();
        }
        self.slots.retain(|other, _| *other > seq);
        self.pledges.truncate(seq, seq);
    }

    /// Bodies that came without their proposal belong to whatever slots name their digest.
    fn attach_bodies(&mut self, bodies: &BTreeMap<Digest, Arc<HashedBatch>>) {
        for slot in self.slots.values_mut() {
            let named: Vec<Digest> = slot
                .prepared
                .iter()
                .map(|certificate| certificate.digest)
                .chain(slot.decided)
                .chain(slot.offers.iter().map(|offer| offer.digest))
                .collect();
            for digest in named {
                if let Some(body) = bodies.get(&digest) {
                    slot.bodies.insert(digest, body.clone());
                    slot.recorded_bodies.insert(digest);
                }
            }
        }
    }

    /// Slots executed before the restart stay decided, and bind later votes (N9).
    fn adopt_executed(&mut self, batches: Vec<(Seq, Digest)>) {
        let stable = self.stable.base();
        for (seq, digest) in batches.into_iter().filter(|(seq, _)| *seq > stable) {
            self.pledges.bind_executed(seq, digest);
            if let Some(slot) = self.slot_mut(seq) {
                slot.decided = Some(digest);
            }
        }
    }

    /// C2, V10: what stands in recorded proposals is answered for again. Nobody else may ask for it: clients that were answered
    /// before everyone lost power do not.
    fn hold_recorded_requests(&mut self, now: Now) {
        let end = self.closes.unwrap_or(Seq::MAX);
        for (seq, slot) in self.slots.range(self.executed.next()..=end.max(self.executed.next())) {
            let prepared = slot.prepared.as_ref().map(|certificate| certificate.digest);
            let digest = prepared.or(slot.offers.first().map(|offer| offer.digest));
            let Some(body) = digest.and_then(|digest| slot.bodies.get(&digest)) else { continue };
            for transaction in body.hashed_transactions() {
                self.custody.adopt(transaction, *seq, now.monotonic);
            }
        }
    }

    /// N9, F2: the highest slot for which the log holds a prepared, commit or block certificate.
    fn highest_certificate(&self) -> Seq {
        let held = self.slots.iter().rev().find(|(seq, slot)| {
            let certified =
                slot.prepared.is_some() || slot.commit_certificate.is_some() || slot.block.is_some();
            certified && !self.is_beyond_end(**seq)
        });
        held.map_or(Seq::ZERO, |(seq, _)| *seq)
    }

    fn greet(&mut self, now: Now, out: &mut Outbox) {
        self.timers.set(Timer::Status, now.monotonic.plus(self.config.tuning.status_busy));
        self.progress.1 = now.monotonic;
        self.ask_durable(out);
        if self.hello_missing() == 0 {
            self.complete_greeting(now, out);
        } else {
            self.on_hello_timer(now, out);
        }
    }

    /// How many HELLO replies are still missing: q−1 others must have answered (D6).
    pub(crate) fn hello_missing(&self) -> u16 {
        let needed = self.quorums().strong() - 1;
        u16::try_from(needed.saturating_sub(self.greeting.replies.len())).unwrap_or(u16::MAX)
    }

    pub(crate) fn on_hello_timer(&mut self, now: Now, out: &mut Outbox) {
        if !self.greeting.complete && !self.learner {
            out.broadcast(Message::Notice(Notice::Hello(self.greeting.hello())));
            self.timers.set(Timer::Hello, now.monotonic.plus(self.config.tuning.hello));
        }
    }

    /// D6: answers with what is held of the asker's own statements.
    pub(crate) fn on_hello(&mut self, from: ReplicaId, hello: &Hello, out: &mut Outbox) -> Verdict {
        let reply = HelloReply {
            nonce: hello.nonce,
            view: self.peers.highest_view.get(&from).cloned(),
            vote: self.peers.highest_vote.get(&from).cloned(),
            commits: self.commits_of(from),
        };
        out.send(from, Message::Notice(Notice::HelloReply(Box::new(reply))));
        Verdict::Accepted
    }

    /// A peer's COMMITs in the slots held here, the last window of them (D7).
    fn commits_of(&self, peer: ReplicaId) -> Vec<SignedStatement> {
        let window = usize::try_from(self.config.parameters.window).unwrap_or(usize::MAX);
        let epoch = self.epoch();
        let held = self.slots.iter().filter_map(|(seq, slot)| Some((*seq, slot.commits.get(&peer)?)));
        let statement = |view, seq, digest| Statement::Commit { view, seq, digest };
        let mut commits: Vec<SignedStatement> = held
            .map(|(seq, vote)| SignedStatement {
                epoch,
                signer: peer,
                statement: statement(vote.view, seq, vote.digest),
                signature: vote.signature,
            })
            .collect();
        commits.drain(..commits.len().saturating_sub(window));
        commits
    }

    /// D6: checks what a peer holds of the own statements against the log.
    pub(crate) fn on_hello_reply(
        &mut self,
        now: Now,
        from: ReplicaId,
        reply: &HelloReply,
        out: &mut Outbox,
    ) -> Verdict {
        if reply.nonce != self.greeting.nonce || self.greeting.complete || self.learner {
            return Verdict::Ignored(Ignored::Unasked);
        }
        let shown = || reply.view.iter().chain(&reply.vote).chain(&reply.commits);
        if shown().any(|signed| signed.signer != self.me()) {
            return Verdict::Ignored(Ignored::Invalid);
        }
        if shown().any(|signed| self.has_forgotten(signed)) && !mutant("m40") {
            self.learner = true;
            hit("a replica finds out that it forgot");
            self.timers.cancel(Timer::Hello);
            out.report(Report::Amnesia);
            return Verdict::Accepted;
        }
        self.greeting.replies.insert(from);
        if self.hello_missing() == 0 {
            self.complete_greeting(now, out);
        }
        Verdict::Accepted
    }

    /// Amnesia is a statement of a view above the own, or a vote of this view above what is settled that the log lacks or
    /// contradicts and no reservation speaks of (D7). Votes at or below that, or in lower views, prove nothing (F11).
    fn has_forgotten(&self, signed: &SignedStatement) -> bool {
        match signed.epoch.cmp(&self.epoch()) {
            Ordering::Greater => return true,
            // What was said in a former epoch binds nobody in this one.
            Ordering::Less => return false,
            Ordering::Equal => {}
        }
        let view = signed.statement.view().unwrap_or(View::ZERO);
        match signed.statement.seq() {
            None => view > self.view,
            Some(seq) => {
                let forgotten = || {
                    (seq > self.settled() || mutant("m57"))
                        && !self.pledges.holds(&signed.statement)
                        && !self.pledges.may_lack(signed)
                };
                view > self.view || (view == self.view && forgotten())
            }
        }
    }

    /// Statements may leave from here on.
    fn complete_greeting(&mut self, now: Now, out: &mut Outbox) {
        self.greeting.complete = true;
        self.timers.cancel(Timer::Hello);
        out.report(Report::HelloComplete);
        self.attest_recovered(out);
        self.say_due_checkpoints(out);
        if self.is_primary() && self.active && !self.greeting.first_start && self.n() > 1 && !mutant("m55") {
            // V11: a restarted primary abdicates; what it had in flight is decided by its successor.
            self.start_view_change(now, self.view.next(), ViewChangeReason::Abdication, out);
            return;
        }
        self.resend_own(out);
        self.advance_all(now, out);
    }

    /// D7: whether the next slot is one of those in which nothing may be proposed or PREPAREd since the restart.
    pub(crate) fn is_abstaining(&self) -> bool {
        self.pledges.abstains(self.view, self.delivered.max(self.base.base()).next())
    }

    /// D7: reserves what may be voted on next, well before it is used up. What is reserved is what a restart may have to abstain
    /// from, so that it is no whole window. With one member nothing is sent that could leave early.
    pub(crate) fn reserve(&mut self, out: &mut Outbox) {
        const AHEAD: u64 = 32;
        if !self.active || !self.can_vote() {
            return;
        }
        let (next, end) = (self.delivered.max(self.base.base()), self.window_end());
        if self.n() > 1 && self.pledges.reserved_to() < end.min(next.plus(AHEAD / 2)) {
            self.pledges.reserve(end.min(next.plus(AHEAD)), out);
        }
        match self.suspicion {
            // One more such member, and the view may have too few that PREPARE: nobody need wait for a timer then.
            None if self.is_abstaining() => self.suspect(Suspicion::Abstention, out),
            Some(Suspicion::Abstention) if !self.is_abstaining() => self.withdraw_suspicion(out),
            _ => {}
        }
    }

    /// D2: the same bytes again, for whoever missed them before the restart.
    fn resend_own(&self, out: &mut Outbox) {
        if !self.active {
            if let Some(own) = &self.view_changes.own {
                out.broadcast(Message::ViewChange(own.clone()));
            }
            return;
        }
        for (seq, slot) in self.slots.range(self.executed.next()..) {
            if slot.decided.is_some() {
                continue;
            }
            for kind in [StatementKind::Prepare, StatementKind::Commit] {
                if let Some(own) = self.pledges.vote(*seq, kind)
                    && own.statement.view() == Some(self.view)
                {
                    hit("a vote is sent again after a restart");
                    out.broadcast(Message::Vote(own.clone()));
                }
            }
        }
    }

    /// Keeps the highest vote of each peer, for its HELLO.
    pub(crate) fn note_vote(&mut self, signed: &SignedStatement) {
        let key = |signed: &SignedStatement| (signed.epoch, signed.statement.view(), signed.statement.seq());
        let known = self.peers.highest_vote.get(&signed.signer);
        if signed.signer != self.me() && known.is_none_or(|known| key(known) < key(signed)) {
            self.peers.highest_vote.insert(signed.signer, signed.clone());
        }
    }

    /// Keeps the highest VIEW-CHANGE or NEW-VIEW of each peer, for its HELLO.
    pub(crate) fn note_view_statement(&mut self, signed: &SignedStatement) {
        let key = |signed: &SignedStatement| (signed.epoch, signed.statement.view());
        let known = self.peers.highest_view.get(&signed.signer);
        if signed.signer != self.me() && known.is_none_or(|known| key(known) < key(signed)) {
            self.peers.highest_view.insert(signed.signer, signed.clone());
        }
    }
}
