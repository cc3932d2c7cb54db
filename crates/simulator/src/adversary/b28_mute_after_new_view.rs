//! 28: a good NEW-VIEW, then silence for some seconds.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

const SILENCE: u64 = 5_000_000;

#[derive(Debug, Default)]
pub(crate) struct MuteAfterNewView {
    until: u64,
}

impl Behaviour for MuteAfterNewView {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        if let Message::NewView(new_view) = &message
            && new_view.statement.signer == liar.me
        {
            self.until = liar.now + SILENCE;
            return at_once(message);
        }
        if liar.now < self.until { Vec::new() } else { at_once(message) }
    }
}
