//! 25: the NEW-VIEW reaches half of the members; the others get one that names other slots.

use super::b27_wrong_conclusion::altered;
use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct SplitNewView;

impl Behaviour for SplitNewView {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::NewView(new_view) = &message else { return at_once(message) };
        if new_view.statement.signer != liar.me || !liar.deceives(to) {
            return at_once(message);
        }
        if liar.random.permille(500) { Vec::new() } else { at_once(altered(liar, new_view, 0)) }
    }
}
