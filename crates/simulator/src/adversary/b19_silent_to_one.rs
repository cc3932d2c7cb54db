//! 19: one member hears nothing from it.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct SilentToOne;

impl Behaviour for SilentToOne {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        if liar.others().first() == Some(&to) { Vec::new() } else { at_once(message) }
    }
}
