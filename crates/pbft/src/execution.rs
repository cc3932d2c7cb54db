//! What follows from execution: ATTEST, block certificates, requests leaving custody (N9, M8, C2).

use crate::Execution;
use crate::checkpoint::agreeing;
use crate::outbox::{Effect, Outbox, Report};
use crate::replica::{Head, Replica};
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::{CheckedBlock, Signer};
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{
    BaseProof, BlockCertificate, CertificateKind, Digest, LedgerTime, Message, Now, ReplicaId, Seq,
    Signature, SignedStatement, Statement, StatementKind, limits,
};
use std::collections::BTreeMap;

/// The ATTESTs of blocks that have no certificate yet, and recent certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Attestations {
    /// One ATTEST per (sender, seq), first wins.
    pub(crate) tallies: BTreeMap<Seq, BTreeMap<ReplicaId, (Digest, Signature)>>,
    /// Recent certificates, for peers that lack them.
    pub(crate) certificates: BTreeMap<Seq, BlockCertificate>,
    /// Every block up to this one has its certificate.
    certified: Seq,
}

impl Attestations {
    pub(crate) fn certified(&self) -> Seq {
        self.certified
    }

    pub(crate) fn start_at(&mut self, certified: Seq) {
        self.certified = certified;
    }

    fn holds(&self, seq: Seq) -> bool {
        seq <= self.certified || self.certificates.contains_key(&seq)
    }

    /// Keeps a certificate; returns whether it was new.
    fn insert(&mut self, certificate: BlockCertificate) -> bool {
        let seq = certificate.height;
        if self.holds(seq) {
            return false;
        }
        self.tallies.remove(&seq);
        self.certificates.insert(seq, certificate);
        self.advance();
        self.forget_old();
        true
    }

    /// M8: what is so far below a proven checkpoint is proven by the headers up to it. A block whose own certificate never
    /// came holds up the others no longer.
    pub(crate) fn prove_by_links(&mut self, stable: Seq) {
        let far_below = stable.minus(limits::RECENT_BLOCKS as u64);
        // Nobody who is with the others lacks these any more, however far behind `certified` is here.
        self.certificates.retain(|height, _| *height > far_below);
        if far_below <= self.certified {
            return;
        }
        self.certified = far_below;
        self.tallies.retain(|height, _| *height > far_below);
        self.advance();
        self.forget_old();
    }

    fn advance(&mut self) {
        while self.certificates.contains_key(&self.certified.next()) {
            self.certified = self.certified.next();
        }
    }

    fn forget_old(&mut self) {
        let oldest = self.certified.minus(limits::RECENT_BLOCKS as u64);
        self.certificates.retain(|height, _| *height > oldest);
    }
}

impl<S: Signer> Replica<S> {
    /// A block was executed: exactly the next one.
    ///
    /// # Panics
    /// If it is not the next one: one writer owns `executed` (N9).
    pub(crate) fn on_executed(&mut self, now: Now, execution: Execution, out: &mut Outbox) -> Verdict {
        let Execution { seq, header_hash, time, consumed, outlook } = execution;
        assert_eq!(seq, self.executed.next(), "N9: execution is in order, each slot once");
        assert!(seq <= self.delivered, "N9: {seq} was executed without being delivered");
        let oldest = self.custody.oldest().map(|(id, _)| id);
        self.executed = seq;
        self.executed_time = time;
        self.headers.insert(seq, header_hash);
        self.look_ahead(outlook, out);
        self.release_custody(now, seq, &consumed);
        if oldest.is_some() && self.custody.oldest().map(|(id, _)| id) != oldest {
            self.oldest_was_executed(out);
        }
        if mutant("m12") {
            self.request_timer_for = None;
        }
        self.attest(seq, header_hash, out);
        if seq.is_checkpoint(self.config.parameters.checkpoint_every) {
            out.push(Effect::MakeDurable { seq });
        }
        Verdict::Accepted
    }

    /// T1: slots that a later proven checkpoint has overtaken come again as blocks, with their certificates, when it is their turn: kept,
    /// they would pile up for as long as the transfer lasts, and so would the ATTESTs of them.
    pub(crate) fn drop_overtaken_slots(&mut self) {
        let overtaken = self.overtaken();
        let before = self.slots.len();
        self.slots.retain(|seq, _| !overtaken.contains(seq));
        if self.slots.len() < before {
            hit("overtaken slots are dropped");
        }
        self.attestations.tallies.retain(|seq, _| !overtaken.contains(seq));
    }

    /// The slots up to base that it will not be their turn for a while yet.
    fn overtaken(&self) -> std::ops::RangeInclusive<Seq> {
        let near = self.executed.plus(2 * limits::FETCH_BLOCKS as u64).max(self.delivered);
        near.next()..=self.base.base()
    }

    /// C2: a request leaves custody when it is in an executed block, its number is used, or it expired.
    fn release_custody(
        &mut self,
        now: Now,
        seq: Seq,
        consumed: &[(quorate_types::PublicKey, quorate_types::SessionId, quorate_types::Number)],
    ) {
        let slot = self.slots.get(&seq);
        let body = slot.and_then(|slot| slot.decided.and_then(|digest| slot.bodies.get(&digest))).cloned();
        for id in body.iter().flat_map(|body| body.ids()) {
            self.custody.remove(id);
        }
        for number in consumed {
            self.custody.remove_number(number);
        }
        self.drop_expired(now);
    }

    /// A request whose time is over by ledger time, or by the own clock less what clocks may err, holds up nobody (F15).
    pub(crate) fn drop_expired(&mut self, now: Now) {
        let by_clock = LedgerTime(now.wall.0).minus_millis(2 * self.config.parameters.max_clock_skew_ms);
        self.custody.remove_expired(self.executed_time.max(by_clock));
    }

    /// V1, V6: progress for the own oldest request withdraws suspicion; K in a row halve the timeout.
    fn oldest_was_executed(&mut self, out: &mut Outbox) {
        if self.doubts_primary() {
            self.calm = 0;
            self.withdraw_suspicion(out);
            return;
        }
        self.calm += 1;
        if self.calm >= self.config.parameters.checkpoint_every {
            self.calm = 0;
            self.timeout = (self.timeout / 2).max(self.config.parameters.view_timeout());
            self.turnaround.expect_more();
        }
    }

    /// ATTEST of an executed block, unless its certificate is known and nobody waits for it.
    fn attest(&mut self, seq: Seq, header: Digest, out: &mut Outbox) {
        if self.check_certified(seq, header, out) && self.can_vote() && !self.is_disputed(seq) {
            let signed = self.pledges.pledge(Statement::Attest { seq, header }, out);
            let me = self.me();
            self.attestations.tallies.entry(seq).or_default().insert(me, (header, signed.signature));
            out.broadcast(Message::Vote(signed));
        }
        self.certify(seq, out);
    }

    /// Whether another start may have said something else of this block (K4).
    pub(crate) fn is_disputed(&self, seq: Seq) -> bool {
        seq <= self.disputed && !mutant("m62")
    }

    /// Compares the own header with a certificate that came first (K4); returns whether none is held.
    fn check_certified(&mut self, seq: Seq, own: Digest, out: &mut Outbox) -> bool {
        let block = self.slots.get(&seq).and_then(|slot| slot.block.clone());
        if let Some(block) = block.as_ref().filter(|block| block.header_hash != own) {
            self.halt(Report::Diverged { seq, own, certified: block.header_hash }, out);
            return false;
        }
        let known = self.attestations.certificates.get(&seq);
        let certificate = known.or(block.as_ref().and_then(|block| block.own_certificate())).cloned();
        let Some(certificate) = certificate else { return true };
        if certificate.header != own {
            self.halt(Report::Diverged { seq, own, certified: certificate.header }, out);
            return false;
        }
        self.keep_certificate(certificate, out);
        false
    }

    /// Attests again what was executed before a restart and has no certificate (M8).
    pub(crate) fn attest_recovered(&mut self, out: &mut Outbox) {
        if let BaseProof::Checkpoint(certificate) = &self.stable {
            // A restart may have come between the log's record of it and the block store's.
            out.push(Effect::Certified(certificate.clone()));
        }
        let uncertified: Vec<(Seq, Digest)> = self
            .headers
            .range(self.attestations.certified().next()..)
            .map(|(seq, header)| (*seq, *header))
            .filter(|(seq, _)| self.pledges.vote(*seq, StatementKind::Attest).is_none())
            .collect();
        for (seq, header) in uncertified {
            if seq <= self.executed {
                self.attest(seq, header, out);
            }
        }
    }

    /// An ATTEST of a member; it may come before the own execution.
    pub(crate) fn on_attest(&mut self, signed: &SignedStatement, out: &mut Outbox) -> Verdict {
        let Statement::Attest { seq, header } = signed.statement else {
            return Verdict::Ignored(Ignored::Invalid);
        };
        if self.attestations.holds(seq) {
            return Verdict::Ignored(Ignored::Duplicate);
        }
        if seq > self.window_end() || self.overtaken().contains(&seq) {
            return Verdict::Ignored(Ignored::TooFarAhead);
        }
        let tally = self.attestations.tallies.entry(seq).or_default();
        match tally.get(&signed.signer) {
            Some((known, signature)) if *known != header => {
                let statement = Statement::Attest { seq, header: *known };
                let first = SignedStatement { statement, signature: *signature, ..signed.clone() };
                self.condemn((first, signed.clone()), out)
            }
            Some(_) => Verdict::Ignored(Ignored::Duplicate),
            None => {
                tally.insert(signed.signer, (header, signed.signature));
                self.certify(seq, out);
                Verdict::Accepted
            }
        }
    }

    /// M8: q ATTESTs on one header hash certify a block that is executed here; K4 compares.
    fn certify(&mut self, seq: Seq, out: &mut Outbox) {
        let strong = self.quorums().strong();
        let Some(tally) = self.attestations.tallies.get(&seq) else { return };
        let Some((header, signatures)) = agreeing(tally, strong) else { return };
        let Some(own) = self.headers.get(&seq).copied() else { return };
        if own != header {
            self.halt(Report::Diverged { seq, own, certified: header }, out);
            return;
        }
        let certificate = BlockCertificate {
            epoch: self.epoch(),
            height: seq,
            header,
            kind: CertificateKind::Attest,
            signatures,
        };
        self.keep_certificate(certificate, out);
    }

    /// Keeps the certificate of an executed block, and tells the host if it is news.
    pub(crate) fn keep_certificate(&mut self, certificate: BlockCertificate, out: &mut Outbox) {
        if self.attestations.insert(certificate.clone()) {
            out.push(Effect::Certified(certificate));
        }
    }

    /// A certificate of a block, or of a checkpoint, from a peer that holds one.
    pub(crate) fn on_block_certificate(
        &mut self,
        certificate: BlockCertificate,
        out: &mut Outbox,
    ) -> Verdict {
        // A checkpoint's certificate proves its block as ATTESTs do, and some members have no other (M8).
        let as_block = self.certify_by(&certificate, out);
        if certificate.kind == CertificateKind::Attest {
            return as_block;
        }
        let as_checkpoint = self.on_checkpoint_certificate(certificate, out);
        if as_block == Verdict::Accepted { as_block } else { as_checkpoint }
    }

    /// Takes a certificate as the one of its block, if it is executed here.
    fn certify_by(&mut self, certificate: &BlockCertificate, out: &mut Outbox) -> Verdict {
        let seq = certificate.height;
        if self.attestations.holds(seq) {
            return Verdict::Ignored(Ignored::Duplicate);
        }
        let Some(own) = self.headers.get(&seq).copied() else {
            return Verdict::Ignored(Ignored::TooFarAhead);
        };
        if own != certificate.header {
            self.halt(Report::Diverged { seq, own, certified: certificate.header }, out);
            return Verdict::Accepted;
        }
        self.keep_certificate(certificate.clone(), out);
        Verdict::Accepted
    }

    /// N8, T1: a block with its certificate. Above `executed` it decides its slot; below, its certificate may be news.
    pub(crate) fn on_block(
        &mut self,
        _now: Now,
        _from: ReplicaId,
        block: &std::sync::Arc<CheckedBlock>,
        out: &mut Outbox,
    ) -> Verdict {
        let seq = block.header.height;
        if seq <= self.executed {
            return match block.own_certificate() {
                Some(own) => self.on_block_certificate(own.clone(), out),
                None => Verdict::Ignored(Ignored::Duplicate),
            };
        }
        let ahead = self.executed.plus(2 * limits::FETCH_BLOCKS as u64);
        let digest = block.header.batch_digest;
        let Some(slot) = self.slot_mut(seq).filter(|_| seq <= ahead) else {
            return Verdict::Ignored(Ignored::TooFarAhead);
        };
        if slot.decided.is_some() {
            let _ = self.contradicts_execution(seq, digest, out);
            return Verdict::Ignored(Ignored::Duplicate);
        }
        if let Some(batch) = &block.batch {
            slot.bodies.insert(digest, batch.clone());
            slot.recorded_bodies.insert(digest);
        }
        slot.block = Some(block.clone());
        slot.decided = Some(digest);
        out.record(quorate_types::Record::Block(std::sync::Arc::new(block.to_certified_block())));
        self.peers.fetch.progressed = true;
        self.peers.fetch.brought = true;
        Verdict::Accepted
    }

    /// V10: what the request timer is bound to, if it should run.
    pub(crate) fn timed_head(&self) -> Option<Head> {
        if self.waits_for_checkpoint() && !mutant("m61") {
            return Some(Head::Window(self.base.base()));
        }
        if !self.may_time_primary() {
            return None;
        }
        if let Some((id, in_slot)) = self.custody.oldest() {
            // Decided is not enough: a primary that skips a slot would keep everything behind it waiting for ever.
            let committed = in_slot.is_some_and(|seq| seq <= self.delivered);
            return (!committed).then_some(Head::Request(id));
        }
        self.obligation.map(Head::Obligation)
    }

    /// Whether it takes part in its view.
    fn follows_primary(&self) -> bool {
        self.active && !self.catching_up && !self.halted
    }

    /// V10: whether nothing but the primary keeps requests waiting.
    pub(crate) fn may_time_primary(&self) -> bool {
        self.follows_primary() && !self.window_waits() && !self.execution_is_full()
    }

    /// Whether so much was handed over to execution that the rest waits: a replica whose disk or execution is slow must not
    /// pile up what the others decide. What falls behind a proven checkpoint meanwhile comes again as blocks.
    pub(crate) fn execution_is_full(&self) -> bool {
        let most = self.config.parameters.window.max(2 * limits::FETCH_BLOCKS as u64);
        self.delivered.above(self.executed) >= most
    }

    /// V10: whether requests wait because the window does, and not for what happens here.
    fn waits_for_checkpoint(&self) -> bool {
        let executed_all = self.executed == self.delivered;
        self.follows_primary() && executed_all && self.window_waits() && self.custody.len() > 0
    }

    /// Whether the window is used up and waits for a checkpoint: no primary could propose (V10, F15).
    fn window_waits(&self) -> bool {
        self.delivered >= self.window_end()
    }
}
