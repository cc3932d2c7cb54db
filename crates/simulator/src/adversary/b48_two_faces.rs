//! 48: liars who agree on a second proposal for each slot: half of the members see one ledger, the others another. With at most
//! f of them nothing comes of it; with more the ledger splits, and their statements convict them.

use super::{Behaviour, Held, Liar, at_once};
use quorate_crypto::HashedBatch;
use quorate_types::{Batch, LedgerTime, Message, ReplicaId, Statement};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct TwoFaces;

impl Behaviour for TwoFaces {
    fn instead(&mut self, liar: &mut Liar, to: ReplicaId, message: Message) -> Vec<Held> {
        match &message {
            Message::Proposal(proposal) if proposal.pre_prepare.signer == liar.me => {
                let batch =
                    Batch { time: LedgerTime(proposal.batch.time.0 + 1), ..(*proposal.batch).clone() };
                let digest = HashedBatch::new(proposal.batch.clone()).digest();
                let other = HashedBatch::new(Arc::new(batch.clone())).digest();
                liar.agreed.lock().insert(digest, other);
                if liar.deceives(to) {
                    at_once(liar.propose_instead(proposal, batch))
                } else {
                    at_once(message)
                }
            }
            Message::Vote(vote) if vote.signer == liar.me && liar.deceives(to) => {
                let other = |digest| liar.agreed.lock().get(&digest).copied();
                let statement = match vote.statement {
                    Statement::Prepare { view, seq, digest } => {
                        other(digest).map(|digest| Statement::Prepare { view, seq, digest })
                    }
                    Statement::Commit { view, seq, digest } => {
                        other(digest).map(|digest| Statement::Commit { view, seq, digest })
                    }
                    _ => None,
                };
                at_once(statement.map_or(message, |statement| Message::Vote(liar.sign(statement))))
            }
            _ => at_once(message),
        }
    }
}
