//! 17: everything it proposes comes a little before the timeout.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct SlowPrimary;

impl Behaviour for SlowPrimary {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        match message {
            Message::Proposal(_) | Message::NewView(_) => {
                vec![(liar.parameters.view_timeout_ms * 900, message)]
            }
            message => at_once(message),
        }
    }
}
