//! The execution thread: owns the machine, writes blocks and indexes behind the log, hands checkpoints to the thread that makes them
//! durable (K1).

use crate::checkpoints::Checkpoints;
use crate::core_thread::CoreInput;
use crate::faults::Corruption;
use crate::shared::{Shared, post};
use crate::stop::disk_failed;
use crossbeam_channel::{Receiver, Sender};
use quorate_crypto::HashedBatch;
use quorate_engine::{Event, Fetched};
use quorate_ledger::{ExecutedBlock, Machine, StateProof};
use quorate_pbft::Installed;
use quorate_storage::index::index_entries;
use quorate_storage::{BlockStore, StoredBlock};
use quorate_types::{BlockCertificate, ReplicaId, Seq, TransactionResult, limits};
use std::sync::Arc;

pub(crate) enum ExecutionInput {
    Execute {
        seq: Seq,
        batch: Option<Arc<HashedBatch>>,
    },
    MakeDurable {
        seq: Seq,
    },
    StoreState {
        seq: Seq,
        certificate: Option<BlockCertificate>,
    },
    Certificate(BlockCertificate),
    ReadBlocks {
        to: ReplicaId,
        from: Seq,
    },
    /// Put a fetched state in place of the executed one (T3).
    Install(Box<Fetched>),
    /// Make what is written durable, close the stores, end.
    Stop,
}

/// Runs until told to stop. It alone closes the stores, so to it they are open.
pub(crate) fn run(
    mut machine: Machine,
    shared: &Arc<Shared>,
    input: &Receiver<ExecutionInput>,
    core: &Sender<CoreInput>,
    retain_blocks: Option<u64>,
    mut corruption: Corruption,
) {
    let checkpoints = Checkpoints::start(shared.clone(), core.clone(), retain_blocks);
    while let Ok(next) = input.recv() {
        if let Some(durable) = checkpoints.became_durable() {
            machine.committed(durable);
        }
        match next {
            ExecutionInput::Execute { seq, batch } => {
                let block = machine.execute(seq, batch);
                corruption.strike(&mut machine);
                keep(shared, &block);
                post(core, CoreInput::Event(Event::Executed(block)));
            }
            ExecutionInput::MakeDurable { seq } => checkpoints.make_blocks_durable(seq),
            ExecutionInput::StoreState { seq, certificate } => {
                checkpoints.store_state(&machine, seq, certificate);
            }
            ExecutionInput::Certificate(certificate) => {
                if let Ok(Err(error)) = shared.blocks.with(|blocks| blocks.append_certificate(certificate)) {
                    disk_failed("blocks", &error);
                }
            }
            ExecutionInput::Install(fetched) => {
                let installed = install(&mut machine, shared, &checkpoints, *fetched);
                post(core, CoreInput::Event(installed));
            }
            ExecutionInput::ReadBlocks { to, from } => {
                if let Ok(first) = shared.blocks.with(|blocks| blocks.first())
                    && from < first
                {
                    post(core, CoreInput::Event(Event::BlocksGone { to, first }));
                    continue;
                }
                let links = shared.trust.genesis().parameters.most_links();
                let (most, bytes) = (limits::FETCH_BLOCKS, limits::FETCH_BYTES);
                let read = shared.blocks.with(|blocks| blocks.certified_blocks(from, most, bytes, links));
                let Ok(read) = read else { return };
                match read {
                    Ok(blocks) => {
                        let blocks = blocks.into_iter().map(Arc::new).collect();
                        post(core, CoreInput::Event(Event::BlocksRead { to, blocks }));
                    }
                    Err(error) => tracing::error!(event = "block_read_failed", %error, "cannot read blocks"),
                }
            }
            ExecutionInput::Stop => {
                drop(checkpoints);
                if let Ok(Err(error)) = shared.blocks.with(BlockStore::sync) {
                    disk_failed("blocks", &error);
                }
                shared.blocks.close();
                shared.store.close();
                return;
            }
        }
    }
}

/// T3: the state first, with what proves it, then the blocks; a crash in between is finished at the next start.
///
/// # Panics
/// If the state does not belong to its header: it was checked part by part before.
fn install(machine: &mut Machine, shared: &Shared, checkpoints: &Checkpoints, fetched: Fetched) -> Event {
    let Fetched { header, certificate, state } = fetched;
    checkpoints
        .replace(state.clone(), StateProof { header: header.clone(), certificate: certificate.clone() });
    let restarted = shared.blocks.with(|blocks| blocks.restart_after(header.clone(), certificate.clone()));
    if let Ok(Err(error)) = restarted {
        disk_failed("blocks", &error);
    }
    machine.install(state, &header).expect("every part was checked against the header");
    let installed = Installed::of(&header, certificate, machine.outlook());
    let admission = machine.state().admission_control();
    Event::Installed { installed: Box::new(installed), admission }
}

/// Writes a block and its index entries, not yet durable.
fn keep(shared: &Shared, block: &ExecutedBlock) {
    let bytes = block.batch.as_ref().map_or(0, |batch| batch.batch().size());
    shared.metrics.executed_block(block.results.len(), bytes);
    for result in &block.results {
        shared.metrics.outcome(match result {
            TransactionResult::Committed { .. } => "committed",
            TransactionResult::Failed { .. } => "failed",
            TransactionResult::Void { .. } => "void",
        });
    }
    let stored = StoredBlock { block: block.block(), results: block.results.clone() };
    if let Ok(Err(error)) = shared.blocks.with(|blocks| blocks.append(stored)) {
        disk_failed("blocks", &error);
    }
    let height = block.header.height;
    let entries = index_entries(height, block.transactions());
    let _ = shared.store.with(|store| store.index_block(height, entries));
}
