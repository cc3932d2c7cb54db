//! 30: whoever catches up is sent blocks that were changed, left out, or sent before, and certificates of others.

use super::{Behaviour, Held, Liar, at_once, flipped};
use quorate_types::{CertifiedBlock, Message, ReplicaId};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct WrongBlocks {
    last: Option<Arc<CertifiedBlock>>,
}

impl Behaviour for WrongBlocks {
    fn instead(&mut self, liar: &mut Liar, _to: ReplicaId, message: Message) -> Vec<Held> {
        match message {
            Message::Block(block) => {
                let mut lie = (*block).clone();
                let last = self.last.replace(block.clone());
                match (liar.random.below(5), last) {
                    (0, _) => return Vec::new(),
                    (1, _) => lie.block.header.state_root = flipped(lie.block.header.state_root),
                    (2, _) => lie.block.header.height = lie.block.header.height.next(),
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
            message => at_once(message),
        }
    }
}
