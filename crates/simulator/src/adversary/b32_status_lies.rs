//! 32: STATUS that claims to lack everything, or to have what nobody has, so that others send again and again.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, Notice, ReplicaId, Seq, Status};

#[derive(Debug)]
pub(crate) struct StatusLies;

impl Behaviour for StatusLies {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Notice(Notice::Status(status)) = message else { return at_once(message) };
        let lie = match liar.random.below(3) {
            0 => Status { executed: Seq::ZERO, certified: Seq::ZERO, slots: Vec::new(), ..status },
            1 => {
                Status { stable: Seq::MAX, executed: Seq::MAX, certified: Seq::MAX, base: Seq::MAX, ..status }
            }
            _ => Status { view_changes: 0, checkpoints: 0, attests: 0, slots: Vec::new(), ..status },
        };
        at_once(Message::Notice(Notice::Status(lie)))
    }
}
