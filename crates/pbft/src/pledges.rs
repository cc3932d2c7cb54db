//! The pledge ledger: the one place that signs.
//!
//! Every statement of this replica passes [`Pledges::pledge`], which checks that it contradicts nothing said before,
//! records it, and queues it behind the record. It panics rather than be two-faced: a contradiction here is a bug of
//! ours, never a peer's doing, since no peer's number reaches this file unchecked.
//!
//! What an auditor should find here: one digest per (view, seq, kind); no PRE-PREPARE, PREPARE or COMMIT in a view
//! below one that was left (N10); one VIEW-CHANGE per view (V2); one ATTEST and one CHECKPOINT per seq; for an executed
//! slot only the digest executed (N9); and after a restart no PRE-PREPARE or PREPARE that a reservation found in the log
//! speaks of, unless the log holds that very statement (D7).
//!
//! Why D7 is safe. A prepared certificate of (view, seq) has the primary's PRE-PREPARE and PREPAREs of q−1 backups. Two of them
//! for two digests would share a correct member that said two things. Within one run it remembers what it said; what
//! it said in an earlier run and lost was covered by a reservation that was durable before it left, so that it says nothing
//! there. A COMMIT still waits for the certificate and the body (table D), so a VIEW-CHANGE lacks nothing that was committed:
//! PREPAREs outside of certificates play no part in it (V2, V7). In views above the reservation's it is free, and they begin
//! with a VIEW-CHANGE or NEW-VIEW that is durable.

use crate::outbox::Outbox;
use quorate_crypto::Signer;
use quorate_types::mutants::mutant;
use quorate_types::{
    Digest, Epoch, LedgerId, Record, ReplicaId, Reservation, Seq, SignedStatement, Statement, StatementKind,
    View,
};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pledges<S> {
    signer: S,
    me: ReplicaId,
    ledger: LedgerId,
    epoch: Epoch,
    /// The view in which votes are cast: the highest of a VIEW-CHANGE or NEW-VIEW said or accepted.
    view: View,
    /// Whether `view` is open for votes: false from VIEW-CHANGE to NEW-VIEW.
    open: bool,
    /// The latest vote of each kind on each slot.
    votes: BTreeMap<(Seq, StatementKind), SignedStatement>,
    view_change: Option<SignedStatement>,
    new_view: Option<SignedStatement>,
    /// The digests of executed slots above the stable checkpoint (N9).
    executed: BTreeMap<Seq, Digest>,
    /// The latest reservation of this run (D7).
    reserved: Option<Reservation>,
    /// The latest reservation of earlier runs: what it speaks of may have been said and lost (D7).
    inherited: Option<Reservation>,
}

impl<S: Signer> Pledges<S> {
    pub(crate) fn new(signer: S, me: ReplicaId, ledger: LedgerId, epoch: Epoch) -> Self {
        Self {
            signer,
            me,
            ledger,
            epoch,
            view: View::ZERO,
            open: true,
            votes: BTreeMap::new(),
            view_change: None,
            new_view: None,
            executed: BTreeMap::new(),
            reserved: None,
            inherited: None,
        }
    }

    /// Signs a statement unless that very statement was signed before, in which case the same bytes are returned (D2).
    /// A vote's record goes into `out` before any effect that carries it. PRE-PREPARE, VIEW-CHANGE and NEW-VIEW are
    /// recorded by the caller together with what rides along; ATTEST needs no record (table D).
    ///
    /// # Panics
    /// If the statement contradicts an earlier one: a bug of this replica.
    pub(crate) fn pledge(&mut self, statement: Statement, out: &mut Outbox) -> SignedStatement {
        if let Some(said) = self.said(&statement) {
            return said;
        }
        if let Some(objection) = self.objection(&statement) {
            panic!("{objection}");
        }
        let signature = self.signer.sign(&statement.signed_bytes(&self.ledger, self.epoch));
        let signed = SignedStatement { epoch: self.epoch, signer: self.me, statement, signature };
        self.remember(&signed);
        match signed.statement.kind() {
            StatementKind::Prepare => out.record_in_time(Record::Vote(signed.clone())),
            StatementKind::Commit | StatementKind::Checkpoint => out.record(Record::Vote(signed.clone())),
            _ => {}
        }
        signed
    }

    /// D7: from when this is durable on, PRE-PREPAREs and PREPAREs of the open view up to `up_to` may leave at once.
    pub(crate) fn reserve(&mut self, up_to: Seq, out: &mut Outbox) {
        let reservation = Reservation { epoch: self.epoch, view: self.view, up_to };
        if self.reservation() < Some(reservation) {
            self.reserved = Some(reservation);
            out.record(Record::Reserved(reservation));
        }
    }

    /// Up to which slot of the present view something is reserved.
    pub(crate) fn reserved_to(&self) -> Seq {
        let of_this_view = self.reservation().filter(|reservation| reservation.view == self.view);
        of_this_view.map_or(Seq::ZERO, |reservation| reservation.up_to)
    }

    /// The latest reservation, of whichever run.
    pub(crate) fn reservation(&self) -> Option<Reservation> {
        self.reserved.max(self.inherited)
    }

    /// Takes back what the log says was reserved.
    pub(crate) fn restore_reservation(&mut self, reservation: Reservation) {
        self.inherited = self.inherited.max(Some(reservation));
    }

    /// D7: whether a PRE-PREPARE or PREPARE of this slot may have been said in an earlier run and lost.
    pub(crate) fn abstains(&self, view: View, seq: Seq) -> bool {
        self.inherited.is_some_and(|inherited| inherited.reaches(view, seq)) && !mutant("m54")
    }

    /// D7: whether an earlier run may have said this before it was durable, so that its lack in the log proves nothing.
    pub(crate) fn may_lack(&self, signed: &SignedStatement) -> bool {
        self.inherited.is_some_and(|inherited| inherited.covers(signed))
    }

    /// The identical statement, if it was signed before.
    fn said(&self, statement: &Statement) -> Option<SignedStatement> {
        let candidate = match statement {
            Statement::ViewChange { .. } => self.view_change.as_ref(),
            Statement::NewView { .. } => self.new_view.as_ref(),
            other => self.votes.get(&(other.seq()?, other.kind())),
        };
        candidate.filter(|signed| signed.statement == *statement).cloned()
    }

    /// Why a statement may not be signed, if it may not.
    pub(crate) fn objection(&self, statement: &Statement) -> Option<String> {
        match statement {
            Statement::PrePrepare { view, seq, digest }
            | Statement::Prepare { view, seq, digest }
            | Statement::Commit { view, seq, digest } => {
                let open = (self.open && *view == self.view) || mutant("m14") || mutant("m27");
                let said = self.votes.get(&(*seq, statement.kind()));
                let executed = self.executed.get(seq);
                let reserved = statement.kind() != StatementKind::Commit
                    && !(statement.kind() == StatementKind::PrePrepare && mutant("m55"))
                    && self.abstains(*view, *seq);
                if !open {
                    Some(format!("N10: vote in view {view}, but {} is open", self.view))
                } else if said.is_some_and(|said| said.statement.view() >= Some(*view)) {
                    Some(format!("one {:?} per view: {statement:?}", statement.kind()))
                } else if executed.is_some_and(|executed| executed != digest) {
                    Some(format!("N9: executed another at {seq}"))
                } else if reserved {
                    Some(format!("D7: {:?} at {seq} may have been said and lost", statement.kind()))
                } else {
                    None
                }
            }
            Statement::Attest { seq, .. } | Statement::Checkpoint { seq, .. } => {
                let said = self.votes.contains_key(&(*seq, statement.kind()));
                said.then(|| format!("one {:?} at {seq}", statement.kind()))
            }
            Statement::ViewChange { view, .. } => {
                let earlier = self.view_change.as_ref().and_then(|said| said.statement.view());
                if earlier >= Some(*view) && !mutant("m15") {
                    return Some(format!("V2: one VIEW-CHANGE for view {view}"));
                }
                let entered = *view == self.view && !self.open;
                (!entered).then(|| format!("V2: view {view} must be entered and closed first"))
            }
            Statement::NewView { view, .. } => {
                let earlier = self.new_view.as_ref().and_then(|said| said.statement.view());
                if earlier >= Some(*view) {
                    return Some(format!("V7: one NEW-VIEW for view {view}"));
                }
                let pending = *view == self.view && !self.open;
                (!pending).then(|| format!("V7: view {view} must be pending"))
            }
        }
    }

    fn remember(&mut self, signed: &SignedStatement) {
        match &signed.statement {
            Statement::ViewChange { .. } => self.view_change = Some(signed.clone()),
            Statement::NewView { .. } => self.new_view = Some(signed.clone()),
            other => {
                let seq = other.seq().expect("a vote names a slot");
                self.votes.insert((seq, other.kind()), signed.clone());
            }
        }
    }

    /// Takes back what the log says was said, in the order of the log.
    pub(crate) fn restore(&mut self, signed: &SignedStatement) {
        if signed.signer == self.me && signed.epoch == self.epoch {
            self.remember(signed);
        }
    }

    /// Closes all views below `view` for ever, and `view` until it is opened (N10, V2).
    pub(crate) fn leave_for(&mut self, view: View) {
        assert!(view > self.view, "views only grow: {view} after {}", self.view);
        self.view = view;
        self.open = false;
    }

    /// Opens a view whose NEW-VIEW was recorded (V8).
    pub(crate) fn open(&mut self, view: View) {
        assert!(view >= self.view || mutant("m27"), "views only grow: {view} after {}", self.view);
        self.view = view;
        self.open = true;
    }

    /// Takes back the position that the log says was reached.
    pub(crate) fn restore_position(&mut self, view: View, open: bool) {
        self.view = view;
        self.open = open;
    }

    /// Binds later votes on a slot to the digest that was executed there (N9).
    pub(crate) fn bind_executed(&mut self, seq: Seq, digest: Digest) {
        self.executed.insert(seq, digest);
    }

    /// The digest executed in a slot above the stable checkpoint.
    pub(crate) fn executed_digest(&self, seq: Seq) -> Option<Digest> {
        self.executed.get(&seq).copied()
    }

    /// The own vote of this kind on a slot, of the latest view.
    pub(crate) fn vote(&self, seq: Seq, kind: StatementKind) -> Option<&SignedStatement> {
        self.votes.get(&(seq, kind))
    }

    /// Whether the log holds this very statement (D6).
    pub(crate) fn holds(&self, statement: &Statement) -> bool {
        self.said(statement).is_some()
    }

    /// Forgets votes where everything is settled, attestations excepted: they are re-issued on request (M8).
    pub(crate) fn forget_settled(&mut self, settled: Seq) {
        self.votes.retain(|(seq, kind), _| *kind == StatementKind::Attest || *seq > settled);
    }

    /// Forgets what is at or below a stable checkpoint, attestations from there on excepted.
    pub(crate) fn truncate(&mut self, stable: Seq, attests_from: Seq) {
        self.forget_settled(stable);
        self.votes.retain(|(seq, kind), _| *kind != StatementKind::Attest || *seq >= attests_from);
        self.executed.retain(|seq, _| *seq > stable);
    }

    /// The own votes that must survive a compaction of the log, in order (K3).
    pub(crate) fn votes_above(&self, settled: Seq) -> impl Iterator<Item = &SignedStatement> {
        self.votes
            .iter()
            .filter(move |((seq, kind), _)| {
                let kept = [StatementKind::Prepare, StatementKind::Commit, StatementKind::Checkpoint];
                *seq > settled && kept.contains(kind)
            })
            .map(|(_, signed)| signed)
    }

    pub(crate) fn counts(&self) -> usize {
        self.votes.len() + self.executed.len()
    }
}

#[cfg(test)]
mod tests;
