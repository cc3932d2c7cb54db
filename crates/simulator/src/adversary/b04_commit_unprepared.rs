//! 4: a COMMIT at once, without a prepared certificate.

use super::{Behaviour, Held, Liar, at_once};
use quorate_types::{Message, ReplicaId, Statement};

#[derive(Debug)]
pub(crate) struct CommitUnprepared;

impl Behaviour for CommitUnprepared {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        let statement = match &message {
            Message::Vote(vote) => &vote.statement,
            Message::Proposal(proposal) if proposal.pre_prepare.signer == liar.me => {
                &proposal.pre_prepare.statement
            }
            _ => return at_once(message),
        };
        match *statement {
            Statement::Prepare { view, seq, digest } | Statement::PrePrepare { view, seq, digest } => {
                let commit = Message::Vote(liar.sign(Statement::Commit { view, seq, digest }));
                vec![(0, message), (0, commit)]
            }
            _ => at_once(message),
        }
    }
}
