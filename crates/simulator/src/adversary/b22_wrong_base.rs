//! 22: a VIEW-CHANGE with an old base, or with one that its proof does not prove.

use super::{Behaviour, Held, Liar, at_once};
use quorate_crypto::base_proof_digest;
use quorate_types::{BaseProof, Message, ReplicaId, Seq, Statement, ViewChange};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct WrongBase {
    first: Option<BaseProof>,
}

impl Behaviour for WrongBase {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::ViewChange(own) = &message else { return at_once(message) };
        let Statement::ViewChange { view, base, prepared, .. } = own.statement.statement else {
            return at_once(message);
        };
        if own.statement.signer != liar.me {
            return at_once(message);
        }
        let old = self.first.get_or_insert_with(|| own.base_proof.clone()).clone();
        let (claimed, proof) = match to.get() % 3 {
            0 => (old.base(), old),
            1 => (base.plus(liar.parameters.checkpoint_every), own.base_proof.clone()),
            _ => (Seq::ZERO, BaseProof::Genesis),
        };
        let base_proof = base_proof_digest(&proof);
        let statement = liar.sign(Statement::ViewChange { view, base: claimed, base_proof, prepared });
        let lie = ViewChange { statement, base_proof: proof, prepared: own.prepared.clone() };
        at_once(Message::ViewChange(Arc::new(lie)))
    }
}
