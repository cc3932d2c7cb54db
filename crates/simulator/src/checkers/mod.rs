//! What must hold, one property a file. `docs/assurance.md` has the table property, clause, file.

mod agreement;
pub(crate) mod durability;
mod exactly_once;
mod outcomes;
mod votes;

use agreement::Agreement;
use exactly_once::ExactlyOnce;
use outcomes::Outcomes;
use quorate_crypto::transaction_id;
use quorate_engine::Answer;
use quorate_ledger::ExecutedBlock;
use quorate_types::{BlockCertificate, Members, Message, Record, ReplicaId, Seq, SignedTransaction, TransactionId};
use std::collections::BTreeSet;
use votes::Votes;

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
    /// Members that may lie: what they say is not held against anyone.
    pub faulty: BTreeSet<ReplicaId>,
    pub agreement: Agreement,
    votes: Votes,
    exactly_once: ExactlyOnce,
    outcomes: Outcomes,
    submitted: BTreeSet<TransactionId>,
    pub violations: Vec<Violation>,
}

impl Checkers {
    pub(crate) fn new(members: &Members) -> Self {
        Self {
            members: members.clone(),
            faulty: BTreeSet::new(),
            agreement: Agreement::default(),
            votes: Votes::default(),
            exactly_once: ExactlyOnce::default(),
            outcomes: Outcomes::default(),
            submitted: BTreeSet::new(),
            violations: Vec::new(),
        }
    }

    pub(crate) fn note(&mut self, result: Result<(), Violation>) {
        self.violations.extend(result.err());
    }

    pub(crate) fn submitted(&mut self, transaction: &SignedTransaction) {
        self.submitted.insert(transaction_id(&transaction.transaction));
    }

    pub(crate) fn executed(&mut self, member: ReplicaId, block: &ExecutedBlock) {
        if self.faulty.contains(&member) {
            return;
        }
        let (checked, first) = self.agreement.executed(member, block);
        self.note(checked);
        if first {
            let checked = self.exactly_once.block(block, &self.submitted);
            self.note(checked);
            self.outcomes.block(block);
        }
    }

    pub(crate) fn out_of_order(&mut self, member: ReplicaId, seq: Seq, height: Seq) {
        if self.faulty.contains(&member) {
            return;
        }
        let what = format!("{member} was to execute {seq} after {height}");
        self.violations.push(Violation { property: "S2 order", what });
    }

    pub(crate) fn certified(&mut self, certificate: &BlockCertificate) {
        let checked = outcomes::certificate(&self.members, certificate);
        self.note(checked);
    }

    /// A message leaves a member whose log has promised to keep these records.
    pub(crate) fn sent(&mut self, from: ReplicaId, message: &Message, promised: &[Record]) {
        if !self.faulty.contains(&from) {
            let checked = self.votes.sent(from, message);
            self.note(checked);
            let checked = durability::holds(from, message, promised);
            self.note(checked);
        }
    }

    /// A log was opened after a crash and lacks what it had promised.
    pub(crate) fn lost_records(&mut self, member: ReplicaId, what: &str) {
        if !self.faulty.contains(&member) {
            let what = format!("{member}: {what}");
            self.violations.push(Violation { property: "D4 the log keeps what was synced", what });
        }
    }

    /// A client was answered.
    pub fn answered(&mut self, transaction: &SignedTransaction, answer: &Answer) {
        let checked = self.outcomes.answered(&self.members, transaction, answer);
        self.note(checked);
    }

    /// The height that any member has executed.
    pub fn height(&self) -> u64 {
        self.agreement.height()
    }
}
