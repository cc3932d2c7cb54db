//! 8: votes signed for another ledger.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{LedgerId, Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct OtherLedger;

impl Behaviour for OtherLedger {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::Vote(vote) if liar.random.permille(500) => {
                at_once(Message::Vote(liar.sign_for(LedgerId([9; 32]), vote.statement.clone())))
            }
            _ => at_once(message),
        }
    }
}
