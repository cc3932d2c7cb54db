//! 15: batches with requests that were executed long ago.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId, SignedTransaction};

#[derive(Debug, Default)]
pub(crate) struct OldRequests {
    kept: Vec<SignedTransaction>,
}

impl Behaviour for OldRequests {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Proposal(proposal) = &message else { return at_once(message) };
        if proposal.pre_prepare.signer != liar.me {
            return at_once(message);
        }
        let mut batch = (*proposal.batch).clone();
        let old = self.kept.iter().filter(|old| !proposal.batch.transactions.contains(old));
        batch.transactions.extend(old.take(3).cloned());
        if self.kept.len() < 16 {
            self.kept.extend(proposal.batch.transactions.first().cloned());
        }
        at_once(liar.propose_instead(proposal, batch))
    }
}
