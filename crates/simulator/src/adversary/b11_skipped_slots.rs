//! 11: proposals for slots further on, so that the ones between stay empty.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, Proposal, ReplicaId, Statement};

#[derive(Debug)]
pub(crate) struct SkippedSlots;

impl Behaviour for SkippedSlots {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Proposal(proposal) = &message else { return at_once(message) };
        let Statement::PrePrepare { view, seq, digest } = proposal.pre_prepare.statement else {
            return at_once(message);
        };
        if proposal.pre_prepare.signer != liar.me {
            return at_once(message);
        }
        let pre_prepare = liar.sign(Statement::PrePrepare { view, seq: seq.plus(seq.get() % 3), digest });
        at_once(Message::Proposal(Proposal { pre_prepare, batch: proposal.batch.clone() }))
    }
}
