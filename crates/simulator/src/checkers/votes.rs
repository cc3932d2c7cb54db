//! S6, S7: no member contradicts what it said before, across crashes; nothing is said of a view that was left (N10).

use super::Violation;
use quorate_types::{Message, ReplicaId, Seq, SignedStatement, Statement, StatementKind, View};
use std::collections::BTreeMap;

type Place = (ReplicaId, StatementKind, Option<View>, Option<Seq>);

/// Every statement that ever left its signer.
#[derive(Debug, Default)]
pub(crate) struct Votes {
    said: BTreeMap<Place, Statement>,
    /// The highest view that each member left for.
    left: BTreeMap<ReplicaId, View>,
}

impl Votes {
    /// A message leaves a member. Statements of others travel in certificates and repairs and are not held against it.
    pub(crate) fn sent(&mut self, from: ReplicaId, message: &Message) -> Result<(), Violation> {
        let signed = match message {
            Message::Vote(signed) => signed,
            Message::Proposal(proposal) => &proposal.pre_prepare,
            Message::ViewChange(view_change) => &view_change.statement,
            Message::NewView(new_view) => &new_view.statement,
            _ => return Ok(()),
        };
        if signed.signer != from {
            return Ok(());
        }
        self.contradiction(signed)?;
        self.left_view(signed)
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
}
