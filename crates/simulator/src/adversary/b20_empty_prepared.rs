//! 20: a VIEW-CHANGE that says nothing was prepared.

use super::{Behaviour, Held, Liar, at_once};
use quorate_crypto::prepared_set_digest;
use quorate_types::{Message, PreparedCertificate, ReplicaId, Statement, ViewChange};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct EmptyPrepared;

/// The VIEW-CHANGE with another P, signed.
pub(crate) fn with_prepared(
    liar: &Liar,
    view_change: &ViewChange,
    prepared: Vec<PreparedCertificate>,
) -> Message {
    let Statement::ViewChange { view, base, base_proof, .. } = view_change.statement.statement else {
        return Message::ViewChange(Arc::new(view_change.clone()));
    };
    let digest = prepared_set_digest(&prepared);
    let statement = liar.sign(Statement::ViewChange { view, base, base_proof, prepared: digest });
    let base_proof = view_change.base_proof.clone();
    Message::ViewChange(Arc::new(ViewChange { statement, base_proof, prepared }))
}

impl Behaviour for EmptyPrepared {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::ViewChange(own) if own.statement.signer == liar.me => {
                at_once(with_prepared(liar, own, Vec::new()))
            }
            _ => at_once(message),
        }
    }
}
