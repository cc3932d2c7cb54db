//! 33: whoever starts is told nothing, or votes that it never cast.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Digest, HelloReply, Message, Notice, ReplicaId, Seq, Statement, View};

#[derive(Debug)]
pub(crate) struct HelloLies;

impl Behaviour for HelloLies {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        let Message::Notice(Notice::HelloReply(reply)) = message else { return at_once(message) };
        let (view, seq) = (View::new(1 << 40), Seq::new(1 << 40));
        let mut forged = liar.sign(Statement::Commit { view, seq, digest: Digest([1; 32]) });
        forged.signer = to;
        let vote = if liar.random.permille(500) { None } else { Some(forged) };
        at_once(Message::Notice(Notice::HelloReply(Box::new(HelloReply { view: None, vote, ..*reply }))))
    }
}
