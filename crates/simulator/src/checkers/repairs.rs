//! M5: what one STATUS makes a member send again stays within its budget (R1), so that no peer, however often it says that it
//! lacks everything, is sent without end.

use super::Violation;
use quorate_codec::encode_message;
use quorate_types::{Message, ReplicaId};

/// Beyond the budget the last slot's repairs may go: a body or block and the statements about it.
const LAST_SLOT: usize = 3;
/// What a message weighs beside what the budget counts of it.
const FRAME: usize = 512;

/// What a member that may spend `budget` bytes sends to a peer because of its STATUS.
pub(crate) fn within<'m>(
    member: ReplicaId,
    budget: usize,
    sent: impl Iterator<Item = &'m Message>,
) -> Result<(), Violation> {
    let of_slots = |message: &&Message| match message {
        Message::Proposal(_) | Message::Body(_) | Message::Block(_) | Message::CommitCertificate(_) => true,
        Message::Vote(signed) => signed.statement.view().is_some(),
        _ => false,
    };
    let mut sizes: Vec<usize> = sent.filter(of_slots).map(|message| encode_message(message).len()).collect();
    sizes.sort_unstable();
    let most: usize = sizes.iter().rev().take(LAST_SLOT).sum();
    let total: usize = sizes.iter().map(|size| size.saturating_sub(FRAME)).sum();
    if total <= budget + most {
        return Ok(());
    }
    let what =
        format!("{member} repairs with {total} bytes in {} messages, and may use {budget}", sizes.len());
    Err(Violation { property: "M5 repair within its budget", what })
}
