//! What the member has said: no two statements that contradict each other ever leave it, and none of a view that it left.

use quorate_types::{
    Message, NewView, ReplicaId, Seq, SignedStatement, Statement, StatementKind, View, ViewChange,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a statement speaks of: a member says at most one thing of each.
type Subject = (StatementKind, Option<View>, Option<Seq>);

pub(super) struct Said {
    pub(super) me: ReplicaId,
    statements: BTreeMap<Subject, SignedStatement>,
    /// The own VIEW-CHANGE of each view.
    pub(super) view_changes: BTreeMap<View, Arc<ViewChange>>,
    /// The highest view that was left or opened (N10).
    left: View,
}

fn subject(statement: &Statement) -> Subject {
    (statement.kind(), statement.view(), statement.seq())
}

impl Said {
    pub(super) fn new(me: ReplicaId) -> Self {
        Self { me, statements: BTreeMap::new(), view_changes: BTreeMap::new(), left: View::ZERO }
    }

    /// The member's signature on a statement, if it ever made one: nobody can forge it.
    pub(super) fn signed(&self, statement: &Statement) -> Option<SignedStatement> {
        self.statements.get(&subject(statement)).filter(|said| said.statement == *statement).cloned()
    }

    /// Everything said, in no order that matters.
    pub(super) fn all(&self) -> impl Iterator<Item = &SignedStatement> {
        self.statements.values()
    }

    /// The member started again with these blocks. An ATTEST is not logged (table D), since one digest can be decided in a
    /// slot; three liars of four decide two, and what tells of the first may be lost with the block.
    pub(super) fn restarted(&mut self, tip: Seq) {
        self.statements.retain(|(kind, _, seq), _| *kind != StatementKind::Attest || *seq <= Some(tip));
    }

    /// Takes notice of what leaves the member.
    pub(super) fn sent(&mut self, message: &Message) {
        match message {
            Message::Vote(signed) => self.vote(signed),
            Message::Proposal(proposal) => self.vote(&proposal.pre_prepare),
            Message::ViewChange(view_change) if view_change.statement.signer == self.me => {
                self.say(&view_change.statement);
                self.left = self.left.max(view_change.view());
                self.view_changes.insert(view_change.view(), view_change.clone());
            }
            Message::NewView(new_view) if new_view.statement.signer == self.me => self.new_view(new_view),
            _ => {}
        }
    }

    fn vote(&mut self, signed: &SignedStatement) {
        if signed.signer != self.me {
            return;
        }
        if let Some(view) = signed.statement.view() {
            assert!(view >= self.left, "N10: {signed:?} leaves after {} was entered", self.left);
        }
        self.say(signed);
    }

    /// A NEW-VIEW is also a PRE-PREPARE of each slot of O.
    fn new_view(&mut self, new_view: &NewView) {
        self.say(&new_view.statement);
        let Statement::NewView { view, min, proposals, .. } = &new_view.statement.statement else { return };
        self.left = self.left.max(*view);
        let mut seq = *min;
        for (digest, signature) in proposals.iter().zip(&new_view.proposals) {
            seq = seq.next();
            let statement = Statement::PrePrepare { view: *view, seq, digest: *digest };
            self.say(&SignedStatement { statement, signature: *signature, ..new_view.statement.clone() });
        }
    }

    fn say(&mut self, signed: &SignedStatement) {
        let earlier = self.statements.insert(subject(&signed.statement), signed.clone());
        if let Some(earlier) = earlier {
            assert_eq!(earlier, *signed, "S6: two statements of one subject");
        }
    }
}
