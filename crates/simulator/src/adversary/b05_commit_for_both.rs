//! 5: a COMMIT for the digest and one for another.

use super::{Behaviour, Held, Liar, at_once, with_flipped_digest};
use quorate_types::{Message, ReplicaId, StatementKind};

#[derive(Debug)]
pub(crate) struct CommitForBoth;

impl Behaviour for CommitForBoth {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::Vote(vote) if vote.statement.kind() == StatementKind::Commit => {
                let other = Message::Vote(liar.sign(with_flipped_digest(&vote.statement)));
                if liar.deceives(to) { at_once(other) } else { vec![(0, message), (0, other)] }
            }
            _ => at_once(message),
        }
    }
}
