//! 23: a VIEW-CHANGE whose P has entries twice, out of order, of later views, beyond the window, or with too few PREPAREs.

use super::b20_empty_prepared::with_prepared;
use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct BadEntries;

impl Behaviour for BadEntries {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::ViewChange(own) = &message else { return at_once(message) };
        if own.statement.signer != liar.me {
            return at_once(message);
        }
        let mut prepared = own.prepared.clone();
        match (prepared.first().cloned(), to.get() % 5) {
            (None, _) => return at_once(message),
            (Some(first), 0) => prepared.insert(0, first),
            (Some(_), 1) => prepared.reverse(),
            (Some(_), 2) => prepared[0].view = own.view(),
            (Some(first), 3) => prepared[0].seq = first.seq.plus(10 * liar.parameters.window),
            (Some(_), _) => drop(prepared[0].prepares.pop()),
        }
        at_once(with_prepared(liar, own, prepared))
    }
}
