//! 18: the primary orders one client's transactions only.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, PublicKey, ReplicaId};

#[derive(Debug, Default)]
pub(crate) struct OwnClients {
    friend: Option<PublicKey>,
}

impl Behaviour for OwnClients {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        match message {
            Message::Proposal(proposal) if proposal.pre_prepare.signer == liar.me => {
                let mut batch = (*proposal.batch).clone();
                let first = batch.transactions.first().map(|signed| signed.transaction.sender);
                self.friend = self.friend.or(first);
                batch.transactions.retain(|signed| Some(signed.transaction.sender) == self.friend);
                at_once(liar.propose_instead(&proposal, batch))
            }
            message => at_once(message),
        }
    }
}
