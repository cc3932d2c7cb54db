//! 29: CHECKPOINTs of another state, of two states, and of slots far ahead.

use super::{Behaviour, Held, Liar, at_once, with_flipped_digest};
use quorate_types::{Message, ReplicaId, Seq, Statement};

#[derive(Debug)]
pub(crate) struct WrongCheckpoint;

impl Behaviour for WrongCheckpoint {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Vote(vote) = &message else { return at_once(message) };
        let Statement::Checkpoint { seq, header } = vote.statement else { return at_once(message) };
        let other = Message::Vote(liar.sign(with_flipped_digest(&vote.statement)));
        let every = liar.parameters.checkpoint_every;
        let far = Seq::new(seq.get().saturating_add(every * liar.random.pick(&[1, 100, 1 << 40])));
        let far = Message::Vote(liar.sign(Statement::Checkpoint { seq: far, header }));
        if liar.deceives(to) { vec![(0, other), (0, far)] } else { vec![(0, message), (0, other), (0, far)] }
    }
}
