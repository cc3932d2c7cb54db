//! 3: a PREPARE for the digest and one for another.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId, StatementKind};

#[derive(Debug)]
pub(crate) struct PrepareForBoth;

impl Behaviour for PrepareForBoth {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        match liar.contradiction(&message, StatementKind::Prepare) {
            // Half see the other one first.
            Some(other) if liar.deceives(to) => vec![(0, other), (50, message)],
            Some(other) => vec![(0, message), (50, other)],
            None => at_once(message),
        }
    }
}
