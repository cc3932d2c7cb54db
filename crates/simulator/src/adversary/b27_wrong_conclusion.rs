//! 27: a NEW-VIEW whose O does not follow.

use super::{Behaviour, Held, Liar, at_once, flipped};
use quorate_crypto::null_batch_digest;
use quorate_types::{Message, NewView, ReplicaId, Statement};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct WrongConclusion;

/// The NEW-VIEW with something else in it, signed.
pub(crate) fn altered(liar: &Liar, new_view: &NewView, way: u16) -> Message {
    let Statement::NewView { view, chosen, min, mut proposals } = new_view.statement.statement.clone() else {
        return Message::NewView(Arc::new(new_view.clone()));
    };
    match (way, proposals.is_empty()) {
        (0, _) | (_, true) => proposals.push(null_batch_digest()),
        (1, _) => drop(proposals.pop()),
        (2, _) => proposals[0] = flipped(proposals[0]),
        (3, _) => proposals[0] = null_batch_digest(),
        _ => proposals.reverse(),
    }
    let slots = min.next().get()..;
    let signatures = slots.zip(&proposals).map(|(seq, digest)| {
        let seq = quorate_types::Seq::new(seq);
        liar.sign(Statement::PrePrepare { view, seq, digest: *digest }).signature
    });
    let signatures = signatures.collect();
    let statement = liar.sign(Statement::NewView { view, chosen, min, proposals: proposals.clone() });
    Message::NewView(Arc::new(NewView {
        statement,
        proposals: signatures,
        view_changes: new_view.view_changes.clone(),
    }))
}

impl Behaviour for WrongConclusion {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::NewView(new_view) if new_view.statement.signer == liar.me => {
                at_once(altered(liar, new_view, to.get() % 5))
            }
            _ => at_once(message),
        }
    }
}
