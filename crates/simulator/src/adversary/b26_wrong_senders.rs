//! 26: a NEW-VIEW that names a sender twice, members that are none, or VIEW-CHANGEs of another view.

use super::{Behaviour, Held, Liar, at_once, flipped};
use quorate_types::{Message, NewView, ReplicaId, Statement};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct WrongSenders;

impl Behaviour for WrongSenders {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::NewView(new_view) = &message else { return at_once(message) };
        let Statement::NewView { view, mut chosen, min, proposals } = new_view.statement.statement.clone()
        else {
            return at_once(message);
        };
        if new_view.statement.signer != liar.me || chosen.is_empty() {
            return at_once(message);
        }
        let last = chosen.len() - 1;
        match to.get() % 3 {
            0 => chosen[last] = chosen[0],
            1 => chosen[last].0 = ReplicaId::new(liar.members.count()),
            _ => chosen[last].1 = flipped(chosen[last].1),
        }
        let statement = liar.sign(Statement::NewView { view, chosen, min, proposals });
        at_once(Message::NewView(Arc::new(NewView { statement, ..(**new_view).clone() })))
    }
}
