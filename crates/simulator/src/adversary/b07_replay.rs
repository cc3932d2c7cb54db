//! 7: old messages again, from earlier views and slots.

use super::{Behaviour, Held, Liar};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct Replay;

impl Behaviour for Replay {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let mut messages = vec![(0, message)];
        if liar.random.permille(200) && !liar.said.is_empty() {
            let old = liar.random.index(liar.said.len());
            messages.push((0, liar.said[old].clone()));
        }
        messages
    }
}
