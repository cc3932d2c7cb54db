//! 6: votes in the name of every other member, under the own key.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId, SignedStatement};

#[derive(Debug)]
pub(crate) struct ForgedSigner;

impl Behaviour for ForgedSigner {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Vote(vote) = &message else { return at_once(message) };
        let forged = |signer| (0, Message::Vote(SignedStatement { signer, ..vote.clone() }));
        let others: Vec<Held> = liar.others().into_iter().map(forged).collect();
        [vec![(0, message)], others].concat()
    }
}
