//! 11: proposals for slots further on, so that the ones between stay empty.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct SkippedSlots;

impl Behaviour for SkippedSlots {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::Proposal(proposal) if proposal.pre_prepare.signer == liar.me => {
                at_once(liar.propose_at(proposal, |seq| seq.plus(seq.get() % 3)))
            }
            _ => at_once(message),
        }
    }
}
