//! The checkpoint thread: makes blocks and state durable while execution goes on (K1). A commit takes as long as many blocks do.

use crate::core_thread::CoreInput;
use crate::shared::{Shared, lock, post};
use crate::stop::disk_failed;
use crossbeam_channel::{Receiver, Sender};
use quorate_engine::Event;
use quorate_ledger::{Machine, StateChanges, StateProof, StateStore, StoredState};
use quorate_storage::BlockStore;
use quorate_types::{Digest, Seq};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// A checkpoint to make durable: the hash of its block's header and what changed up to there. Without them nothing did, or it is
/// durable already.
struct Checkpoint {
    seq: Seq,
    changed: Option<(Digest, StateChanges)>,
}

enum Work {
    Commit(Checkpoint),
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

    /// Makes the state after block `seq` durable some time later, and tells the core then.
    pub(crate) fn make_durable(&self, machine: &Machine, seq: Seq) {
        let checkpoint = Checkpoint { seq, changed: machine.changes_since_commit(seq) };
        if let Some(given) = &self.given {
            post(given, Work::Commit(checkpoint));
        }
    }

    /// Puts a fetched state in place of the stored one, after what was given before. Durable when it returns.
    pub(crate) fn replace(&self, state: StoredState, proof: StateProof) {
        let (done, durable) = crossbeam_channel::bounded(1);
        if let Some(given) = &self.given {
            post(given, Work::Replace(Box::new((state, proof)), done));
            let _ = durable.recv();
        }
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
        let Checkpoint { seq, changed } = match work {
            Work::Commit(checkpoint) => checkpoint,
            Work::Replace(fetched, done) => {
                let (state, proof) = *fetched;
                last = Some(state.height);
                if let Err(error) = store.replace(state, &proof) {
                    disk_failed("state", &error);
                }
                post(&done, ());
                continue;
            }
        };
        // Never back to an older state, whatever is asked for.
        let changed = changed.filter(|_| Some(seq) > last);
        let start = Instant::now();
        if let Ok(Err(error)) = shared.blocks.with(BlockStore::sync) {
            disk_failed("blocks", &error);
        }
        shared.metrics.synced("blocks", start.elapsed());
        if let Some((header_hash, changes)) = changed {
            let start = Instant::now();
            if let Err(error) = store.commit(seq, header_hash, &changes) {
                disk_failed("state", &error);
            }
            shared.metrics.synced("state", start.elapsed());
            last = Some(seq);
            *lock(durable) = last;
        }
        if let Some(retain) = retain_blocks {
            prune(shared, seq, retain);
        }
        post(core, CoreInput::Event(Event::CheckpointDurable { seq }));
    }
}
