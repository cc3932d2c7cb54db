//! S6, S7, S8, S19: the auditor keeps every statement that ever left its signer. No correct member contradicts what it said
//! before, across crashes, or votes in a view that it left (N10); in one view one digest is committed to for a slot; and
//! whoever did any of that is a culprit whom the statements convict.

use super::{Violation, own_statement};
use quorate_types::{
    Digest, Message, ReplicaId, Seq, SignedStatement, Statement, StatementKind, View, ViewChange,
};
use std::collections::{BTreeMap, BTreeSet};

type Place = (ReplicaId, StatementKind, Option<View>, Option<Seq>);

/// Every statement that ever left its signer.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    said: BTreeMap<Place, Statement>,
    /// The highest view that each member left for.
    left: BTreeMap<ReplicaId, View>,
    /// The digest that correct members sent COMMITs for.
    committed_to: BTreeMap<(View, Seq), (ReplicaId, Digest)>,
    /// The COMMIT of the highest view of each member on each slot.
    commits: BTreeMap<(ReplicaId, Seq), (View, Digest)>,
    culprits: BTreeSet<ReplicaId>,
    /// Those whom more convicts than an ATTEST, which no log keeps.
    against_log: BTreeSet<ReplicaId>,
}

impl Auditor {
    /// A message leaves a correct member.
    pub(crate) fn sent(&mut self, from: ReplicaId, message: &Message) -> Result<(), Violation> {
        let Some(signed) = own_statement(from, message) else { return Ok(()) };
        self.convicts(from, message)?;
        if let Statement::Commit { view, seq, digest } = signed.statement {
            let (first, committed) = *self.committed_to.entry((view, seq)).or_insert((from, digest));
            if committed != digest {
                let what =
                    format!("in view {view} at {seq} {first} committed to {committed}, {from} to {digest}");
                return Err(Violation { property: "S8 one prepared digest", what });
            }
        }
        Ok(())
    }

    /// A message leaves a member that may lie: it can only convict itself.
    pub(crate) fn lied(&mut self, from: ReplicaId, message: &Message) {
        if self.convicts(from, message).is_err() {
            self.culprits.insert(from);
            let attest = own_statement(from, message)
                .is_some_and(|signed| signed.statement.kind() == StatementKind::Attest);
            if !attest {
                self.against_log.insert(from);
            }
        }
    }

    /// Members that said what their logs forbid.
    pub(crate) fn against_log(&self) -> &BTreeSet<ReplicaId> {
        &self.against_log
    }

    /// Members that their own statements convict.
    pub(crate) fn culprits(&self) -> &BTreeSet<ReplicaId> {
        &self.culprits
    }

    fn convicts(&mut self, from: ReplicaId, message: &Message) -> Result<(), Violation> {
        let Some(signed) = own_statement(from, message) else { return Ok(()) };
        self.contradiction(signed)?;
        self.left_view(signed)?;
        if let Statement::Commit { view, seq, digest } = signed.statement {
            let highest = self.commits.entry((from, seq)).or_insert((view, digest));
            *highest = (*highest).max((view, digest));
        }
        match message {
            Message::ViewChange(view_change) => self.forgotten_commit(from, view_change),
            _ => Ok(()),
        }
    }

    fn contradiction(&mut self, signed: &SignedStatement) -> Result<(), Violation> {
        let statement = &signed.statement;
        let place = (signed.signer, statement.kind(), statement.view(), statement.seq());
        match self.said.insert(place, statement.clone()) {
            Some(earlier) if earlier != *statement => Err(Violation {
                property: "S6 one vote",
                what: format!("{} said {earlier:?}, then {statement:?}", signed.signer),
            }),
            _ => Ok(()),
        }
    }

    fn left_view(&mut self, signed: &SignedStatement) -> Result<(), Violation> {
        let Some(view) = signed.statement.view() else { return Ok(()) };
        if let Statement::ViewChange { .. } = signed.statement {
            let left = self.left.entry(signed.signer).or_insert(view);
            *left = (*left).max(view);
            return Ok(());
        }
        // A NEW-VIEW is served to whoever asks for it, also by those who have left its view (R2).
        let vote = !matches!(signed.statement, Statement::NewView { .. });
        match self.left.get(&signed.signer).filter(|_| vote) {
            Some(left) if view < *left => Err(Violation {
                property: "S7 left view",
                what: format!("{} left for view {left}, then sent {:?}", signed.signer, signed.statement),
            }),
            _ => Ok(()),
        }
    }

    /// V2: P has every slot above base that was prepared, and so every slot that its sender committed to in a lower view.
    fn forgotten_commit(&self, from: ReplicaId, view_change: &ViewChange) -> Result<(), Violation> {
        let Statement::ViewChange { view: to, base, .. } = view_change.statement.statement else {
            return Ok(());
        };
        let above = self.commits.range((from, base.next())..=(from, Seq::new(u64::MAX)));
        for ((_, seq), (view, digest)) in above.filter(|(_, (view, _))| *view < to) {
            let entry = view_change.prepared.iter().find(|entry| entry.seq == *seq);
            let kept = entry
                .is_some_and(|entry| entry.view > *view || (entry.view == *view && entry.digest == *digest));
            if !kept {
                let what = format!(
                    "{from} committed to {digest} at {seq} in view {view}; its VIEW-CHANGE to {to} has {:?} there",
                    entry.map(|entry| (entry.view, entry.digest))
                );
                return Err(Violation { property: "S8 a VIEW-CHANGE has what was prepared", what });
            }
        }
        Ok(())
    }
}
