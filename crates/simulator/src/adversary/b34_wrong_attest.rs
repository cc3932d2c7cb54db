//! 34: ATTESTs of other blocks than those executed, to some or to all.

use super::{Behaviour, Held, Liar, at_once, with_flipped_digest};
use quorate_types::{Message, ReplicaId, StatementKind};

#[derive(Debug)]
pub(crate) struct WrongAttest;

impl Behaviour for WrongAttest {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::Vote(vote) if vote.statement.kind() == StatementKind::Attest => {
                let other = Message::Vote(liar.sign(with_flipped_digest(&vote.statement)));
                if liar.deceives(to) { at_once(other) } else { vec![(0, other), (0, message)] }
            }
            _ => at_once(message),
        }
    }
}
