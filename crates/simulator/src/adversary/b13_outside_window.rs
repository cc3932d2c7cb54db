//! 12, 13: proposals beyond the window, at its end, and for slot zero.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, Proposal, ReplicaId, Seq, Statement};

#[derive(Debug)]
pub(crate) struct OutsideWindow;

impl Behaviour for OutsideWindow {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Proposal(proposal) = &message else { return at_once(message) };
        let Statement::PrePrepare { view, seq, digest } = proposal.pre_prepare.statement else {
            return at_once(message);
        };
        let window = liar.parameters.window;
        let far = [Seq::ZERO, seq.plus(window), seq.plus(2 * window), Seq::MAX];
        let seq = liar.random.pick(&far);
        let pre_prepare = liar.sign(Statement::PrePrepare { view, seq, digest });
        let stray = Message::Proposal(Proposal { pre_prepare, batch: proposal.batch.clone() });
        vec![(0, message), (0, stray)]
    }
}
