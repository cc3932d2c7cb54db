//! One simulated process, its disks and its clock.

use crate::promised::{Lost, Promised, WatchedLog};
use crate::scheme::{SimSigner, SimVerifier};
use quorate_codec::Caps;
use quorate_crypto::Signer;
use quorate_engine::{Host, HostConfig};
use quorate_ledger::{Machine, MemoryStateStore};
use quorate_pbft::{Config, Outbox, Tuning};
use quorate_storage::recovery::{Found, Replayed, open_blocks, open_epoch, recover, replay, stable_of};
use quorate_storage::{
    BlockStore, Handovers, SegmentedLog, SimulatedDisk, StateSupply, TransferFile, transfer,
};
use quorate_types::{Genesis, LedgerId, Members, Monotonic, Now, ReplicaId, Reservation, StoreId, Wall};
use std::collections::VecDeque;

/// Small segments, so that simulations cross their boundaries.
const SEGMENT_BYTES: usize = 16 * 1024;
/// Small block files too, so that old ones can be removed.
const BLOCK_FILE_BYTES: usize = 16 * 1024;

/// The wall clock at virtual time zero, in milliseconds.
pub(crate) const EPOCH_MS: u64 = 1_000_000_000_000;

/// What a machine keeps when its process dies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disks {
    pub(crate) log: SimulatedDisk,
    pub(crate) blocks: SimulatedDisk,
    pub(crate) state: MemoryStateStore,
    pub(crate) transfer: SimulatedDisk,
    pub(crate) handovers: SimulatedDisk,
}

impl Disks {
    /// A copy of what is on them, unsynced writes included.
    pub(crate) fn fork(&self) -> Self {
        Self {
            log: self.log.fork(),
            blocks: self.blocks.fork(),
            state: self.state.clone(),
            transfer: self.transfer.fork(),
            handovers: self.handovers.fork(),
        }
    }

    /// All but the state, of which a commit is whole or not there.
    pub(crate) fn files(&self) -> [&SimulatedDisk; 4] {
        [&self.log, &self.blocks, &self.transfer, &self.handovers]
    }
}

/// A clock: how fast it runs, and how far its wall time is ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) ahead_ms: i64,
    /// Of a thousand: a second of this clock takes so much less or more.
    pub(crate) rate: u64,
}

impl Clock {
    /// What it shows at a moment of virtual time, in microseconds.
    pub(crate) fn at(self, now: u64) -> Now {
        let wall = (EPOCH_MS + now / 1_000).saturating_add_signed(self.ahead_ms);
        Now { monotonic: Monotonic(now * self.rate / 1_000), wall: Wall(wall) }
    }

    /// The first moment of virtual time at which it shows this.
    pub(crate) fn moment(self, at: Monotonic) -> u64 {
        (u128::from(at.0) * 1_000).div_ceil(u128::from(self.rate)).try_into().unwrap_or(u64::MAX)
    }
}

/// A process that runs.
pub(crate) struct Process {
    pub(crate) host: Host<SimSigner>,
    /// Of the epoch that it is in.
    pub(crate) members: Members,
    pub(crate) log: SegmentedLog<SimulatedDisk>,
    pub(crate) blocks: BlockStore<SimulatedDisk>,
    pub(crate) machine: Machine,
    /// Turns that wait for the log.
    pub(crate) outboxes: VecDeque<Outbox>,
    pub(crate) sync_due: bool,
    /// The latest reservation that became durable (D7).
    pub(crate) reserved: Option<Reservation>,
    pub(crate) deadline: Option<u64>,
    /// When the core will have heard of all that is executed.
    pub(crate) execution_done_at: u64,
    /// How much of it the core has not heard of.
    pub(crate) untold: u64,
    /// States that peers fetch from it.
    pub(crate) supply: StateSupply,
    /// What it keeps of a state that it fetches.
    pub(crate) transfer: TransferFile<SimulatedDisk>,
    pub(crate) handovers: Handovers<SimulatedDisk>,
}

/// One member: its disks, and its process if it runs.
pub(crate) struct Node {
    pub(crate) disks: Disks,
    /// How many stores it had before this one: to members of the genesis, which name none, the first one belongs (L2).
    pub(crate) stores_before: u8,
    /// The vote keys that it has, the first one since the genesis.
    pub(crate) keys: Vec<SimSigner>,
    pub(crate) process: Option<Process>,
    /// Starts so far: what was meant for an earlier process reaches no later one.
    pub(crate) incarnation: u64,
    pub(crate) clock: Clock,
    pub(crate) promised: Promised,
    /// How long a sync of the log takes.
    pub(crate) sync_micros: u64,
    /// How long the core waits for a block to be executed.
    pub(crate) execution_micros: u64,
    /// The process stands still until then.
    pub(crate) paused_until: u64,
    /// An image of the disks from earlier, as a backup is.
    pub(crate) backup: Option<Disks>,
    pub(crate) tuning: Tuning,
    /// How many blocks below the durable state it keeps; all, if nothing is said.
    pub(crate) retain_blocks: Option<u64>,
    /// What the last start found missing.
    pub(crate) lost: Option<Lost>,
}

impl Node {
    pub(crate) fn new(member: ReplicaId) -> Self {
        Self {
            disks: Disks::default(),
            stores_before: 0,
            keys: vec![vote_key(member)],
            process: None,
            incarnation: 0,
            clock: Clock { ahead_ms: 0, rate: 1_000 },
            promised: Promised::default(),
            sync_micros: 300,
            execution_micros: 0,
            paused_until: 0,
            backup: None,
            tuning: Tuning::default(),
            retain_blocks: None,
            lost: None,
        }
    }

    /// A process that would start from the disks as a crash would leave them now.
    pub(crate) fn after_crash(&self) -> Self {
        let disks = self.disks.fork();
        disks.files().into_iter().for_each(|disk| disk.crash(|_| 0));
        Self {
            disks,
            process: None,
            incarnation: self.incarnation,
            stores_before: self.stores_before,
            keys: self.keys.clone(),
            clock: Clock { ahead_ms: 0, rate: 1_000 },
            promised: self.promised.clone(),
            sync_micros: 300,
            execution_micros: 0,
            paused_until: 0,
            backup: None,
            tuning: Tuning::default(),
            retain_blocks: None,
            lost: None,
        }
    }

    /// Starts the process from what is durable, as a node does.
    ///
    /// # Errors
    /// Why the disks cannot be used.
    pub(crate) fn start(
        &mut self,
        genesis: &Genesis,
        ledger: LedgerId,
        me: ReplicaId,
        now: Now,
    ) -> Result<Outbox, String> {
        let damaged = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        self.incarnation += 1;
        let (mut log, found) = SegmentedLog::open_with(self.disks.log.clone(), ledger, SEGMENT_BYTES)
            .map_err(|error| damaged("log", &error))?;
        self.lost = self.promised.found(&found.records).err();
        let disk = || Ok(self.disks.blocks.clone());
        let (mut blocks, _) =
            open_blocks(disk, (ledger, BLOCK_FILE_BYTES), &self.disks.state, &found.records)
                .map_err(|error| damaged("blocks", &error))?;
        let stable = stable_of(&found.records);
        let Replayed { machine, .. } = replay(genesis, &mut blocks, &mut self.disks.state, stable, |_, _| {})
            .map_err(|error| damaged("replay", &error))?;
        let mut handovers = Handovers::new(self.disks.handovers.clone(), ledger);
        let mut watched = WatchedLog { log: &mut log, promised: &mut self.promised };
        let Found { members, records } =
            open_epoch(&mut watched, &mut handovers, &SimVerifier, (&mut blocks, &machine), found.records)
                .map_err(|error| damaged("epoch", &error))?;
        let recovered =
            recover(&members, genesis.parameters.window, &SimVerifier, records, &blocks, &machine)
                .map_err(|error| damaged("recover", &error))?;
        let member = members.get(me).expect("the number of members stays");
        let key = self.keys.iter().find(|key| key.public_key() == member.vote);
        let signer = key.ok_or("it is no member any more")?.clone();
        let nonce = nonce(me, self.incarnation);
        let config = HostConfig {
            config: Config {
                me,
                members: members.clone(),
                may_vote: member
                    .store
                    .map_or(self.stores_before == 0, |named| named == store(me, self.stores_before)),
                parameters: genesis.parameters.clone(),
                tuning: self.tuning,
                nonce,
            },
            admission: machine.state().admission_control(),
        };
        let (mut host, turn) = Host::start(config, signer, recovered, now);
        let caps = Caps::new(&members, &genesis.parameters);
        let (transfer, kept) = TransferFile::open(self.disks.transfer.clone(), &caps)
            .map_err(|error| damaged("transfer", &error))?;
        host.resume_transfer(transfer::verified(&members, &SimVerifier, kept));
        assert!(turn.actions.is_empty(), "a start only releases");
        self.process = Some(Process {
            host,
            members,
            log,
            blocks,
            machine,
            outboxes: VecDeque::new(),
            sync_due: false,
            supply: StateSupply::default(),
            transfer,
            handovers,
            reserved: None,
            deadline: None,
            execution_done_at: 0,
            untold: 0,
        });
        Ok(turn.outbox)
    }
}

/// What binds the HELLO of a member's start with this number (D6).
pub(crate) fn nonce(me: ReplicaId, incarnation: u64) -> [u8; 32] {
    let mut nonce = [0; 32];
    nonce[..8].copy_from_slice(&incarnation.to_be_bytes());
    nonce[8..10].copy_from_slice(&me.get().to_be_bytes());
    nonce
}

/// The id of the store that a member has, by how many it had before.
pub(crate) fn store(member: ReplicaId, before: u8) -> StoreId {
    let mut id = [before; 16];
    id[..2].copy_from_slice(&member.get().to_be_bytes());
    StoreId(id)
}

/// The key that a member votes with.
pub(crate) fn vote_key(member: ReplicaId) -> SimSigner {
    SimSigner::named(&format!("vote {member}"))
}

/// The key of a member's transport, which simulations do not use.
pub(crate) fn transport_key(member: ReplicaId) -> SimSigner {
    SimSigner::named(&format!("transport {member}"))
}
