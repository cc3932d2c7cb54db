//! 16: what one client asks for is never proposed.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct Censor;

impl Behaviour for Censor {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let victim = |byte: u8| byte < 128;
        match message {
            Message::Forward(mut transactions) => {
                transactions.retain(|signed| !victim(signed.transaction.sender.0[0]));
                at_once(Message::Forward(transactions))
            }
            Message::Proposal(proposal) if proposal.pre_prepare.signer == liar.me => {
                let mut batch = (*proposal.batch).clone();
                batch.transactions.retain(|signed| !victim(signed.transaction.sender.0[0]));
                at_once(liar.propose_instead(&proposal, batch))
            }
            message => at_once(message),
        }
    }
}
