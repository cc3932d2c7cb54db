//! 1: half of the members get another proposal for the slot.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Batch, LedgerTime, Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct EquivocalProposal;

impl Behaviour for EquivocalProposal {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Proposal(proposal) = &message else { return at_once(message) };
        if !liar.deceives(to) || proposal.pre_prepare.signer != liar.me {
            return at_once(message);
        }
        let other = Batch { time: LedgerTime(proposal.batch.time.0 + 1), ..(*proposal.batch).clone() };
        at_once(liar.propose_instead(proposal, other))
    }
}
