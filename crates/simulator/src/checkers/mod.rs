//! What must hold, one property a file. `docs/assurance.md` has the table property, clause, file.

mod agreement;
mod amnesia;
mod auditor;
pub(crate) mod domains;
pub(crate) mod durability;
pub(crate) mod encoding;
mod exactly_once;
pub(crate) mod memory;
mod monotone;
mod new_views;
mod outcomes;
pub(crate) mod progress;
mod reference;
pub(crate) mod repairs;

use crate::promised::Lost;
use agreement::Agreement;
use amnesia::Amnesia;
use auditor::Auditor;
use exactly_once::ExactlyOnce;
use monotone::Monotone;
use new_views::NewViews;
use outcomes::Outcomes;
use quorate_crypto::{Malformed, transaction_id};
use quorate_engine::Answer;
use quorate_ledger::{ExecutedBlock, State};
use quorate_pbft::{ReplicaStatus, Report};
use quorate_types::{
    BlockCertificate, Epoch, Header, HelloReply, Members, Message, NewView, Parameters, Record, ReplicaId,
    Seq, SignedStatement, SignedTransaction, TransactionId,
};
use reference::Reference;
use std::collections::{BTreeMap, BTreeSet};

/// The statement that a message makes, with what rides along.
fn signed(message: &Message) -> Option<&SignedStatement> {
    match message {
        Message::Vote(signed) => Some(signed),
        Message::Proposal(proposal) => Some(&proposal.pre_prepare),
        Message::ViewChange(view_change) => Some(&view_change.statement),
        Message::NewView(new_view) => Some(&new_view.statement),
        _ => None,
    }
}

/// The statement that a message makes in the name of its sender. Statements of others travel in certificates and repairs and
/// are not held against who passes them on.
fn own_statement(from: ReplicaId, message: &Message) -> Option<&SignedStatement> {
    signed(message).filter(|signed| signed.signer == from)
}

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name, as in the table.
    pub property: &'static str,
    pub what: String,
}

/// Every checker, fed by the cluster as things happen.
#[derive(Debug)]
pub struct Checkers {
    members: Members,
    /// Of the epochs that began.
    sets: BTreeMap<Epoch, Members>,
    parameters: Parameters,
    /// Members that may lie: what they say is not held against anyone.
    pub faulty: BTreeSet<ReplicaId>,
    pub agreement: Agreement,
    /// By epoch: no statement of one binds anybody in another (M1).
    auditors: BTreeMap<Epoch, Auditor>,
    amnesia: Amnesia,
    new_views: BTreeMap<Epoch, NewViews>,
    monotone: Monotone,
    exactly_once: ExactlyOnce,
    reference: Reference,
    outcomes: Outcomes,
    submitted: BTreeSet<TransactionId>,
    /// More members lie than may fail: agreement may break, if the statements convict more than `f`.
    too_many_faults: bool,
    pub violations: Vec<Violation>,
}

impl Checkers {
    pub(crate) fn new(members: &Members, parameters: &Parameters) -> Self {
        Self {
            members: members.clone(),
            sets: [(members.epoch(), members.clone())].into(),
            parameters: parameters.clone(),
            faulty: BTreeSet::new(),
            agreement: Agreement::default(),
            auditors: BTreeMap::new(),
            amnesia: Amnesia::default(),
            new_views: BTreeMap::new(),
            monotone: Monotone::default(),
            reference: Reference::default(),
            exactly_once: ExactlyOnce::default(),
            outcomes: Outcomes::default(),
            submitted: BTreeSet::new(),
            too_many_faults: false,
            violations: Vec::new(),
        }
    }

    /// A member is in an epoch: all must know the same members of it.
    pub(crate) fn epoch(&mut self, members: &Members) {
        let known = self.sets.entry(members.epoch()).or_insert_with(|| members.clone());
        // Each may have the signatures of others of those who closed the epoch before.
        let told = |members: &Members| {
            let each: Vec<_> = members.iter().map(|(_, member)| member.clone()).collect();
            (members.after(), members.after_header(), members.quorums(), each)
        };
        if told(known) != told(members) {
            let what = format!("two members know other members of epoch {}", members.epoch());
            self.note(Err(Violation { property: "S20 epochs", what }));
        }
    }

    /// The last block of the epoch that a statement is of, as far as the agreed blocks tell.
    pub(crate) fn end_of_epoch_of(&self, message: &Message) -> Seq {
        let end = signed(message).and_then(|signed| self.reference.end(signed.epoch));
        end.unwrap_or(Seq::MAX)
    }

    /// More members lie than may fail.
    pub(crate) fn expect_too_many_faults(&mut self) {
        self.too_many_faults = true;
    }

    pub(crate) fn note(&mut self, result: Result<(), Violation>) {
        let Err(violation) = result else { return };
        if !self.too_many_faults {
            self.violations.push(violation);
        }
    }

    /// S1 and S2 also when more than `f` lie: then the statements must convict more than `f` (S19).
    fn note_agreement(&mut self, result: Result<(), Violation>) {
        let Err(violation) = result else { return };
        let culprits = self.culprits();
        if !self.too_many_faults {
            self.violations.push(violation);
        } else if culprits.len() < self.members.quorums().weak() {
            let what = format!("{}, and the statements convict only {culprits:?}", violation.what);
            self.violations.push(Violation { property: "S19 culprits", what });
        }
    }

    pub(crate) fn submitted(&mut self, transaction: &SignedTransaction) {
        self.submitted.insert(transaction_id(&transaction.transaction));
    }

    /// A member executed a block; `state` is its state after it.
    pub(crate) fn executed(&mut self, member: ReplicaId, block: &ExecutedBlock, state: &State) {
        if self.faulty.contains(&member) {
            return;
        }
        let (checked, first) = self.agreement.executed(member, block);
        self.note_agreement(checked);
        if first && !self.too_many_faults {
            let checked = self.exactly_once.block(block, &self.submitted);
            self.note(checked);
            let checked = self.reference.block(block, state, &self.parameters);
            self.note(checked);
            self.outcomes.block(block);
        }
    }

    /// A member goes on from a state that it fetched.
    pub(crate) fn installed(&mut self, member: ReplicaId, header: &Header, state: &State) {
        if self.faulty.contains(&member) {
            return;
        }
        let checked = self.agreement.installed(member, header, self.too_many_faults);
        self.note_agreement(checked);
        if state.root() != header.state_root || state.height() != header.height {
            let what = format!("{member} has another state after {} than its header says", header.height);
            self.note(Err(Violation { property: "S5 state", what }));
        }
    }

    /// A member's store does not give back what it was given.
    pub(crate) fn unreadable(&mut self, member: ReplicaId, error: &dyn std::fmt::Display) {
        if !self.faulty.contains(&member) {
            let what = format!("{member} cannot read its store: {error}");
            self.note(Err(Violation { property: "D4 what is stored is read back", what }));
        }
    }

    pub(crate) fn out_of_order(&mut self, member: ReplicaId, seq: Seq, height: Seq) {
        if self.faulty.contains(&member) {
            return;
        }
        let what = format!("{member} was to execute {seq} after {height}");
        self.note(Err(Violation { property: "S2 order", what }));
    }

    pub(crate) fn certified(&mut self, certificate: &BlockCertificate) {
        let checked = outcomes::certificate(&self.sets, certificate);
        self.note(checked);
    }

    /// A message leaves a member whose log has promised to keep these records.
    pub(crate) fn sent(&mut self, from: ReplicaId, message: &Message, promised: &[Record]) {
        if self.faulty.contains(&from) {
            self.lied(from, message);
        } else {
            if let Some(signed) = own_statement(from, message) {
                let checked = self.auditors.entry(signed.epoch).or_default().sent(from, message);
                self.note(checked);
            }
            self.counted(from, message);
            let checked = durability::holds(from, message, promised);
            self.note(checked);
        }
    }

    /// An answer to a member's HELLO reaches it (D6).
    pub(crate) fn told(&mut self, start: (ReplicaId, u64), status: &ReplicaStatus, reply: &HelloReply) {
        self.amnesia.told(start, status, reply);
    }

    /// A message leaves a member in its start with this number: whoever found out that it forgot is silent (S16).
    pub(crate) fn remembers(&mut self, start: (ReplicaId, u64), message: &Message) {
        let checked = self.amnesia.sent(start, message);
        self.note(checked);
    }

    /// A message leaves a member that may lie, with what it lies about.
    pub(crate) fn lied(&mut self, from: ReplicaId, message: &Message) {
        if let Some(signed) = own_statement(from, message) {
            self.auditors.entry(signed.epoch).or_default().lied(from, message);
        }
        self.counted(from, message);
    }

    /// The COMMIT of a member, correct or not, counts.
    fn counted(&mut self, from: ReplicaId, message: &Message) {
        let Some(signed) = own_statement(from, message) else { return };
        let strong = self.members.quorums().strong();
        let checked = self.new_views.entry(signed.epoch).or_default().sent(from, message, strong);
        self.note(checked);
    }

    /// A member's log keeps a NEW-VIEW that it accepted.
    pub(crate) fn accepted(&mut self, member: ReplicaId, new_view: &NewView) {
        if !self.faulty.contains(&member) {
            let of_epoch = self.new_views.entry(new_view.statement.epoch).or_default();
            let checked = of_epoch.accepted(new_view, &self.parameters);
            self.note(checked);
        }
    }

    /// Where a member stands, and how large it is.
    pub(crate) fn seen(
        &mut self,
        incarnation: u64,
        status: &ReplicaStatus,
        sizes: impl IntoIterator<Item = (&'static str, usize, usize)>,
    ) {
        if !self.faulty.contains(&status.me) {
            let checked = self.monotone.seen(incarnation, status);
            self.note(checked);
        }
        let checked = memory::within(status, sizes);
        self.violations.extend(checked.err());
    }

    /// What a member received did not verify, though its sender does not lie.
    pub(crate) fn refused(&mut self, from: ReplicaId, why: &Malformed) {
        // Who is in another epoch cannot know the keys.
        let elsewhere = self.sets.len() > 1 && *why == Malformed::OtherEpoch;
        if !self.faulty.contains(&from) && !elsewhere {
            let what = format!("what {from} sent is refused: {why}");
            self.note(Err(Violation { property: "S18 what a correct member sends verifies", what }));
        }
    }

    /// A log was opened and lacks what it had promised. A disk that betrays its member may lead to that, but not unnoticed.
    pub(crate) fn lost_records(&mut self, member: ReplicaId, lost: Lost) {
        let (property, what) = match lost {
            Lost::Damaged(what) => ("D4 damage is no torn tail", what),
            Lost::Promised(_) if self.faulty.contains(&member) => return,
            Lost::Promised(what) => ("D4 the log keeps what was synced", what),
        };
        let what = format!("{member}: {what}");
        self.note(Err(Violation { property, what }));
    }

    /// What a member reports of itself. Only more than f faults, or an own mistake, make a correct one stop for ever (N9, K4).
    pub(crate) fn reported(&mut self, member: ReplicaId, report: &Report) {
        let stops =
            matches!(report, Report::Contradiction { .. } | Report::Diverged { .. } | Report::ViewsExhausted);
        if stops && !self.faulty.contains(&member) {
            let what = format!("{member}: {report:?}");
            self.note(Err(Violation { property: "N9 no correct member stops for ever", what }));
        }
    }

    /// A client was answered.
    pub fn answered(&mut self, transaction: &SignedTransaction, answer: &Answer) {
        let checked = self.outcomes.answered(&self.sets, transaction, answer);
        self.note(checked);
    }

    /// Members whom their own statements convict.
    pub fn culprits(&self) -> BTreeSet<ReplicaId> {
        self.auditors.values().flat_map(|auditor| auditor.culprits()).copied().collect()
    }

    /// Members who contradicted what their logs hold.
    pub fn against_log(&self) -> BTreeSet<ReplicaId> {
        self.auditors.values().flat_map(|auditor| auditor.against_log()).copied().collect()
    }

    /// The height that any member has executed.
    pub fn height(&self) -> u64 {
        self.agreement.height()
    }
}

#[cfg(test)]
mod tests;
