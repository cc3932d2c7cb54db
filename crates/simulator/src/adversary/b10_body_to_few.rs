//! 9, 10: a proposal reaches f + 1 members only, and nobody is given its body later.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct BodyToFew;

impl Behaviour for BodyToFew {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        let few = liar.members.quorums().weak();
        let place = liar.others().into_iter().position(|other| other == to).unwrap_or(0);
        match message {
            Message::Proposal(_) if place >= few => Vec::new(),
            Message::Body(_) => Vec::new(),
            message => at_once(message),
        }
    }
}
