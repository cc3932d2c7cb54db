//! 41: somewhere in a message a length or count is huge, one too large, or zero.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId};

#[derive(Debug)]
pub(crate) struct LyingLengths;

impl Behaviour for LyingLengths {
    fn instead(&mut self, _liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        at_once(message)
    }

    fn bytes(&mut self, liar: &mut Liar, mut bytes: Vec<u8>) -> Vec<u8> {
        const NUMBER: usize = 8;
        // Lengths and counts are numbers of eight bytes, small ones in honest messages.
        let small: Vec<usize> = bytes
            .windows(NUMBER)
            .enumerate()
            .filter(|(_, window)| window[..NUMBER - 2] == [0; NUMBER - 2])
            .map(|(at, _)| at)
            .collect();
        if liar.random.permille(700) || small.is_empty() {
            return bytes;
        }
        let place = small[liar.random.index(small.len())]..;
        let field = &mut bytes[place][..NUMBER];
        let number = field.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let lie = liar.random.pick(&[u64::MAX, i64::MAX as u64, 1 << 32, number + 1, 0]);
        field.copy_from_slice(&lie.to_be_bytes());
        bytes
    }
}
