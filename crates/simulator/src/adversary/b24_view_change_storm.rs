//! 24: VIEW-CHANGEs for any view, again and again.

use super::{Behaviour, Held, Liar, at_once};
use quorate_crypto::{base_proof_digest, prepared_set_digest};
use quorate_types::{BaseProof, Message, ReplicaId, Seq, Statement, View, ViewChange};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct ViewChangeStorm;

impl Behaviour for ViewChangeStorm {
    fn instead(&mut self, _liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        at_once(message)
    }

    fn unasked(&mut self, liar: &mut Liar) -> Vec<(ReplicaId, Message)> {
        if !liar.random.permille(100) {
            return Vec::new();
        }
        let any = liar.random.any();
        let view = liar.random.pick(&[1, 2, 3, 7, 1 << 20, 1 << 63, u64::MAX, any]);
        let statement = Statement::ViewChange {
            view: View::new(view),
            base: Seq::ZERO,
            base_proof: base_proof_digest(&BaseProof::Genesis),
            prepared: prepared_set_digest(&[]),
        };
        let statement = liar.sign(statement);
        let lie = Arc::new(ViewChange { statement, base_proof: BaseProof::Genesis, prepared: Vec::new() });
        liar.others().into_iter().map(|to| (to, Message::ViewChange(lie.clone()))).collect()
    }
}
