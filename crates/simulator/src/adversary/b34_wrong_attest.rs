//! 34: ATTESTs of other blocks than those executed, to some or to all.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId, StatementKind};

#[derive(Debug)]
pub(crate) struct WrongAttest;

impl Behaviour for WrongAttest {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        match liar.contradiction(&message, StatementKind::Attest) {
            Some(other) if liar.deceives(to) => at_once(other),
            Some(other) => vec![(0, other), (0, message)],
            None => at_once(message),
        }
    }
}
