//! 2: the primary sends a PREPARE of its own for each proposal, and of another digest to half of the members.

use super::{Behaviour, Held, Liar, at_once, flipped};
use quorate_types::{Message, ReplicaId, Statement};

#[derive(Debug)]
pub(crate) struct PrepareAsPrimary;

impl Behaviour for PrepareAsPrimary {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Proposal(proposal) = &message else { return at_once(message) };
        let Statement::PrePrepare { view, seq, digest } = proposal.pre_prepare.statement else {
            return at_once(message);
        };
        if proposal.pre_prepare.signer != liar.me {
            return at_once(message);
        }
        let own = liar.sign(Statement::Prepare { view, seq, digest });
        let other = liar.sign(Statement::Prepare { view, seq, digest: flipped(digest) });
        let mut messages = vec![(0, Message::Vote(own)), (0, message)];
        if liar.deceives(to) {
            messages.push((50, Message::Vote(other)));
        }
        messages
    }
}
