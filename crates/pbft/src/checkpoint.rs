//! Checkpoints: proven, stable, truncated (K1 – K5).

use crate::outbox::{Effect, Outbox, Report};
use crate::replica::Replica;
use crate::verdict::{Ignored, Verdict};
use quorate_crypto::Signer;
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{
    BaseProof, BlockCertificate, CertificateKind, Digest, Message, Proposal, Record, ReplicaId, Seq,
    Signature, SignedStatement, Statement,
};
use std::collections::BTreeMap;

/// CHECKPOINTs above base, and the highest beyond the window of each sender (K5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Checkpoints {
    pub(crate) tallies: BTreeMap<Seq, BTreeMap<ReplicaId, (Digest, Signature)>>,
    pub(crate) beyond: BTreeMap<ReplicaId, Seq>,
}

/// The value that `strong` members agree on, with that many of their signatures in order of the members.
pub(crate) fn agreeing(
    tally: &BTreeMap<ReplicaId, (Digest, Signature)>,
    strong: usize,
) -> Option<(Digest, Vec<(ReplicaId, Signature)>)> {
    let mut candidates: Vec<Digest> = tally.values().map(|(digest, _)| *digest).collect();
    candidates.sort_unstable();
    candidates.dedup();
    candidates.into_iter().find_map(|candidate| {
        let signatures: Vec<(ReplicaId, Signature)> = tally
            .iter()
            .filter(|(_, (digest, _))| *digest == candidate)
            .map(|(signer, (_, signature))| (*signer, *signature))
            .take(strong)
            .collect();
        (signatures.len() == strong).then_some((candidate, signatures))
    })
}

impl<S: Signer> Replica<S> {
    /// K1: the blocks up to `seq` are durable, so CHECKPOINT may be said.
    pub(crate) fn on_checkpoint_durable(&mut self, seq: Seq, out: &mut Outbox) -> Verdict {
        self.durable = self.durable.max(seq);
        self.say_due_checkpoints(out);
        Verdict::Accepted
    }

    /// CHECKPOINT of every multiple of K above base that is durable and was not said yet.
    pub(crate) fn say_due_checkpoints(&mut self, out: &mut Outbox) {
        let first = self.base.base().next();
        let due: Vec<Seq> = self.headers.range(first..).map(|(seq, _)| *seq).collect();
        for seq in due {
            self.say_checkpoint(seq, out);
        }
    }

    fn say_checkpoint(&mut self, seq: Seq, out: &mut Outbox) {
        let every = self.config.parameters.checkpoint_every;
        let due = seq > self.base.base() && seq <= self.durable && !self.is_disputed(seq);
        if !self.can_vote() || !due || !seq.is_checkpoint(every) {
            return;
        }
        let Some(header) = self.headers.get(&seq).copied() else { return };
        let statement = Statement::Checkpoint { seq, header };
        if self.pledges.holds(&statement) {
            return;
        }
        let signed = self.pledges.pledge(statement, out);
        let me = self.me();
        self.checkpoints.tallies.entry(seq).or_default().insert(me, (header, signed.signature));
        out.broadcast(Message::Vote(signed));
        self.prove(seq, out);
    }

    /// K2, K5: a CHECKPOINT of a member.
    pub(crate) fn on_checkpoint(&mut self, signed: &SignedStatement, out: &mut Outbox) -> Verdict {
        let Statement::Checkpoint { seq, header } = signed.statement else {
            return Verdict::Ignored(Ignored::Invalid);
        };
        if seq <= self.base.base() {
            return Verdict::Ignored(Ignored::Stale);
        }
        if !seq.is_checkpoint(self.config.parameters.checkpoint_every) {
            return Verdict::Ignored(Ignored::Invalid);
        }
        if seq > self.window_end() {
            let highest = self.checkpoints.beyond.entry(signed.signer).or_insert(seq);
            *highest = (*highest).max(seq);
            self.notice_being_behind(out);
            return Verdict::Accepted;
        }
        let tally = self.checkpoints.tallies.entry(seq).or_default();
        match tally.get(&signed.signer) {
            Some((known, signature)) if *known != header => {
                let statement = Statement::Checkpoint { seq, header: *known };
                let first = SignedStatement { statement, signature: *signature, ..signed.clone() };
                self.condemn((first, signed.clone()), out)
            }
            Some(_) => Verdict::Ignored(Ignored::Duplicate),
            None => {
                tally.insert(signed.signer, (header, signed.signature));
                self.prove(seq, out);
                Verdict::Accepted
            }
        }
    }

    /// K5: w distinct members are beyond the window, so at least one correct one is.
    fn notice_being_behind(&mut self, out: &mut Outbox) {
        let end = self.window_end();
        let beyond = self.checkpoints.beyond.values().filter(|seq| **seq > end).count();
        if beyond >= self.quorums().weak() && !self.catching_up {
            let to = self.checkpoints.beyond.values().copied().max().unwrap_or(end);
            self.start_catching_up(to, out);
        }
    }

    /// K2: q matching CHECKPOINTs prove it.
    fn prove(&mut self, seq: Seq, out: &mut Outbox) {
        let needed = if mutant("m32") { self.quorums().weak() } else { self.quorums().strong() };
        let Some(tally) = self.checkpoints.tallies.get(&seq) else { return };
        let Some((header, signatures)) = agreeing(tally, needed) else { return };
        let certificate = BlockCertificate {
            epoch: self.epoch(),
            height: seq,
            header,
            kind: CertificateKind::Checkpoint,
            signatures,
        };
        self.adopt_base(certificate, out);
    }

    /// A proven checkpoint from a peer, or out of a NEW-VIEW.
    pub(crate) fn on_checkpoint_certificate(
        &mut self,
        certificate: BlockCertificate,
        out: &mut Outbox,
    ) -> Verdict {
        if certificate.height <= self.base.base() {
            return Verdict::Ignored(Ignored::Stale);
        }
        if !certificate.height.is_checkpoint(self.config.parameters.checkpoint_every) {
            return Verdict::Ignored(Ignored::Invalid);
        }
        self.adopt_base(certificate, out);
        Verdict::Accepted
    }

    /// K2: base moves at once; h moves when own state is there. The certificate is recorded first.
    pub(crate) fn adopt_base(&mut self, certificate: BlockCertificate, out: &mut Outbox) {
        let seq = certificate.height;
        // Whoever has stopped for ever stays where it is, with what it holds.
        if seq <= self.base.base() || self.halted {
            return;
        }
        if let Some(own) = self.headers.get(&seq).copied()
            && own != certificate.header
        {
            self.halt(Report::Diverged { seq, own, certified: certificate.header }, out);
            return;
        }
        out.record(Record::Base(certificate.clone()));
        self.base = BaseProof::Checkpoint(certificate);
        self.checkpoints.tallies.retain(|other, _| *other > seq);
        let end = self.window_end();
        self.checkpoints.beyond.retain(|_, other| *other > end);
        if self.executed < seq {
            hit("a checkpoint is adopted without execution");
            self.start_catching_up(seq, out);
            self.drop_overtaken_slots();
        }
        self.next_proposal = self.next_proposal.max(seq.next());
        self.window_moved = true;
    }

    /// Base has moved. Whoever waits long for a state would keep all votes since its stable checkpoint, in memory and in the log.
    pub(crate) fn forget_settled(&mut self, out: &mut Outbox) {
        if self.settled() > self.stable.base() {
            hit("votes are forgotten before a state is there");
            self.pledges.forget_settled(self.settled());
            out.compact(self.essential_records());
        }
    }

    /// Nothing at or below it is voted on any more, nor does anybody need what was: the stable checkpoint, or a window below base.
    pub(crate) fn settled(&self) -> Seq {
        self.stable.base().max(self.base.base().minus(self.config.parameters.window))
    }

    /// K2, K3: stable when own state is durably there; the certificate is recorded before anything is forgotten.
    pub(crate) fn update_stable(&mut self, out: &mut Outbox) {
        let Some(proof) = self.next_stable() else { return };
        let seq = proof.base();
        if seq < self.base.base() {
            hit("a checkpoint on the way of a transfer is stable");
        }
        // How the epoch before ended is known to each member: of that the log tells by its anchor.
        let certificate = match &proof {
            BaseProof::Checkpoint(certificate) => {
                out.record(Record::Stable(certificate.clone()));
                self.keep_certificate(certificate.clone(), out);
                Some(certificate)
            }
            BaseProof::Genesis | BaseProof::Opening(_) => self.config.members.closing(),
        };
        out.push(Effect::StoreState { seq, certificate: certificate.cloned() });
        self.attestations.prove_by_links(seq);
        self.stable = proof;
        out.report(Report::CheckpointStable { seq });
        self.truncate(seq, out);
        self.close_epoch(out);
    }

    /// The base, once it is executed. During a transfer towards it any block on the way will do that this epoch's members certified,
    /// since nobody votes below base: a long transfer must not keep all that it passes in memory and in the log (T1).
    fn next_stable(&self) -> Option<BaseProof> {
        if self.halted {
            return None;
        }
        let reached = if mutant("m19") { self.executed } else { self.durable.min(self.executed) };
        let proof = match &self.base {
            base if base.base() <= self.executed => base.clone(),
            base if mutant("m31") && base.base() > self.stable.base() => return Some(base.clone()),
            _ => {
                // The log is read with the keys of this epoch.
                let mut known = self.attestations.certificates.range(..=reached).rev();
                let (_, certificate) = known.find(|(_, known)| known.epoch == self.epoch())?;
                BaseProof::Checkpoint(certificate.clone())
            }
        };
        let seq = proof.base();
        let held = self.headers.get(&seq).copied() == self.header_of(&proof);
        (held && seq > self.stable.base() && seq <= reached && seq <= self.base.base()).then_some(proof)
    }

    /// The header that a proof is of, if it is known. That of the genesis need not be: nothing lies below it.
    pub(crate) fn header_of(&self, proof: &BaseProof) -> Option<Digest> {
        match proof {
            BaseProof::Checkpoint(certificate) => Some(certificate.header),
            BaseProof::Genesis | BaseProof::Opening(_) => self.config.members.after_header(),
        }
    }

    /// K3: forgets what is at or below the stable checkpoint, in memory and in the log.
    fn truncate(&mut self, stable: Seq, out: &mut Outbox) {
        self.slots.retain(|seq, _| *seq > stable);
        let attests_from = self.attestations.certified().next().min(stable);
        self.pledges.truncate(stable, attests_from);
        self.headers.retain(|seq, _| *seq >= attests_from.min(stable));
        self.attestations.tallies.retain(|seq, _| *seq >= attests_from);
        self.peers.asked_for_body.retain(|seq, _| *seq > stable);
        self.view_changes.wanted_bodies.retain(|seq, _| *seq > stable);
        out.compact(self.essential_records());
    }

    /// Everything that a restart needs, in an order that replays to the present position.
    fn essential_records(&self) -> Vec<Record> {
        let mut records = vec![Record::Anchor {
            epoch: self.epoch(),
            view: self.view,
            active: self.active,
            base: self.base.clone(),
            stable: self.stable.clone(),
        }];
        if let Some(new_view) = &self.view_changes.accepted {
            records.push(Record::NewView(new_view.clone()));
        }
        if let Some(own) = self.view_changes.own.clone().filter(|own| own.view() == self.view && !self.active)
        {
            records.push(Record::ViewChange(own));
        }
        if let Some(reservation) = self.pledges.reservation().filter(|held| held.view == self.view) {
            records.push(Record::Reserved(reservation));
        }
        for (seq, slot) in &self.slots {
            self.push_slot_records(*seq, slot, &mut records);
        }
        records.extend(self.pledges.votes_above(self.settled()).cloned().map(Record::Vote));
        records
    }

    fn push_slot_records(&self, seq: Seq, slot: &crate::slot::Slot, records: &mut Vec<Record>) {
        let mut with_proposal = None;
        if let Some(offer) = slot.offers.first()
            && let Some(body) = slot.bodies.get(&offer.digest)
            && slot.recorded_bodies.contains(&offer.digest)
        {
            let statement = Statement::PrePrepare { view: offer.view, seq, digest: offer.digest };
            let signer = self.config.members.primary(offer.view);
            let pre_prepare =
                SignedStatement { epoch: self.epoch(), signer, statement, signature: offer.signature };
            records.push(Record::Proposal(Proposal { pre_prepare, batch: body.batch().clone() }));
            with_proposal = Some(offer.digest);
        }
        for digest in slot.recorded_bodies.iter().filter(|digest| Some(**digest) != with_proposal) {
            if let Some(body) = slot.bodies.get(digest) {
                records.push(Record::Body(body.batch().clone()));
            }
        }
        if let Some(certificate) = &slot.prepared {
            records.push(Record::Prepared(certificate.clone()));
        }
        if let Some(certificate) = slot.commit_certificate.as_ref().filter(|_| slot.decided.is_some()) {
            records.push(Record::Committed(certificate.clone()));
        }
        if let Some(block) = &slot.block {
            records.push(Record::Block(std::sync::Arc::new(block.to_certified_block())));
        }
    }

    /// Tells the host to make a checkpoint durable whose effect was lost with a restart.
    pub(crate) fn ask_durable(&mut self, out: &mut Outbox) {
        let every = self.config.parameters.checkpoint_every;
        let latest = Seq::new(self.executed.get() - self.executed.get() % every);
        if latest > self.stable.base() && latest > self.durable {
            out.push(Effect::MakeDurable { seq: latest });
        }
    }
}
