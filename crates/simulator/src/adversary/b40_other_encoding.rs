//! 40: bytes that are nearly those of a message: one more, one fewer, or one that is no legal tag or truth value.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct OtherEncoding;

impl Behaviour for OtherEncoding {
    fn instead(&mut self, _liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        at_once(message)
    }

    fn bytes(&mut self, liar: &mut Liar, mut bytes: Vec<u8>) -> Vec<u8> {
        if liar.random.permille(700) || bytes.is_empty() {
            return bytes;
        }
        match liar.random.below(3) {
            0 => bytes.push(u8::try_from(liar.random.below(256)).unwrap_or(0)),
            1 => drop(bytes.pop()),
            _ => {
                let at = liar.random.index(bytes.len());
                bytes[at] = bytes[at].wrapping_add(liar.random.pick(&[1, 2, 128, 255]));
            }
        }
        bytes
    }
}
