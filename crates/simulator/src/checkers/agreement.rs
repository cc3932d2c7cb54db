//! S1, S2, S10: everyone executes the same blocks, in order, without gaps, and never falls back.

use super::Violation;
use quorate_crypto::header_hash;
use quorate_ledger::ExecutedBlock;
use quorate_storage::{BlockStore, SimulatedDisk};
use quorate_types::{Digest, Header, ReplicaId, Seq};
use std::collections::BTreeMap;

/// What was executed at each height, and how far each member is.
#[derive(Debug, Default)]
pub struct Agreement {
    blocks: BTreeMap<Seq, Digest>,
    at: BTreeMap<ReplicaId, Seq>,
}

impl Agreement {
    /// Checks one execution; also tells whether it is the first at its height.
    pub(crate) fn executed(
        &mut self,
        member: ReplicaId,
        block: &ExecutedBlock,
    ) -> (Result<(), Violation>, bool) {
        let height = block.header.height;
        let before = self.at.insert(member, height).unwrap_or(Seq::ZERO);
        if height != before.next() {
            let what = format!("{member} executes {height} after {before}");
            return (Err(Violation { property: "S2 order", what }), false);
        }
        match self.blocks.get(&height) {
            None => {
                self.blocks.insert(height, block.header_hash);
                (Ok(()), true)
            }
            Some(hash) if *hash == block.header_hash => (Ok(()), false),
            Some(hash) => {
                let what = format!("{member} has {} at {height}, others {hash}", block.header_hash);
                (Err(Violation { property: "S1 agreement", what }), false)
            }
        }
    }

    /// A member goes on from the state after a block that others executed (T3): correct ones, unless so many lie that they need nobody to
    /// certify one.
    pub(crate) fn installed(
        &mut self,
        member: ReplicaId,
        header: &Header,
        too_many_lie: bool,
    ) -> Result<(), Violation> {
        let height = header.height;
        let before = self.at.insert(member, height).unwrap_or(Seq::ZERO);
        if height <= before {
            let what = format!("{member} installs the state after {height}, and has executed {before}");
            return Err(Violation { property: "S10 no way back", what });
        }
        match self.blocks.get(&height) {
            Some(hash) if *hash == header_hash(header) => Ok(()),
            None if too_many_lie => {
                self.blocks.insert(height, header_hash(header));
                Ok(())
            }
            executed => {
                let what =
                    format!("{member} installs the state after {header:?}, others executed {executed:?}");
                Err(Violation { property: "S1 agreement", what })
            }
        }
    }

    /// A member starts with the blocks that its disk holds, which may be fewer than it had executed.
    pub(crate) fn restarted(&mut self, member: ReplicaId, blocks: &BlockStore<SimulatedDisk>) {
        self.at.insert(member, blocks.tip());
    }

    pub(crate) fn height(&self) -> u64 {
        self.blocks.last_key_value().map_or(0, |(height, _)| height.get())
    }
}
