//! 12, 13: proposals beyond the window, at its end, and for slot zero.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId, Seq};

#[derive(Debug)]
pub(crate) struct OutsideWindow;

impl Behaviour for OutsideWindow {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Proposal(proposal) = &message else { return at_once(message) };
        let way = liar.random.index(4);
        let window = liar.parameters.window;
        let far = |seq: Seq| [Seq::ZERO, seq.plus(window), seq.plus(2 * window), Seq::MAX][way];
        let stray = liar.propose_at(proposal, far);
        vec![(0, message), (0, stray)]
    }
}
