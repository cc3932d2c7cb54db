//! 14: a batch with a request twice.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct DoubledRequest;

impl Behaviour for DoubledRequest {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Proposal(proposal) = &message else { return at_once(message) };
        if proposal.pre_prepare.signer != liar.me {
            return at_once(message);
        }
        let mut batch = (*proposal.batch).clone();
        batch.transactions.extend(proposal.batch.transactions.first().cloned());
        at_once(liar.propose_instead(proposal, batch))
    }
}
