//! 31: whoever asks for a body gets another.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Batch, LedgerTime, Message, ReplicaId};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct WrongBody;

impl Behaviour for WrongBody {
    fn instead(&mut self, _liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        match message {
            Message::Body(body) => at_once(Message::Body(Arc::new(Batch {
                time: LedgerTime(body.time.0 ^ 1),
                ..(*body).clone()
            }))),
            message => at_once(message),
        }
    }
}
