//! 30: whoever catches up is sent blocks that were changed, left out, or sent before, and certificates of others.

use super::{Behaviour, Held, Liar, at_once, b30_wrong_states, flipped};
use quorate_crypto::{HashedBatch, header_hash};
use quorate_types::{Batch, CertifiedBlock, Message, ReplicaId};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct WrongBlocks {
    last: Option<Arc<CertifiedBlock>>,
}

/// Another block, whole in itself, under a certificate that says so and that nobody signed.
fn forged(mut lie: CertifiedBlock) -> CertifiedBlock {
    let Some(batch) = &lie.block.batch else { return lie };
    let other = Arc::new(Batch { time: batch.time, transactions: Vec::new() });
    lie.block.header.batch_digest = HashedBatch::new(other.clone()).digest();
    lie.block.batch = Some(other);
    lie.links.clear();
    lie.certificate.height = lie.block.header.height;
    lie.certificate.header = header_hash(&lie.block.header);
    lie
}

impl Behaviour for WrongBlocks {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        match message {
            Message::Block(block) => {
                let mut lie = (*block).clone();
                let last = self.last.replace(block.clone());
                match (liar.random.below(6), last) {
                    (0, _) => return Vec::new(),
                    (1, _) => lie.block.header.state_root = flipped(lie.block.header.state_root),
                    (2, _) => lie.block.header.height = lie.block.header.height.next(),
                    (5, _) => return at_once(Message::Block(Arc::new(forged(lie)))),
                    (3, Some(last)) => lie.block.batch = last.block.batch.clone(),
                    (_, Some(last)) => lie = (*last).clone(),
                    _ => {}
                }
                at_once(Message::Block(Arc::new(lie)))
            }
            Message::BlockCertificate(mut certificate) if liar.random.permille(500) => {
                certificate.header = flipped(certificate.header);
                at_once(Message::BlockCertificate(certificate))
            }
            Message::StateParts(_) | Message::StateLeaves(_) => b30_wrong_states::instead(liar, message),
            message => at_once(message),
        }
    }
}
