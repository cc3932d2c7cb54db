//! The checkpoint thread: makes blocks durable and stores the state of stable checkpoints while execution goes on (K1). A commit takes as long
//! as many blocks do.

use crate::core_thread::CoreInput;
use crate::shared::{Shared, lock, post};
use crate::stop::disk_failed;
use crossbeam_channel::{Receiver, Sender};
use quorate_engine::Event;
use quorate_ledger::{Checkpointed, Machine, StateChanges, StateProof, StateStore, StoredState};
use quorate_storage::BlockStore;
use quorate_types::{BlockCertificate, Digest, Seq};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

enum Work {
    /// Make blocks durable, and tell the core.
    Sync { seq: Seq },
    /// Store the state after a block: the hash of its header, its certificate, and what changed since the stored one.
    Store { seq: Seq, header_hash: Digest, certificate: Option<BlockCertificate>, changes: StateChanges },
    /// Put a fetched state in place of the stored one, and say when that is durable.
    Replace(Box<(StoredState, StateProof)>, Sender<()>),
}

/// The thread. It ends, after what it was given, when this is dropped.
pub(crate) struct Checkpoints {
    given: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    /// Height of the state that became durable last.
    durable: Arc<Mutex<Option<Seq>>>,
}

impl Checkpoints {
    /// # Panics
    /// If the system refuses a thread.
    pub(crate) fn start(shared: Arc<Shared>, core: Sender<CoreInput>, retain_blocks: Option<u64>) -> Self {
        // One more may wait: beyond that execution does, or a slow disk would pile up what the others decide (N9).
        let (given, taken) = crossbeam_channel::bounded(1);
        let durable = Arc::new(Mutex::new(None));
        let told = durable.clone();
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || run(&shared, &core, &taken, &told, retain_blocks))
            .expect("the system gives a thread");
        Self { given: Some(given), thread: Some(thread), durable }
    }

    /// Makes the blocks up to `seq` durable some time later, and tells the core then.
    pub(crate) fn make_blocks_durable(&self, seq: Seq) {
        self.give(Work::Sync { seq });
    }

    /// Stores the state after block `seq` some time later, unless it is stored already.
    pub(crate) fn store_state(&self, machine: &Machine, seq: Seq, certificate: Option<BlockCertificate>) {
        if let Some((header_hash, changes)) = machine.changes_since_commit(seq) {
            self.give(Work::Store { seq, header_hash, certificate, changes });
        }
    }

    fn give(&self, work: Work) {
        if let Some(given) = &self.given {
            post(given, work);
        }
    }

    /// Puts a fetched state in place of the stored one, after what was given before. Durable when it returns.
    pub(crate) fn replace(&self, state: StoredState, proof: StateProof) {
        let (done, durable) = crossbeam_channel::bounded(1);
        self.give(Work::Replace(Box::new((state, proof)), done));
        let _ = durable.recv();
    }

    /// Up to where the machine can forget what changed, if anything became durable since this was asked last.
    pub(crate) fn became_durable(&self) -> Option<Seq> {
        lock(&self.durable).take()
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.given = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Removes blocks that neither a restart nor this node's share of the past needs: a restart reads those above the stable checkpoint.
fn prune(shared: &Shared, durable: Seq, retain: u64) {
    let status = shared.status();
    let needed = durable.min(status.stable).min(status.certified);
    let pruned = shared
        .blocks
        .with(|blocks| blocks.prune(needed.minus(retain)).map(|removed| (removed, blocks.first())));
    match pruned {
        Ok(Ok((true, first))) => {
            tracing::info!(event = "pruned", %first, "the blocks below {first} were removed")
        }
        Ok(Ok((false, _))) | Err(_) => {}
        Ok(Err(error)) => disk_failed("blocks", &error),
    }
}

/// The certificate with the header that it is of.
fn proof_of(shared: &Shared, seq: Seq, certificate: Option<BlockCertificate>) -> Option<StateProof> {
    let certificate = certificate?;
    match shared.blocks.with(|blocks| blocks.header(seq)) {
        Ok(Ok(header)) => header.map(|header| StateProof { header, certificate }),
        Ok(Err(error)) => disk_failed("blocks", &error),
        Err(_) => None,
    }
}

fn run(
    shared: &Shared,
    core: &Sender<CoreInput>,
    taken: &Receiver<Work>,
    durable: &Mutex<Option<Seq>>,
    retain_blocks: Option<u64>,
) {
    let Ok(mut store) = shared.store.with(|store| store.clone()) else { return };
    let mut last = None;
    for work in taken {
        let start = Instant::now();
        match work {
            Work::Sync { seq } => {
                if let Ok(Err(error)) = shared.blocks.with(BlockStore::sync) {
                    disk_failed("blocks", &error);
                }
                shared.metrics.synced("blocks", start.elapsed());
                post(core, CoreInput::Event(Event::CheckpointDurable { seq }));
            }
            // Never back to an older state, whatever is asked for.
            Work::Store { seq, header_hash, certificate, changes } if Some(seq) > last => {
                let proof = proof_of(shared, seq, certificate);
                let after = Checkpointed { height: seq, header_hash, proof: proof.as_ref() };
                if let Err(error) = store.commit(after, &changes) {
                    disk_failed("state", &error);
                }
                shared.metrics.synced("state", start.elapsed());
                last = Some(seq);
                *lock(durable) = last;
                if let Some(retain) = retain_blocks {
                    prune(shared, seq, retain);
                }
            }
            Work::Store { .. } => {}
            Work::Replace(fetched, done) => {
                let (state, proof) = *fetched;
                last = Some(state.height);
                if let Err(error) = store.replace(state, &proof) {
                    disk_failed("state", &error);
                }
                post(&done, ());
            }
        }
    }
}
