//! From what is on disk to a machine and a core that go on where they were. The node and the simulator call the same.

use crate::blocks::{BlockStore, Disputed, set_aside};
use crate::disk::Disk;
use crate::handovers::Handovers;
use crate::log::LogError;
use quorate_crypto::{
    Cache, CheckedRecord, HashedBatch, Verified, Verifier, header_hash, verify_all, verify_one,
};
use quorate_ledger::{
    ExecutedBlock, LedgerError, Machine, StateStore, built_in_applications, genesis_header,
};
use quorate_pbft::{Log, Recovered};
use quorate_types::probes::hit;
use quorate_types::{
    BaseProof, BlockCertificate, CertificateKind, Epoch, Genesis, Handover, LedgerId, Members, Outlook,
    Record, Seq, View, limits,
};
use std::sync::Arc;

/// Records verified in one call.
const RECORDS_PER_CALL: usize = 64;

/// Why what is on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("{0}")]
    Disk(#[from] std::io::Error),
    #[error("{0}")]
    Log(#[from] LogError),
    #[error("{0}")]
    State(String),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// What is there contradicts itself: this was not left by a crash.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// What became of the blocks that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    AsTheyWere,
    /// A fetched state was put in their place, which a crash had cut short (T3).
    Installed,
    /// They were damaged, as told, and set aside: the stored state stands in their place.
    SetAside(String),
}

/// Opens the blocks for whoever goes on from them: what was durable once is not taken for a torn write, and cut. If that is damaged or
/// missing, the stored state takes its place, if it proves itself: that replica has no longer what lies before.
///
/// # Errors
/// If a store cannot be read or written, or blocks are damaged in whose place there is no state.
pub fn open_blocks<D: Disk, S: StateStore>(
    disk: impl Fn() -> std::io::Result<D>,
    (ledger, file_bytes): (LedgerId, usize),
    store: &S,
    records: &[Record],
) -> Result<(BlockStore<D>, Opened), RecoveryError> {
    let state = |error: S::Error| RecoveryError::State(error.to_string());
    let stable = stable_of(records);
    let position = store.position().map_err(state)?.unwrap_or(Seq::ZERO);
    let open = |durable| disk().and_then(|disk| BlockStore::open_with(disk, ledger, file_bytes, durable));
    let (mut blocks, aside) = match open(stable.max(position)) {
        Err(damage) if damage.kind() == std::io::ErrorKind::InvalidData => {
            let proof = store.proof().map_err(state)?.filter(|proof| proof.header.height == position);
            if proof.is_none() || position < stable {
                return Err(RecoveryError::Corrupt(format!("{damage}; no stored state can take its place")));
            }
            set_aside(&mut disk()?)?;
            (open(Seq::ZERO)?, Opened::SetAside(damage.to_string()))
        }
        opened => (opened?, Opened::AsTheyWere),
    };
    let installed = finish_install(&mut blocks, store)?;
    let opened = if installed && aside == Opened::AsTheyWere { Opened::Installed } else { aside };
    Ok((blocks, opened))
}

/// Goes on with what a crash may have cut short (T3): a fetched state is durable, and the blocks still are those from before. Returns
/// whether there was something to do.
///
/// # Errors
/// If a store cannot be read or written.
fn finish_install<D: Disk, S: StateStore>(
    blocks: &mut BlockStore<D>,
    store: &S,
) -> Result<bool, RecoveryError> {
    let state = |error: S::Error| RecoveryError::State(error.to_string());
    let (height, proof) = (store.position().map_err(state)?, store.proof().map_err(state)?);
    match proof.filter(|proof| height == Some(proof.header.height) && proof.header.height > blocks.tip()) {
        None => Ok(false),
        Some(proof) => {
            blocks.restart_after(proof.header, proof.certificate)?;
            Ok(true)
        }
    }
}

/// A machine that goes on from the stores.
#[derive(Debug)]
pub struct Replayed {
    pub machine: Machine,
    /// Blocks that were found to be disputed this time, and set aside.
    pub disputed: Option<Disputed>,
}

/// The machine at the last intact block: the state of the last checkpoint and the blocks since (K1). `on_block` sees each
/// block that is executed again, for indexes that are written behind.
///
/// If executing a block again gives another header, and nothing proves the one that is stored, the machine that wrote it erred then or
/// errs now: the block and those above it are set aside, and come again from the members (K4).
///
/// # Errors
/// If a store cannot be read, or executing a block again gives another header than the one that is proven.
pub fn replay<D: Disk, S: StateStore>(
    genesis: &Genesis,
    blocks: &mut BlockStore<D>,
    store: &mut S,
    stable: Seq,
    mut on_block: impl FnMut(&mut S, &ExecutedBlock),
) -> Result<Replayed, RecoveryError> {
    match execute_again(genesis, blocks, store, &mut on_block)? {
        Again::Same(machine) => Ok(Replayed { machine, disputed: None }),
        Again::Differs(height) if height > stable.max(blocks.proven()) => {
            hit("a block executes to something else the second time");
            let disputed = blocks.dispute(height)?;
            match execute_again(genesis, blocks, store, &mut on_block)? {
                Again::Same(machine) => Ok(Replayed { machine, disputed: Some(disputed) }),
                Again::Differs(height) => Err(differs(height)),
            }
        }
        Again::Differs(height) => Err(differs(height)),
    }
}

fn differs(height: Seq) -> RecoveryError {
    RecoveryError::Corrupt(format!("executing block {height} again gives another header"))
}

/// What came of executing the blocks again.
enum Again {
    Same(Machine),
    /// The first block with another header.
    Differs(Seq),
}

fn execute_again<D: Disk, S: StateStore>(
    genesis: &Genesis,
    blocks: &BlockStore<D>,
    store: &mut S,
    on_block: &mut impl FnMut(&mut S, &ExecutedBlock),
) -> Result<Again, RecoveryError> {
    let mut machine = stored_machine(genesis, blocks, store)?;
    while machine.height() < blocks.tip() {
        let height = machine.height().next();
        let missing = || RecoveryError::Corrupt(format!("block {height} is missing"));
        let stored = blocks.block(height)?.ok_or_else(missing)?;
        let batch = stored.block.batch.clone().map(|batch| Arc::new(HashedBatch::new(batch)));
        let executed = machine.execute(height, batch);
        if executed.header != stored.block.header {
            return Ok(Again::Differs(height));
        }
        on_block(store, &executed);
    }
    Ok(Again::Same(machine))
}

/// The machine at the last checkpoint that is stored.
fn stored_machine<D: Disk, S: StateStore>(
    genesis: &Genesis,
    blocks: &BlockStore<D>,
    store: &S,
) -> Result<Machine, RecoveryError> {
    let stored = store.load().map_err(|error| RecoveryError::State(error.to_string()))?;
    let header = match &stored {
        None => None,
        Some(stored) if stored.height == Seq::ZERO => Some(genesis_header(genesis)?),
        Some(stored) => Some(blocks.header(stored.height)?.ok_or_else(|| {
            RecoveryError::Corrupt(format!("the state is of block {}, which is missing", stored.height))
        })?),
    };
    if stored.is_none() && blocks.first() > Seq::new(1) {
        let first = blocks.first();
        let why = format!("the state is missing, and so are the blocks below {first} that it came from");
        return Err(RecoveryError::Corrupt(why));
    }
    Ok(match stored.zip(header) {
        None => Machine::genesis(genesis, built_in_applications())?,
        Some((stored, header)) => Machine::restore(genesis, built_in_applications(), stored, &header)?,
    })
}

/// The members by whom a log is to be read, and what is in it.
#[derive(Debug)]
pub struct Found {
    pub members: Members,
    pub records: Vec<Record>,
}

/// Opens the epoch that follows, if that of the log has ended here (G2): its last checkpoint is stable, and the executed state knows
/// the next members. How the epoch ended is kept first; then the log begins anew, with the next one.
///
/// If it is known how the epoch ended, and the blocks up to there are not here, the log begins anew with the latest epoch known: what
/// lies before comes as a state.
///
/// # Errors
/// If a store cannot be read or written, or they contradict each other.
pub fn open_epoch<D: Disk>(
    log: &mut impl Log<Error = LogError>,
    handovers: &mut Handovers<D>,
    verifier: &dyn Verifier,
    (blocks, machine): (&mut BlockStore<D>, &Machine),
    records: Vec<Record>,
) -> Result<Found, RecoveryError> {
    let epoch = match records.first() {
        Some(Record::Anchor { epoch, .. }) => *epoch,
        _ => Epoch::ZERO,
    };
    let members = members_of(epoch, handovers, machine)?;
    let ended = machine.members(epoch.next()).map(|next| next.after());
    let stable = stable_certificate(&records).filter(|stable| Some(stable.height) == ended);
    if let Some(certificate) = stable {
        let handover = handover(&members, verifier, (blocks, machine), certificate.clone())?;
        handovers.keep(&handover)?;
    }
    let mut latest = epoch;
    while handovers.get(latest)?.is_some() {
        latest = latest.next();
    }
    if latest == epoch {
        return Ok(Found { members, records });
    }
    let members = members_of(latest, handovers, machine)?;
    if records.is_empty() && machine.height() > members.after() {
        let why = format!("the log holds nothing, and the blocks reach {}: it was lost", machine.height());
        return Err(RecoveryError::Corrupt(why));
    }
    let records = vec![begin(&members, machine)?];
    log.compact(&records)?;
    Ok(Found { members, records })
}

/// Who the members of an epoch are: by how the epoch before ended, or the genesis.
fn members_of<D: Disk>(
    epoch: Epoch,
    handovers: &Handovers<D>,
    machine: &Machine,
) -> Result<Members, RecoveryError> {
    let unknown = || {
        let file = crate::handovers::name_of(epoch.previous());
        let why = format!(
            "who the members of epoch {epoch} are is told by handovers/{file}, which is missing; another replica's file will do"
        );
        RecoveryError::Corrupt(why)
    };
    if epoch == Epoch::ZERO {
        return machine.members(epoch).ok_or_else(unknown);
    }
    let handover = handovers.get(epoch.previous())?.ok_or_else(unknown)?;
    let members = handover.next.members(handover.header.ledger, epoch).map_err(|_| unknown())?;
    Ok(members.opened_with(handover.certificate))
}

/// How the epoch of these members ended here.
fn handover<D: Disk>(
    members: &Members,
    verifier: &dyn Verifier,
    (blocks, machine): (&mut BlockStore<D>, &Machine),
    certificate: BlockCertificate,
) -> Result<Handover, RecoveryError> {
    let (epoch, last) = (members.epoch(), certificate.height);
    let refused = |why| RecoveryError::Corrupt(format!("the end of epoch {epoch} does not verify: {why}"));
    let certificate =
        verify_one(members, verifier, &Cache::new(0), certificate).map_err(refused)?.into_inner();
    let missing = || RecoveryError::Corrupt(format!("block {last}, the last of epoch {epoch}, is missing"));
    let header = blocks.header(last)?.ok_or_else(missing)?;
    if header_hash(&header) != certificate.header || certificate.kind != CertificateKind::Checkpoint {
        let why = format!("epoch {epoch} ended with another block {last} than is stored");
        return Err(RecoveryError::Corrupt(why));
    }
    // Those who are still in the epoch that ends get the block with a certificate of its own members, or not at all.
    if blocks.certificate(last)?.is_none() {
        blocks.append_certificate(certificate.clone())?;
        blocks.sync()?;
    }
    let next = machine.state().member_set(epoch.next()).ok_or_else(missing)?;
    Ok(Handover { header, certificate, next })
}

/// With what the log of an epoch begins. Whoever has not executed all that lies before goes on from block 0, or from what is here.
fn begin(members: &Members, machine: &Machine) -> Result<Record, RecoveryError> {
    let (executed, after) = (machine.height(), members.after());
    let hash = machine.state().header_hash();
    if executed > after || (executed == after && members.after_header() != Some(hash)) {
        let why =
            format!("block {executed} is not of the ledger that epoch {} goes on with", members.epoch());
        return Err(RecoveryError::Corrupt(why));
    }
    let stable = if executed == after { members.opening() } else { BaseProof::Genesis };
    Ok(Record::Anchor {
        epoch: members.epoch(),
        view: View::ZERO,
        active: true,
        base: members.opening(),
        stable,
    })
}

/// The certificate of the highest checkpoint that the log calls stable.
fn stable_certificate(records: &[Record]) -> Option<&BlockCertificate> {
    let certificates = records.iter().filter_map(|record| match record {
        Record::Anchor { stable: BaseProof::Checkpoint(certificate), .. } | Record::Stable(certificate) => {
            Some(certificate)
        }
        _ => None,
    });
    certificates.max_by_key(|certificate| certificate.height)
}

/// What the core is told: the verified log, and how far the blocks reach.
///
/// # Errors
/// If a record does not verify, a checkpoint is stable whose blocks are missing, or there are blocks that a replica executes only
/// after its log tells of a later checkpoint: then the log lost its end (D4).
pub fn recover<D: Disk>(
    members: &Members,
    window: u64,
    verifier: &dyn Verifier,
    records: Vec<Record>,
    blocks: &BlockStore<D>,
    machine: &Machine,
) -> Result<Recovered, RecoveryError> {
    let stable = stable_of(&records);
    if machine.height() < stable {
        let tip = machine.height();
        let why = format!("checkpoint {stable} is stable, but the blocks end at {tip}");
        return Err(RecoveryError::Corrupt(why));
    }
    not_cut_short(&records, machine.height(), window)?;
    let verified = verify_records(members, verifier, records)?;
    // Whoever is in an epoch that begins after what it executed votes on none of it, though the log calls nothing of this epoch stable.
    let settled = if machine.height() < members.after() { machine.height() } else { stable };
    // What is further below is proven by the headers up to a checkpoint (M8).
    let far_below = stable.minus(limits::RECENT_BLOCKS as u64);
    // What the members of a former epoch did not certify, these cannot: the end of that epoch proves it.
    let certified = blocks.certified().max(far_below).max(members.after()).min(machine.height());
    let first = settled.min(certified).next();
    let (mut batches, mut headers) = (Vec::new(), Vec::new());
    // The stable checkpoint's own header is compared too (K4).
    let mut height = if first > Seq::new(1) { first.previous() } else { first };
    while height <= machine.height() {
        if let Some(header) = blocks.header(height)? {
            headers.push((height, header_hash(&header)));
            if height > settled {
                batches.push((height, header.batch_digest));
            }
        }
        height = height.next();
    }
    let state = machine.state();
    Ok(Recovered {
        records: verified,
        executed: (state.height(), state.header_hash(), state.time()),
        batches,
        certified,
        headers,
        outlook: Outlook {
            closes: machine.members(members.epoch().next()).map(|next| next.after()),
            ..machine.outlook()
        },
        disputed: blocks.disputed().map_or(Seq::ZERO, |disputed| disputed.to),
    })
}

/// The highest checkpoint that the log calls stable.
pub fn stable_of(records: &[Record]) -> Seq {
    records.iter().fold(Seq::ZERO, |stable, record| match record {
        Record::Anchor { stable: proof, .. } => stable.max(proof.base()),
        Record::Stable(certificate) => stable.max(certificate.height),
        _ => stable,
    })
}

/// A block is executed only within a window of a checkpoint that the log told of before (N2, K2).
fn not_cut_short(records: &[Record], executed: Seq, window: u64) -> Result<(), RecoveryError> {
    let end = base_of(records).plus(window);
    if executed <= end {
        return Ok(());
    }
    let why =
        format!("the blocks reach {executed}, but by the log there is none after {end}: it lost its end");
    Err(RecoveryError::Corrupt(why))
}

/// The highest proven checkpoint that the log tells of.
fn base_of(records: &[Record]) -> Seq {
    records.iter().fold(stable_of(records), |base, record| match record {
        Record::Anchor { base: proof, .. } => base.max(proof.base()),
        Record::Base(certificate) => base.max(certificate.height),
        _ => base,
    })
}

/// The own log goes through the one way in, like everything else; its digests are recomputed there (M3).
fn verify_records(
    members: &Members,
    verifier: &dyn Verifier,
    records: Vec<Record>,
) -> Result<Vec<Verified<CheckedRecord>>, RecoveryError> {
    let cache = Cache::new(1 << 16);
    let mut verified = Vec::with_capacity(records.len());
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let some: Vec<Record> = records.by_ref().take(RECORDS_PER_CALL).collect();
        for result in verify_all(members, verifier, &cache, some) {
            let refused = |why| RecoveryError::Corrupt(format!("a record of the log does not verify: {why}"));
            verified.push(result.map_err(refused)?);
        }
    }
    Ok(verified)
}

#[cfg(test)]
mod tests;
