//! When a view is left and how the next one is entered (V1 – V10).

use crate::new_view::{self, Conclusion};
use crate::outbox::{Outbox, Report, ViewChangeReason};
use crate::replica::Replica;
use crate::slot::{Offer, bitmap};
use crate::timers::Timer;
use crate::verdict::{Evidence, Ignored, Verdict};
use quorate_crypto::{Signer, base_proof_digest, null_batch_digest, prepared_set_digest, view_change_digest};
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{
    BaseProof, Digest, Fetch, Message, NewView, Notice, Now, Record, ReplicaId, Seq, SignedStatement,
    Statement, StatementKind, View, ViewChange,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// VIEW-CHANGEs and NEW-VIEWs held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ViewChanges {
    /// The highest valid one of each sender, the own one included (V4).
    pub(crate) latest: BTreeMap<ReplicaId, Arc<ViewChange>>,
    /// The own latest one: the same bytes are sent again (V2).
    pub(crate) own: Option<Arc<ViewChange>>,
    /// The latest NEW-VIEW accepted, with the VIEW-CHANGEs it names (R2).
    pub(crate) accepted: Option<Arc<NewView>>,
    /// A NEW-VIEW some of whose VIEW-CHANGEs are still to come.
    pub(crate) pending: Option<Arc<NewView>>,
    /// Bodies that the own NEW-VIEW would name and that are missing (V7).
    pub(crate) wanted_bodies: BTreeMap<Seq, Digest>,
}

impl<S: Signer> Replica<S> {
    /// V1, V5, V6: whether what is known by now starts a view change. Called after every input.
    pub(crate) fn consider_view_change(&mut self, now: Now, out: &mut Outbox) {
        if !self.can_vote() {
            return;
        }
        while let Some((to, reason)) = self.view_to_start().filter(|_| self.can_vote()) {
            self.start_view_change(now, to, reason, out);
        }
        if mutant("m15") {
            self.say_view_change_anew(out);
        }
        self.update_new_view_timer(now);
    }

    fn view_to_start(&self) -> Option<(View, ViewChangeReason)> {
        let blocking = if mutant("m8") { 1 } else { self.quorums().blocking() };
        if let Some(view) = self.joined_view(blocking) {
            return Some((view, ViewChangeReason::Joined));
        }
        if !self.active {
            return None;
        }
        let next = self.view.next();
        let by_primary = self.view_changes.latest.get(&self.primary());
        if !self.is_primary() && by_primary.is_some_and(|view_change| view_change.view() == next) {
            return Some((next, ViewChangeReason::Abdication));
        }
        (self.suspecting() >= blocking).then_some((next, ViewChangeReason::Suspicion))
    }

    /// V5: the u-th largest view among the latest VIEW-CHANGEs of others, if it is above the own.
    fn joined_view(&self, blocking: usize) -> Option<View> {
        let mut views: Vec<View> = self
            .view_changes
            .latest
            .iter()
            .filter(|(sender, _)| **sender != self.me())
            .map(|(_, view_change)| view_change.view())
            .collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        let place = if mutant("m9") { views.len().saturating_sub(1) } else { blocking - 1 };
        views.get(place).copied().filter(|view| *view > self.view)
    }

    /// V1: members, oneself included, that suspect the current view or have sent a VIEW-CHANGE for a higher one.
    fn suspecting(&self) -> usize {
        ReplicaId::all(self.n())
            .filter(|member| {
                let left = self
                    .view_changes
                    .latest
                    .get(member)
                    .is_some_and(|view_change| view_change.view() > self.view);
                let suspects = if *member == self.me() {
                    self.suspicion.is_some()
                } else {
                    self.peers.suspects(*member, self.view)
                };
                left || suspects
            })
            .count()
    }

    /// V2: the change to `to`: recorded, then broadcast. One VIEW-CHANGE per view.
    pub(crate) fn start_view_change(
        &mut self,
        now: Now,
        to: View,
        reason: ViewChangeReason,
        out: &mut Outbox,
    ) {
        if to <= self.view {
            self.halt(Report::ViewsExhausted, out);
            return;
        }
        match reason {
            ViewChangeReason::Joined => hit("a view change is joined"),
            ViewChangeReason::Abdication if self.config.members.primary(self.view) == self.me() => {
                hit("a restarted primary abdicates");
            }
            _ => {}
        }
        if self.suspicion == Some(quorate_types::Suspicion::Slow) {
            self.turnaround.be_patient();
        }
        self.view = to;
        self.active = false;
        self.suspicion = None;
        self.calm = 0;
        self.pledges.leave_for(to);
        self.timers.cancel(Timer::NewView);
        if self.view_changes.pending.as_ref().is_some_and(|pending| pending.view() < to) {
            self.view_changes.pending = None;
        }
        self.view_changes.wanted_bodies.clear();
        let view_change = Arc::new(self.build_view_change(out));
        if !mutant("m17") {
            out.record(Record::ViewChange(view_change.clone()));
        }
        self.view_changes.own = Some(view_change.clone());
        self.view_changes.latest.insert(self.me(), view_change.clone());
        out.report(Report::ViewChangeStarted { view: to, reason });
        out.broadcast(Message::ViewChange(view_change));
        self.try_new_view(now, out);
    }

    /// The mistake m15: a VIEW-CHANGE that was sent is made anew when base has moved.
    fn say_view_change_anew(&mut self, out: &mut Outbox) {
        let base = self.base.base();
        let older = |own: &Arc<ViewChange>| own.view() == self.view && own.base_proof.base() < base;
        if self.active || !self.view_changes.own.as_ref().is_some_and(older) {
            return;
        }
        let view_change = Arc::new(self.build_view_change(out));
        out.record(Record::ViewChange(view_change.clone()));
        self.view_changes.own = Some(view_change.clone());
        self.view_changes.latest.insert(self.me(), view_change.clone());
        out.broadcast(Message::ViewChange(view_change));
    }

    fn build_view_change(&mut self, out: &mut Outbox) -> ViewChange {
        let base = self.base.base();
        let above = self.slots.range(base.next()..);
        let prepared: Vec<_> = above.filter_map(|(_, slot)| slot.prepared.clone()).collect();
        let statement = Statement::ViewChange {
            view: self.view,
            base,
            base_proof: base_proof_digest(&self.base),
            prepared: prepared_set_digest(&prepared),
        };
        let statement = self.pledges.pledge(statement, out);
        ViewChange { statement, base_proof: self.base.clone(), prepared }
    }

    /// V3, V4: a VIEW-CHANGE of a member.
    pub(crate) fn on_view_change(
        &mut self,
        now: Now,
        view_change: Arc<ViewChange>,
        out: &mut Outbox,
    ) -> Verdict {
        let signed = &view_change.statement;
        self.note_view_statement(signed);
        if signed.signer == self.me() {
            return Verdict::Ignored(Ignored::Duplicate);
        }
        if !new_view::is_valid(&view_change, &self.config.members, &self.config.parameters) {
            return self.condemn_view_statement(signed.clone(), out);
        }
        if let Some(known) = self.view_changes.latest.get(&signed.signer) {
            if known.view() > view_change.view() {
                return Verdict::Ignored(Ignored::Stale);
            }
            if known.view() == view_change.view() {
                if known.statement.statement == signed.statement {
                    return Verdict::Ignored(Ignored::Duplicate);
                }
                return self.condemn((known.statement.clone(), signed.clone()), out);
            }
        }
        self.view_changes.latest.insert(signed.signer, view_change.clone());
        // K2: C proves a checkpoint. A new primary with a lower base could not hold the bodies of the slots that P names.
        if let BaseProof::Checkpoint(certificate) = &view_change.base_proof {
            self.adopt_base(certificate.clone(), out);
        }
        self.try_new_view(now, out);
        if let Some(pending) = self.view_changes.pending.take() {
            return self.on_new_view(now, pending, out);
        }
        Verdict::Accepted
    }

    /// V6: runs once q members, oneself included, have sent VIEW-CHANGEs for this view or a higher one (F10).
    fn update_new_view_timer(&mut self, now: Now) {
        if self.active {
            self.timers.cancel(Timer::NewView);
            return;
        }
        let arrived = self.view_changes_for_pending();
        if (usize::from(arrived) >= self.quorums().strong() || mutant("m10"))
            && !self.timers.is_set(Timer::NewView)
        {
            self.timers.set(Timer::NewView, now.monotonic.plus(self.timeout));
        }
    }

    /// How many members have sent VIEW-CHANGEs for the pending view or a higher one.
    pub(crate) fn view_changes_for_pending(&self) -> u16 {
        let counts = |view: View| view == self.view || (view > self.view && !mutant("m46"));
        let arrived = self.view_changes.latest.values().filter(|held| counts(held.view())).count();
        u16::try_from(arrived).unwrap_or(u16::MAX)
    }

    /// The members counted by V6, as a bitmap.
    pub(crate) fn view_change_bits(&self) -> u128 {
        let latest = self.view_changes.latest.iter();
        bitmap(latest.filter(|(_, held)| held.view() >= self.view).map(|(sender, _)| *sender))
    }

    /// V6: on expiry the timeout doubles up to the cap and the next view starts.
    pub(crate) fn on_new_view_timeout(&mut self, now: Now, out: &mut Outbox) {
        if self.active || !self.can_vote() {
            return;
        }
        if !mutant("m11") {
            self.timeout = (self.timeout * 2).min(self.config.parameters.view_timeout_max());
            if self.timeout >= self.config.parameters.view_timeout() * 8 {
                hit("a timeout is eight times the first");
            }
            if self.timeout == self.config.parameters.view_timeout_max() {
                hit("a timeout is at its cap");
            }
        }
        self.start_view_change(now, self.view.next(), ViewChangeReason::Timeout, out);
    }

    /// V7: the new primary's NEW-VIEW, once q VIEW-CHANGEs for exactly its view are held with every body O names.
    pub(crate) fn try_new_view(&mut self, now: Now, out: &mut Outbox) {
        if self.active || !self.is_primary() || !self.can_vote() {
            return;
        }
        let latest = self.view_changes.latest.values();
        let mut candidates: Vec<_> = latest.filter(|held| held.view() == self.view).cloned().collect();
        let strong = self.quorums().strong();
        if mutant("m3") && candidates.len() > 1 {
            // Messages are counted, not senders.
            while candidates.len() < strong {
                candidates.push(candidates[0].clone());
            }
        }
        if candidates.len() < strong {
            return;
        }
        // At or below a proven checkpoint nobody votes, and who lacks a body gets certified blocks.
        let proven = self.base.base();
        let holds = |seq: Seq, digest: &Digest| {
            *digest == null_batch_digest()
                || seq <= proven
                || self.is_beyond_end(seq)
                || self.slots.get(&seq).is_some_and(|slot| slot.bodies.contains_key(digest))
        };
        let holds = |seq: Seq, digest: &Digest| mutant("m53") || holds(seq, digest);
        match new_view::choose(self.me(), &candidates, strong, holds) {
            Ok(chosen) => self.send_new_view(now, chosen, out),
            Err(missing) => self.fetch_for_new_view(missing, out),
        }
    }

    fn fetch_for_new_view(&mut self, missing: Vec<(Seq, Digest)>, out: &mut Outbox) {
        for (seq, digest) in missing {
            if self.view_changes.wanted_bodies.insert(seq, digest) != Some(digest) {
                hit("a new primary fetches a body");
                out.broadcast(Message::Notice(Notice::Fetch(Fetch::Body { seq, digest })));
            }
        }
    }

    fn send_new_view(&mut self, now: Now, chosen: Vec<Arc<ViewChange>>, out: &mut Outbox) {
        let conclusion = new_view::conclude(&chosen);
        let view = self.view;
        if self.concludes_another(view, &conclusion, out) {
            return;
        }
        let ledger = *self.config.members.ledger();
        let named = chosen
            .iter()
            .map(|view_change| (view_change.statement.signer, view_change_digest(view_change, &ledger)))
            .collect();
        let proposals = conclusion.proposals.clone();
        let min = conclusion.min.base();
        let statement = self.pledges.pledge(Statement::NewView { view, chosen: named, min, proposals }, out);
        self.pledges.open(view);
        let signatures = conclusion
            .slots()
            .map(|(seq, digest)| {
                self.pledges.pledge(Statement::PrePrepare { view, seq, digest }, out).signature
            })
            .collect();
        let new_view = NewView { statement, proposals: signatures, view_changes: chosen };
        // VIEW-CHANGEs were broadcast by their senders; who lacks one FETCHes it (V8).
        let brief = NewView { view_changes: Vec::new(), ..new_view.clone() };
        self.enter_view(now, Arc::new(new_view), &conclusion, out);
        out.broadcast(Message::NewView(Arc::new(brief)));
    }

    /// V8: a NEW-VIEW is accepted if it is by the primary of its view and says what the VIEW-CHANGEs it names lead to.
    pub(crate) fn on_new_view(&mut self, now: Now, new_view: Arc<NewView>, out: &mut Outbox) -> Verdict {
        let signed = &new_view.statement;
        let Statement::NewView { view, chosen, .. } = &signed.statement else {
            return Verdict::Ignored(Ignored::Invalid);
        };
        self.note_view_statement(signed);
        if signed.signer != self.config.members.primary(*view) {
            return Verdict::Ignored(Ignored::WrongSender);
        }
        if (*view < self.view && !mutant("m27")) || (*view == self.view && self.active) {
            return Verdict::Ignored(Ignored::Stale);
        }
        let named: Option<Vec<Arc<ViewChange>>> = chosen
            .iter()
            .map(|(sender, digest)| self.named_view_change(*sender, digest, &new_view))
            .collect();
        let Some(named) = named else {
            return self.await_view_changes(new_view, out);
        };
        let (members, parameters) = (&self.config.members, &self.config.parameters);
        let follows = new_view::follows(&signed.statement, signed.signer, members, parameters, &named);
        let Some(conclusion) = follows else {
            return self.condemn_view_statement(signed.clone(), out);
        };
        if self.concludes_another(*view, &conclusion, out) {
            return Verdict::Ignored(Ignored::Stale);
        }
        let whole = NewView { view_changes: named, ..(*new_view).clone() };
        self.pledges.open(*view);
        self.enter_view(now, Arc::new(whole), &conclusion, out);
        Verdict::Accepted
    }

    /// The VIEW-CHANGE of `sender` with this digest: of those that ride along, or of those held.
    fn named_view_change(
        &self,
        sender: ReplicaId,
        digest: &Digest,
        new_view: &NewView,
    ) -> Option<Arc<ViewChange>> {
        let ledger = self.config.members.ledger();
        let held = self.view_changes.latest.get(&sender);
        new_view
            .view_changes
            .iter()
            .chain(held)
            .find(|view_change| {
                view_change.statement.signer == sender && view_change_digest(view_change, ledger) == *digest
            })
            .cloned()
    }

    /// V8: FETCHes what a NEW-VIEW names and is missing here; whoever accepted it sends it whole.
    fn await_view_changes(&mut self, new_view: Arc<NewView>, out: &mut Outbox) -> Verdict {
        let Statement::NewView { chosen, .. } = &new_view.statement.statement else {
            return Verdict::Ignored(Ignored::Invalid);
        };
        // The lowest view waits: a liar that is primary of some far view must not push out the one that is due.
        let pending = self.view_changes.pending.as_ref();
        if pending.is_some_and(|pending| pending.view() < new_view.view()) {
            return Verdict::Ignored(Ignored::TooFarAhead);
        }
        let known = pending.is_some_and(|pending| pending.view() == new_view.view());
        if !known && let Some((sender, digest)) = chosen.first().copied() {
            let fetch = Fetch::ViewChange { sender, digest };
            out.send(new_view.statement.signer, Message::Notice(Notice::Fetch(fetch)));
        }
        hit("a NEW-VIEW waits for its VIEW-CHANGEs");
        self.view_changes.pending = Some(new_view);
        Verdict::Accepted
    }

    /// The view is open: record the NEW-VIEW, adopt base and O, then PREPARE each slot whose body is held (V8).
    fn enter_view(&mut self, now: Now, new_view: Arc<NewView>, conclusion: &Conclusion, out: &mut Outbox) {
        self.note_adoption(conclusion);
        self.view = new_view.view();
        self.active = true;
        self.suspicion = None;
        self.view_changes.pending = None;
        self.view_changes.wanted_bodies.clear();
        self.timers.cancel(Timer::NewView);
        // V7: first, since a crash may keep a part of what is written, and whoever finds its NEW-VIEW answers for the bodies.
        for (seq, digest) in conclusion.slots() {
            self.record_body(seq, digest, out);
        }
        if !mutant("m30") {
            out.record(Record::NewView(new_view.clone()));
        }
        if mutant("m52") {
            self.timeout = self.config.parameters.view_timeout();
        }
        self.view_changes.accepted = Some(new_view.clone());
        if let BaseProof::Checkpoint(certificate) = &conclusion.min {
            self.adopt_base(certificate.clone(), out);
        }
        self.adopt_proposals(&new_view, conclusion);
        self.continue_after(conclusion.last());
        self.reclaim_custody();
        out.report(Report::ViewActive { view: self.view, primary: self.primary() });
        if mutant("m23") {
            self.execute_again(conclusion, out);
        }
        if mutant("m24") {
            let back = self.executed.min(conclusion.min.base()).max(self.stable.base());
            (self.executed, self.delivered) = (back, back);
        }
        for (seq, _) in conclusion.slots() {
            self.prepare_reproposed(now, seq, out);
            self.advance(seq, out);
        }
        if !self.is_primary() {
            const MOST: usize = 512;
            let waiting = self.custody.ready_transactions(MOST);
            if !waiting.is_empty() {
                out.send(self.primary(), Message::Forward(waiting));
            }
        }
        self.replay_buffered(now, out);
    }

    /// Where a NEW-VIEW finds this replica.
    fn note_adoption(&self, conclusion: &Conclusion) {
        if conclusion.proposals.contains(&null_batch_digest()) {
            hit("a NEW-VIEW has a null slot");
        }
        if conclusion.min.base() > self.executed {
            hit("a NEW-VIEW is adopted while behind");
        }
        if conclusion.min.base() < self.executed {
            hit("a NEW-VIEW is adopted while ahead");
        }
        if self.catching_up {
            hit("a NEW-VIEW is adopted during a transfer");
        }
    }

    /// The mistake m23: what O names is executed, executed or not.
    fn execute_again(&self, conclusion: &Conclusion, out: &mut Outbox) {
        for (seq, digest) in conclusion.slots().filter(|(seq, _)| *seq <= self.executed) {
            let batch = self.slots.get(&seq).and_then(|slot| slot.bodies.get(&digest)).cloned();
            out.push(crate::Effect::Execute { seq, batch });
        }
    }

    /// O's proposals count as PRE-PREPAREs of the new view; those of older views are over.
    pub(crate) fn adopt_proposals(&mut self, new_view: &NewView, conclusion: &Conclusion) {
        for slot in self.slots.values_mut() {
            slot.offers.clear();
        }
        let view = new_view.view();
        for ((seq, digest), signature) in conclusion.slots().zip(&new_view.proposals) {
            if let Some(slot) = self.slot_mut(seq) {
                slot.offers = vec![Offer { view, digest, signature: *signature }];
            }
        }
    }

    /// Which requests are in a slot is decided anew: those of O and of decided slots are, the others wait again.
    pub(crate) fn reclaim_custody(&mut self) {
        self.custody.unmark_all();
        let mut marks = Vec::new();
        let end = self.closes.unwrap_or(Seq::MAX).max(self.executed.next());
        for (seq, slot) in self.slots.range(self.executed.next()..=end) {
            let digest = slot.decided.or(slot.offers.first().map(|offer| offer.digest));
            if let Some(body) = digest.and_then(|digest| slot.bodies.get(&digest)) {
                marks.push((*seq, body.clone()));
            }
        }
        for (seq, body) in marks {
            for id in body.ids() {
                self.custody.mark(id, Some(seq));
            }
        }
    }

    /// Whether the slot's proposal of this view came in O: no clock or state check applies (V8).
    pub(crate) fn is_reproposed(&self, seq: Seq) -> bool {
        let Some(new_view) = &self.view_changes.accepted else { return false };
        let Statement::NewView { view, min, proposals, .. } = &new_view.statement.statement else {
            return false;
        };
        *view == self.view && seq > *min && seq <= min.plus(proposals.len() as u64)
    }

    /// V8, V9: PREPARE of a slot of O once its body is held; null counts as held.
    pub(crate) fn prepare_reproposed(&mut self, now: Now, seq: Seq, out: &mut Outbox) {
        if !self.active || !self.can_vote() || self.is_primary() || seq <= self.base.base() {
            return;
        }
        if self.is_beyond_end(seq) {
            return;
        }
        let view = self.view;
        let Some(slot) = self.slots.get(&seq).filter(|_| self.is_reproposed(seq)) else { return };
        let Some(digest) = slot.offers.first().filter(|offer| offer.view == view).map(|offer| offer.digest)
        else {
            return;
        };
        let said = self.pledges.vote(seq, StatementKind::Prepare);
        if (!slot.holds_body(&digest) && !mutant("m29"))
            || said.is_some_and(|vote| vote.statement.view() == Some(view))
            || self.decided_another(seq, &digest)
            || self.pledges.abstains(view, seq)
        {
            return;
        }
        let body = slot.bodies.get(&digest).cloned();
        if let Some(body) = body.as_ref().filter(|_| mutant("m45"))
            && self.check_batch(now, seq, self.me(), body, out) != Verdict::Accepted
        {
            return;
        }
        self.record_body(seq, digest, out);
        if seq > self.executed {
            for transaction in body.iter().flat_map(|body| body.hashed_transactions()) {
                self.custody.adopt(transaction, seq, now.monotonic);
            }
        }
        self.vote(Statement::Prepare { view, seq, digest }, out);
    }

    /// An invalid VIEW-CHANGE or NEW-VIEW is evidence; it moves no view by itself (V10).
    fn condemn_view_statement(&mut self, signed: SignedStatement, out: &mut Outbox) -> Verdict {
        let evidence = Evidence::InvalidViewStatement(signed);
        if let std::collections::btree_map::Entry::Vacant(first) = self.condemned.entry(evidence.culprit()) {
            first.insert(evidence.clone());
            out.report(Report::EvidenceFound(evidence.clone()));
        }
        Verdict::Condemned(evidence)
    }
}
