//! One simulated process and its disks.

use crate::scheme::{SimSigner, SimVerifier};
use quorate_engine::{Host, HostConfig};
use quorate_ledger::{Machine, MemoryStateStore};
use quorate_pbft::{Config, Outbox, Tuning};
use quorate_storage::recovery::{recover, replay};
use quorate_storage::{BlockStore, SegmentedLog, SimulatedDisk};
use quorate_types::{Genesis, Members, Now, ReplicaId};
use std::collections::VecDeque;

/// Small segments, so that simulations cross their boundaries.
const SEGMENT_BYTES: usize = 64 * 1024;

/// What a machine keeps when its process dies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disks {
    pub(crate) log: SimulatedDisk,
    pub(crate) blocks: SimulatedDisk,
    pub(crate) state: MemoryStateStore,
}

/// A process that runs.
pub(crate) struct Process {
    pub(crate) host: Host<SimSigner>,
    pub(crate) log: SegmentedLog<SimulatedDisk>,
    pub(crate) blocks: BlockStore<SimulatedDisk>,
    pub(crate) machine: Machine,
    /// Turns that wait for the log.
    pub(crate) outboxes: VecDeque<Outbox>,
    pub(crate) sync_due: bool,
    pub(crate) deadline: Option<u64>,
}

/// One member: its disks, and its process if it runs.
pub(crate) struct Node {
    pub(crate) disks: Disks,
    pub(crate) process: Option<Process>,
    /// Starts so far: what was meant for an earlier process reaches no later one.
    pub(crate) incarnation: u64,
    pub(crate) clock_ahead_ms: i64,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self { disks: Disks::default(), process: None, incarnation: 0, clock_ahead_ms: 0 }
    }

    /// Starts the process from what is durable, as a node does.
    pub(crate) fn start(
        &mut self,
        genesis: &Genesis,
        members: &Members,
        me: ReplicaId,
        now: Now,
    ) -> Result<Outbox, String> {
        self.incarnation += 1;
        let ledger = *members.ledger();
        let (log, found) = SegmentedLog::open_with(self.disks.log.clone(), ledger, SEGMENT_BYTES)
            .map_err(|error| format!("log: {error}"))?;
        let blocks = BlockStore::open(self.disks.blocks.clone(), ledger)
            .map_err(|error| format!("blocks: {error}"))?;
        let machine = replay(genesis, &blocks, &mut self.disks.state, |_, _| {})
            .map_err(|error| format!("replay: {error}"))?;
        let recovered = recover(members, &SimVerifier, found.records, &blocks, &machine)
            .map_err(|error| format!("recover: {error}"))?;
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&self.incarnation.to_be_bytes());
        nonce[8..10].copy_from_slice(&me.get().to_be_bytes());
        let config = HostConfig {
            config: Config {
                me,
                members: members.clone(),
                parameters: genesis.parameters.clone(),
                tuning: Tuning::default(),
                nonce,
            },
            state: machine.snapshot().clone(),
        };
        let signer = vote_key(me);
        let (host, turn) = Host::start(config, signer, recovered, now);
        assert!(turn.actions.is_empty(), "a start only releases");
        self.process = Some(Process {
            host,
            log,
            blocks,
            machine,
            outboxes: VecDeque::new(),
            sync_due: false,
            deadline: None,
        });
        Ok(turn.outbox)
    }
}

/// The key that a member votes with.
pub(crate) fn vote_key(member: ReplicaId) -> SimSigner {
    SimSigner::named(&format!("vote {member}"))
}

/// The key of a member's transport, which simulations do not use.
pub(crate) fn transport_key(member: ReplicaId) -> SimSigner {
    SimSigner::named(&format!("transport {member}"))
}
