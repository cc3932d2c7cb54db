//! 5: a COMMIT for the digest and one for another.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId, StatementKind};

#[derive(Debug)]
pub(crate) struct CommitForBoth;

impl Behaviour for CommitForBoth {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        match liar.contradiction(&message, StatementKind::Commit) {
            Some(other) if liar.deceives(to) => at_once(other),
            Some(other) => vec![(0, message), (0, other)],
            None => at_once(message),
        }
    }
}
