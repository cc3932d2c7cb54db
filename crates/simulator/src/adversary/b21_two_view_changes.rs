//! 21: half of the members get another VIEW-CHANGE for the view.

use super::b20_empty_prepared::with_prepared;
use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct TwoViewChanges;

impl Behaviour for TwoViewChanges {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::ViewChange(own) if own.statement.signer == liar.me && liar.deceives(to) => {
                let mut prepared = own.prepared.clone();
                prepared.pop();
                at_once(with_prepared(liar, own, prepared))
            }
            _ => at_once(message),
        }
    }
}
