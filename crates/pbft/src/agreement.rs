//! The normal case: proposals, PREPARE, COMMIT, decision (N2 – N8).

use crate::outbox::{Effect, Outbox};
use crate::replica::Replica;
use crate::slot::{Offer, Tallied, Vote, tally};
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::{HashedBatch, Signer, null_batch_digest};
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{
    CommitCertificate, Digest, Message, Now, Proposal, Record, ReplicaId, Seq, SignedStatement, Statement,
    StatementKind, Suspicion, View,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl<S: Signer> Replica<S> {
    /// N2: a PRE-PREPARE with its batch, from the primary or re-sent by anyone.
    pub(crate) fn on_proposal(
        &mut self,
        now: Now,
        from: ReplicaId,
        pre_prepare: SignedStatement,
        batch: Arc<HashedBatch>,
        out: &mut Outbox,
    ) -> Verdict {
        let Statement::PrePrepare { view, seq, digest } = pre_prepare.statement else {
            return Verdict::Ignored(Ignored::Invalid);
        };
        self.note_vote(&pre_prepare);
        if pre_prepare.signer != self.config.members.primary(view) {
            return Verdict::Ignored(Ignored::WrongSender);
        }
        if view < self.view {
            return Verdict::Ignored(Ignored::Stale);
        }
        if view > self.view || !self.active {
            let message = quorate_crypto::CheckedMessage::Proposal { pre_prepare, batch };
            return self.buffer_future(from, view, message);
        }
        if seq <= self.base.base() || seq <= self.stable.base() {
            return Verdict::Ignored(Ignored::Stale);
        }
        if seq > self.window_end() {
            let message = quorate_crypto::CheckedMessage::Proposal { pre_prepare, batch };
            return self.buffer_beyond_window(from, seq, message);
        }
        let offer = Offer { view, digest, signature: pre_prepare.signature };
        if let Some(verdict) = self.note_offer(seq, offer, out) {
            return verdict;
        }
        let verdict = self.check_batch(now, seq, from, &batch, out);
        self.hold_body(seq, batch);
        if verdict == Verdict::Accepted {
            self.accept(now, seq, digest, out);
        }
        self.advance(seq, out);
        verdict
    }

    /// Keeps the primary's proposal; a second digest for one slot condemns it.
    fn note_offer(&mut self, seq: Seq, offer: Offer, out: &mut Outbox) -> Option<Verdict> {
        let (epoch, primary) = (self.epoch(), self.primary());
        let slot = self.slots.entry(seq).or_default();
        slot.offers.retain(|known| known.view >= offer.view);
        if slot.offer(offer.view, &offer.digest).is_some() {
            return None;
        }
        let signed = |offer: &Offer| SignedStatement {
            epoch,
            signer: primary,
            statement: Statement::PrePrepare { view: offer.view, seq, digest: offer.digest },
            signature: offer.signature,
        };
        let pair = slot.offers.first().map(|first| (signed(first), signed(&offer)));
        match pair {
            None => {
                slot.offers.push(offer);
                None
            }
            Some(pair) => {
                if slot.offers.len() < 2 {
                    slot.offers.push(offer);
                }
                Some(self.condemn(pair, out))
            }
        }
    }

    /// N2's static checks of a batch. What depends on state is decided at execution.
    pub(crate) fn check_batch(
        &mut self,
        now: Now,
        seq: Seq,
        from: ReplicaId,
        hashed: &HashedBatch,
        out: &mut Outbox,
    ) -> Verdict {
        let parameters = &self.config.parameters;
        let batch = hashed.batch();
        let mut ids = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        let distinct = hashed.transactions().all(|(id, signed)| {
            let transaction = &signed.transaction;
            ids.insert(id) && numbers.insert((transaction.sender, transaction.session, transaction.number))
        });
        let fits = batch.transactions.len() <= parameters.block_max_transactions as usize
            && batch.size() <= parameters.block_max_bytes as usize
            && batch
                .transactions
                .iter()
                .all(|signed| signed.transaction.within_limits(parameters.max_transaction_bytes));
        if !distinct || !fits {
            return Verdict::Ignored(Ignored::Invalid);
        }
        let skew = parameters.max_clock_skew_ms;
        if batch.time.0 > now.wall.0.saturating_add(skew) {
            return Verdict::Ignored(Ignored::Clock);
        }
        let first_hand = from == self.primary() && seq > self.highest_proposed_below(seq);
        if first_hand && batch.time.0.saturating_add(self.allowed_lag_ms()) < now.wall.0 {
            self.suspect(Suspicion::BadTime, out);
        }
        Verdict::Accepted
    }

    /// N2: how far behind the own clock the primary's may seem. Clocks may err, and a proposal may take as long on its way and
    /// in the own queue as a view is given (V6): under a load that slows everyone down, no primary's clock is to blame.
    fn allowed_lag_ms(&self) -> u64 {
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        (2 * self.config.parameters.max_clock_skew_ms).saturating_add(timeout)
    }

    /// The highest other slot with a proposal: N2's lag rule looks only at what is next above all held.
    fn highest_proposed_below(&self, seq: Seq) -> Seq {
        let others = self.slots.iter().rev().find(|(other, slot)| **other != seq && !slot.offers.is_empty());
        others.map_or(Seq::ZERO, |(other, _)| *other)
    }

    /// N3: record the proposal, then PREPARE.
    fn accept(&mut self, now: Now, seq: Seq, digest: Digest, out: &mut Outbox) {
        if !self.can_vote() || self.is_primary() {
            return;
        }
        if self.pledges.executed_digest(seq).is_some_and(|executed| executed != digest) {
            return;
        }
        let already = self.pledges.vote(seq, StatementKind::Prepare);
        if already.is_some_and(|vote| vote.statement.view() == Some(self.view)) {
            return;
        }
        let Some(body) = self.slots.get(&seq).and_then(|slot| slot.bodies.get(&digest)).cloned() else {
            return;
        };
        if seq > self.executed {
            for transaction in body.hashed_transactions() {
                self.custody.adopt(transaction, seq, now.monotonic);
            }
        }
        self.time_decision(seq, body.batch().transactions.len(), now);
        if self.pledges.abstains(self.view, seq) {
            hit("a restarted replica abstains");
            return;
        }
        self.note_empty_batch(now, &body, out);
        self.record_proposal(seq, digest, &body, out);
        self.vote(Statement::Prepare { view: self.view, seq, digest }, out);
    }

    /// K6: more than one empty batch per tick is suspicion. Half a tick of slack covers what the network bunches.
    fn note_empty_batch(&mut self, now: Now, body: &HashedBatch, out: &mut Outbox) {
        if !body.batch().transactions.is_empty() {
            return;
        }
        let half_tick = Duration::from_millis(self.config.parameters.tick_ms / 2);
        if self.last_empty.is_some_and(|last| now.monotonic.since(last) < half_tick) {
            self.suspect(Suspicion::BadTime, out);
        }
        self.last_empty = Some(now.monotonic);
    }

    /// Table D, rows PRE-PREPARE and PREPARE: the accepted proposal with its body.
    pub(crate) fn record_proposal(&mut self, seq: Seq, digest: Digest, body: &HashedBatch, out: &mut Outbox) {
        let (epoch, primary, view) = (self.epoch(), self.primary(), self.view);
        let Some(slot) = self.slots.get_mut(&seq) else { return };
        let Some(offer) = slot.offer(view, &digest) else { return };
        let statement = Statement::PrePrepare { view, seq, digest };
        let pre_prepare = SignedStatement { epoch, signer: primary, statement, signature: offer.signature };
        slot.recorded_bodies.insert(digest);
        out.record_in_time(Record::Proposal(Proposal { pre_prepare, batch: body.batch().clone() }));
    }

    /// Makes a PREPARE or COMMIT, counts it at once, and sends it once it is durable, or a PREPARE once it is reserved (D7).
    pub(crate) fn vote(&mut self, statement: Statement, out: &mut Outbox) {
        let signed = self.pledges.pledge(statement, out);
        self.count_vote(&signed);
        if signed.statement.kind() == StatementKind::Prepare {
            out.broadcast_early(Message::Vote(signed));
        } else {
            out.broadcast(Message::Vote(signed));
        }
    }

    /// N4: a PREPARE or COMMIT of a member, in any order with its proposal.
    pub(crate) fn on_vote(&mut self, _now: Now, signed: SignedStatement, out: &mut Outbox) -> Verdict {
        let (Some(view), Some(seq)) = (signed.statement.view(), signed.statement.seq()) else {
            return Verdict::Ignored(Ignored::Invalid);
        };
        self.note_vote(&signed);
        if seq <= self.stable.base() {
            return Verdict::Ignored(Ignored::Stale);
        }
        if view > self.view || (view == self.view && !self.active) {
            let from = signed.signer;
            return self.buffer_future(from, view, quorate_crypto::CheckedMessage::Vote(signed));
        }
        if seq > self.window_end() {
            let from = signed.signer;
            return self.buffer_beyond_window(from, seq, quorate_crypto::CheckedMessage::Vote(signed));
        }
        if view < self.view && signed.statement.kind() == StatementKind::Prepare && !mutant("m14") {
            return Verdict::Ignored(Ignored::Stale);
        }
        if signed.statement.kind() == StatementKind::Prepare
            && signed.signer == self.config.members.primary(view)
            && !mutant("m1")
        {
            // N1, N5: the primary's proposal is its vote; a PREPARE of its own counts for nothing.
            return Verdict::Ignored(Ignored::WrongSender);
        }
        match self.count_vote(&signed) {
            Tallied::Counted => {
                if self.slots.get(&seq).is_some_and(|slot| slot.offers.is_empty()) {
                    hit("a PREPARE comes before its proposal");
                }
                self.advance(seq, out);
                Verdict::Accepted
            }
            Tallied::Known => Verdict::Ignored(Ignored::Duplicate),
            Tallied::Lower => Verdict::Ignored(Ignored::Stale),
            Tallied::Contradicts(digest, signature) => {
                let statement = match signed.statement {
                    Statement::Prepare { view, seq, .. } => Statement::Prepare { view, seq, digest },
                    _ => Statement::Commit { view, seq, digest },
                };
                let first = SignedStatement { statement, signature, ..signed.clone() };
                self.condemn((first, signed), out)
            }
        }
    }

    /// Counts a PREPARE or COMMIT in its slot's tally.
    pub(crate) fn count_vote(&mut self, signed: &SignedStatement) -> Tallied {
        let (Statement::Prepare { view, seq, digest } | Statement::Commit { view, seq, digest }) =
            signed.statement
        else {
            return Tallied::Known;
        };
        let is_prepare = signed.statement.kind() == StatementKind::Prepare;
        let Some(slot) = self.slot_mut(seq) else { return Tallied::Lower };
        let votes = if is_prepare { &mut slot.prepares } else { &mut slot.commits };
        tally(votes, signed.signer, Vote { view, digest, signature: signed.signature })
    }

    /// Keeps a body for a slot.
    pub(crate) fn hold_body(&mut self, seq: Seq, batch: Arc<HashedBatch>) {
        if let Some(slot) = self.slot_mut(seq) {
            slot.bodies.insert(batch.digest(), batch);
        }
    }

    /// What the slot's votes now allow: a prepared certificate and COMMIT (N5, N6), a decision (N7, N8). Idempotent.
    pub(crate) fn advance(&mut self, seq: Seq, out: &mut Outbox) {
        self.advance_prepared(seq, out);
        self.advance_committed(seq, out);
        self.fetch_wanted_body(seq, out);
    }

    fn advance_prepared(&mut self, seq: Seq, out: &mut Outbox) {
        if seq <= self.base.base() || self.is_beyond_end(seq) {
            return;
        }
        let view = if mutant("m14") && !self.active { self.view.previous() } else { self.view };
        let (key, primary) = ((self.epoch(), view, seq), self.config.members.primary(view));
        let strong = self.quorums().strong();
        let Some(slot) = self.slots.get(&seq) else { return };
        let known = slot.prepared.as_ref().is_some_and(|certificate| certificate.view == view);
        if !known {
            let Some(certificate) = slot.prepared_in(key, primary, strong) else { return };
            if self.decided_another(seq, &certificate.digest) {
                // Two quorums of one view for two digests, or a later one for what an earlier one excludes.
                if self.view_of_decision(seq).is_some_and(|decided| decided <= view) {
                    self.halt(crate::Report::Contradiction { seq }, out);
                }
                return;
            }
            self.record_body(seq, certificate.digest, out);
            out.record(Record::Prepared(certificate.clone()));
            let slot = self.slots.get_mut(&seq).expect("looked up above");
            slot.prepared = Some(certificate);
        }
        self.commit(seq, out);
    }

    /// N6: on prepared, if active, COMMIT. One per (view, seq).
    fn commit(&mut self, seq: Seq, out: &mut Outbox) {
        if (!self.active && !mutant("m14")) || !self.can_vote() {
            return;
        }
        let Some(certificate) = self.slots.get(&seq).and_then(|slot| slot.prepared.as_ref()) else { return };
        let said = self.pledges.vote(seq, StatementKind::Commit);
        let may = certificate.view == self.view || mutant("m14");
        if !may || said.is_some_and(|vote| vote.statement.view() == Some(certificate.view)) {
            return;
        }
        let (view, digest) = (certificate.view, certificate.digest);
        // It may have been prepared before another was decided in a later view (N9).
        if self.decided_another(seq, &digest) {
            return;
        }
        self.vote(Statement::Commit { view, seq, digest }, out);
    }

    fn advance_committed(&mut self, seq: Seq, out: &mut Outbox) {
        let (epoch, strong) = (self.epoch(), self.quorums().strong());
        let Some(slot) = self.slots.get(&seq).filter(|_| !self.is_beyond_end(seq)) else { return };
        if slot.decided.is_some() {
            return;
        }
        let learned = slot.commit_certificate.clone();
        let Some(certificate) = learned.or_else(|| slot.committed(epoch, seq, strong)) else { return };
        if !slot.holds_body(&certificate.digest) {
            return;
        }
        self.decide_by_commits(certificate, out);
    }

    /// N7, N8: the slot is decided. Recorded unless the own prepared certificate for it is in the log.
    fn decide_by_commits(&mut self, certificate: CommitCertificate, out: &mut Outbox) {
        let (seq, digest) = (certificate.seq, certificate.digest);
        if self.contradicts_execution(seq, digest, out) {
            return;
        }
        self.record_body(seq, digest, out);
        let Some(slot) = self.slot_mut(seq) else { return };
        if slot.prepared_digest() != Some(digest) && !mutant("m47") {
            out.record(Record::Committed(certificate.clone()));
        }
        slot.commit_certificate = Some(certificate);
        slot.decided = Some(digest);
    }

    /// N9: whether another digest is decided in a slot.
    pub(crate) fn decided_another(&self, seq: Seq, digest: &Digest) -> bool {
        let decided = self.slots.get(&seq).and_then(|slot| slot.decided);
        self.pledges.executed_digest(seq).or(decided).is_some_and(|known| known != *digest)
    }

    /// The view in which a slot is known to have been decided; a block's certificate does not tell it. Before a decision
    /// members may well have prepared another digest (N9).
    fn view_of_decision(&self, seq: Seq) -> Option<View> {
        let certificate = self.slots.get(&seq).and_then(|slot| slot.commit_certificate.as_ref());
        certificate.map(|certificate| certificate.view)
    }

    /// N9: whether O proposes another digest than one executed here. If that was decided before this view, more than f members
    /// are faulty. Otherwise its primary made two of this NEW-VIEW, or the view is over already: nobody here takes part in it.
    pub(crate) fn concludes_another(
        &mut self,
        view: View,
        conclusion: &crate::new_view::Conclusion,
        out: &mut Outbox,
    ) -> bool {
        let another = |(seq, digest): &(Seq, Digest)| {
            self.pledges.executed_digest(*seq).is_some_and(|executed| executed != *digest)
        };
        let slots: Vec<Seq> = conclusion.slots().filter(another).map(|(seq, _)| seq).collect();
        let before = |seq: &Seq| self.view_of_decision(*seq).is_some_and(|decided| decided < view);
        if let Some(seq) = slots.iter().copied().find(before) {
            self.halt(crate::Report::Contradiction { seq }, out);
        }
        !slots.is_empty()
    }

    /// N9: whether a certificate of a decision names another digest than the one decided, which means more than f faults.
    pub(crate) fn contradicts_execution(&mut self, seq: Seq, digest: Digest, out: &mut Outbox) -> bool {
        let contradicts = self.decided_another(seq, &digest);
        if contradicts {
            self.halt(crate::Report::Contradiction { seq }, out);
        }
        contradicts
    }

    /// Table D, row COMMIT: the body must be durable too, however it came.
    pub(crate) fn record_body(&mut self, seq: Seq, digest: Digest, out: &mut Outbox) {
        let Some(slot) = self.slots.get_mut(&seq) else { return };
        if let Some(body) = slot.bodies.get(&digest)
            && slot.recorded_bodies.insert(digest)
        {
            out.record(Record::Body(body.batch().clone()));
        }
    }

    /// N8: a commit certificate of any view, from anyone. It never causes a PREPARE or COMMIT.
    pub(crate) fn on_commit_certificate(
        &mut self,
        certificate: CommitCertificate,
        out: &mut Outbox,
    ) -> Verdict {
        let (seq, digest) = (certificate.seq, certificate.digest);
        let Some(slot) = self.slot_mut(seq) else { return Verdict::Ignored(Ignored::Stale) };
        if slot.decided.is_some() {
            let _ = self.contradicts_execution(seq, digest, out);
            return Verdict::Ignored(Ignored::Duplicate);
        }
        if slot.commit_certificate.is_none() {
            slot.commit_certificate = Some(certificate);
        }
        // The body decides, if it has yet to come (V9).
        self.advance(seq, out);
        if self.slots.get(&seq).is_some_and(|slot| slot.decided.is_some()) {
            hit("a commit certificate decides");
        }
        Verdict::Accepted
    }

    /// V9: a body that was asked for by its digest.
    pub(crate) fn on_body(&mut self, now: Now, batch: &Arc<HashedBatch>, out: &mut Outbox) -> Verdict {
        let digest = batch.digest();
        let (view, strong) = (self.view, self.quorums().strong());
        let wanting: Vec<Seq> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.wants_body(view, strong) == Some(digest))
            .map(|(seq, _)| *seq)
            .chain(
                self.view_changes
                    .wanted_bodies
                    .iter()
                    .filter(|(_, wanted)| **wanted == digest)
                    .map(|(seq, _)| *seq),
            )
            .collect();
        if wanting.is_empty() {
            return Verdict::Ignored(Ignored::Unasked);
        }
        for seq in wanting {
            self.hold_body(seq, batch.clone());
            // What cannot be held is not asked for again: each answer would lead to the next question.
            if self.slots.get(&seq).is_some_and(|slot| slot.bodies.contains_key(&digest)) {
                self.view_changes.wanted_bodies.remove(&seq);
            }
            self.prepare_reproposed(now, seq, out);
            self.advance(seq, out);
        }
        self.try_new_view(now, out);
        Verdict::Accepted
    }

    /// V9: asks everyone for a body that is agreed on but missing here.
    fn fetch_wanted_body(&mut self, seq: Seq, out: &mut Outbox) {
        let (view, strong) = (self.view, self.quorums().strong());
        let Some(digest) = self.slots.get(&seq).and_then(|slot| slot.wants_body(view, strong)) else {
            return;
        };
        if self.peers.asked_for_body.insert(seq, digest) != Some(digest) {
            let fetch = quorate_types::Fetch::Body { seq, digest };
            out.broadcast(Message::Notice(quorate_types::Notice::Fetch(fetch)));
        }
    }

    /// Hands decided slots to execution, in order, each once (N9).
    pub(crate) fn deliver(&mut self, out: &mut Outbox) {
        while !self.execution_is_full() && self.installing.is_none() && !self.halted {
            let seq = self.delivered.next();
            if !self.is_of_this_epoch(seq) {
                return;
            }
            let Some(slot) = self.slots.get(&seq) else { return };
            let Some(digest) = slot.decided else { return };
            let batch = match slot.bodies.get(&digest) {
                Some(body) => Some(body.clone()),
                None if digest == null_batch_digest() => None,
                None => return,
            };
            self.delivered = seq;
            self.pledges.bind_executed(seq, digest);
            out.push(Effect::Execute { seq, batch });
        }
    }

    /// Every slot of the current view is looked at again: when votes become possible or a view opens.
    pub(crate) fn advance_all(&mut self, now: Now, out: &mut Outbox) {
        let seqs: Vec<Seq> = self.slots.keys().copied().collect();
        for seq in seqs {
            self.accept_offer(now, seq, out);
            self.advance(seq, out);
        }
    }

    /// Looks again at proposals that were refused for their time: the own clock moved on (N2).
    pub(crate) fn reconsider_offers(&mut self, now: Now, out: &mut Outbox) {
        let first = self.executed.next();
        let end = first.plus(quorate_types::limits::STATUS_SLOTS as u64);
        let seqs: Vec<Seq> = self.slots.range(first..end).map(|(seq, _)| *seq).collect();
        for seq in seqs {
            self.accept_offer(now, seq, out);
            self.fetch_wanted_body(seq, out);
        }
    }

    /// Accepts a proposal of the current view that is held but was not voted on.
    fn accept_offer(&mut self, now: Now, seq: Seq, out: &mut Outbox) {
        if !self.active || seq <= self.base.base() || self.is_beyond_end(seq) {
            return;
        }
        let view: View = self.view;
        let Some(slot) = self.slots.get(&seq) else { return };
        let [offer] = slot.offers.as_slice() else { return };
        if offer.view != view {
            return;
        }
        let digest = offer.digest;
        if self.is_reproposed(seq) {
            self.prepare_reproposed(now, seq, out);
            return;
        }
        let Some(body) = slot.bodies.get(&digest).cloned() else { return };
        if self.check_batch(now, seq, self.me(), &body, out) == Verdict::Accepted {
            self.accept(now, seq, digest, out);
        }
    }
}
