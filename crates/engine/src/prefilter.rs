//! Messages that a published status shows to be useless are dropped before any signature is paid for.

use quorate_pbft::ReplicaStatus;
use quorate_types::mutants::mutant;
use quorate_types::{Message, StatementKind};

/// Whether a message may still matter to a replica that stands at `status`.
pub fn is_useful(status: &ReplicaStatus, message: &Message) -> bool {
    match message {
        Message::Proposal(proposal) => {
            let statement = &proposal.pre_prepare.statement;
            statement.view().is_some_and(|view| view >= status.view)
                && statement.seq().is_some_and(|seq| seq > status.stable)
        }
        Message::Vote(signed) => match signed.statement.kind() {
            StatementKind::Prepare => {
                (signed.statement.view().is_some_and(|view| view >= status.view) || mutant("m14"))
                    && signed.statement.seq().is_some_and(|seq| seq > status.stable)
            }
            StatementKind::Commit => signed.statement.seq().is_some_and(|seq| seq > status.executed),
            StatementKind::Attest => signed.statement.seq().is_some_and(|seq| seq > status.certified),
            StatementKind::Checkpoint => signed.statement.seq().is_some_and(|seq| seq > status.base),
            _ => false,
        },
        Message::NewView(new_view) => {
            mutant("m27")
                || new_view.view() > status.view
                || (new_view.view() == status.view && !status.active)
        }
        Message::CommitCertificate(certificate) => certificate.seq > status.executed,
        Message::BlockCertificate(certificate) => certificate.height > status.certified.min(status.base),
        Message::Block(block) => block.block.header.height > status.certified,
        Message::StateParts(state) => state.header.height > status.executed,
        Message::StateLeaves(leaves) => leaves.height > status.executed,
        Message::ViewChange(_)
        | Message::Body(_)
        | Message::Forward(_)
        | Message::Evidence(_)
        | Message::Notice(_) => true,
    }
}
