//! 3: a PREPARE for the digest and one for another.

use super::{Behaviour, Held, Liar, at_once, with_flipped_digest};
use quorate_types::{Message, ReplicaId, StatementKind};

#[derive(Debug)]
pub(crate) struct PrepareForBoth;

impl Behaviour for PrepareForBoth {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::Vote(vote) if vote.statement.kind() == StatementKind::Prepare => {
                let other = Message::Vote(liar.sign(with_flipped_digest(&vote.statement)));
                // Half see the other one first.
                if liar.deceives(to) {
                    vec![(0, other), (50, message)]
                } else {
                    vec![(0, message), (50, other)]
                }
            }
            _ => at_once(message),
        }
    }
}
