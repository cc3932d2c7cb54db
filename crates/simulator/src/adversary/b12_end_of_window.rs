//! 12: the primary proposes at the end of the window at once, and below it nothing.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId, Seq};

#[derive(Debug)]
pub(crate) struct EndOfWindow;

impl Behaviour for EndOfWindow {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::Proposal(proposal) if proposal.pre_prepare.signer == liar.me => {
                let every = liar.parameters.checkpoint_every;
                let window = liar.parameters.window;
                // The end of the window whose base is the last multiple of K below.
                let end = |seq: Seq| Seq::new((seq.get().saturating_sub(1)) / every * every + window);
                at_once(liar.propose_at(proposal, end))
            }
            _ => at_once(message),
        }
    }
}
