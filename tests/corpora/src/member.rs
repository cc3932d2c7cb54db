//! One member of a ledger of four: the node's engine, storage and ledger over simulated disks, with [`FakeSigner`]s.

use crate::scheme::{FakeSigner, FakeVerifier};
use quorate_codec::Caps;
use quorate_crypto::{Cache, HashedBatch, Signer, genesis_ledger_id, verify_one};
use quorate_engine::{Action, Event, Fetched, Host, HostConfig, TransferRecord, dispatch};
use quorate_ledger::{Machine, MemoryStateStore, StateProof, StateStore as _};
use quorate_pbft::{Config, Installed, Tuning, release};
use quorate_storage::recovery::{Replayed, recover, replay, stable_of};
use quorate_storage::{
    BlockStore, SegmentedLog, SimulatedDisk, StateSupply, StoredBlock, TransferFile, transfer,
};
use quorate_types::{
    BlockCertificate, Genesis, GenesisMember, LedgerTime, Members, Message, Monotonic, NamedKey, Now, Number,
    Operation, Operations, Parameters, Record, RegistryMode, ReplicaId, Reservation, Seq, SessionId,
    SignedTransaction, Transaction, Wall, limits,
};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

/// The wall clock at the beginning, in milliseconds.
pub(crate) const START_MS: u64 = 1_000_000_000_000;
const SEGMENT: usize = 16 * 1024;

/// What all members agree on.
pub(crate) struct Ledger {
    pub(crate) genesis: Genesis,
    pub(crate) members: Members,
    pub(crate) caps: Caps,
}

pub(crate) fn ledger() -> &'static Ledger {
    static LEDGER: OnceLock<Ledger> = OnceLock::new();
    LEDGER.get_or_init(|| {
        let member = |id: u16| GenesisMember {
            name: format!("node{id}"),
            vote: FakeSigner::member(id).public_key(),
            transport: FakeSigner::named(&format!("transport {id}")).public_key(),
            peer: String::new(),
            api: String::new(),
        };
        let client = |id: u8| NamedKey { name: format!("c{id}"), key: client_key(id).public_key() };
        let parameters = Parameters { checkpoint_every: 4, window: 8, depth: 4, ..Parameters::default() };
        let genesis = Genesis {
            name: "fuzzed".to_owned(),
            created: LedgerTime(START_MS),
            app: "kv".to_owned(),
            faults: 1,
            allow_crash_only: false,
            parameters,
            members: (0..4).map(member).collect(),
            clients: (0..3).map(client).collect(),
            operators: Vec::new(),
            approvals: 1,
            registry: RegistryMode::Closed,
        };
        let members = genesis.members_of_epoch_0(genesis_ledger_id(&genesis)).expect("four members");
        let caps = Caps::new(&members, &genesis.parameters);
        Ledger { genesis, members, caps }
    })
}

fn client_key(client: u8) -> FakeSigner {
    FakeSigner::named(&format!("client {client}"))
}

/// A client's transaction with one operation.
pub(crate) fn transaction(client: u8, number: u64) -> SignedTransaction {
    let key = client_key(client);
    let put = Operation::Put { key: vec![client], value: number.to_be_bytes().to_vec() };
    let transaction = Transaction {
        ledger: *ledger().members.ledger(),
        sender: key.public_key(),
        session: SessionId::new(1),
        number: Number::new(number),
        valid_until: LedgerTime(START_MS + 600_000),
        app: "kv".to_owned(),
        payload: Operations(vec![put]).to_payload(),
    };
    let signature = key.sign(&transaction.signed_bytes());
    SignedTransaction { transaction, signature }
}

/// What outlives a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disks {
    pub(crate) log: SimulatedDisk,
    pub(crate) blocks: SimulatedDisk,
    pub(crate) state: MemoryStateStore,
    pub(crate) transfer: SimulatedDisk,
}

impl Disks {
    /// A copy of what is on them.
    pub(crate) fn fork(&self) -> Self {
        Self {
            log: self.log.fork(),
            blocks: self.blocks.fork(),
            state: self.state.clone(),
            transfer: self.transfer.fork(),
        }
    }

    /// Power is cut.
    pub(crate) fn crash(&self) {
        self.log.crash(|_| 0);
        self.blocks.crash(|_| 0);
        self.transfer.crash(|_| 0);
    }
}

/// What is due and waits until a target lets it happen.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Execute { seq: Seq, batch: Option<Arc<HashedBatch>> },
    MakeDurable { seq: Seq },
    StoreState { seq: Seq, certificate: Option<BlockCertificate> },
}

/// A running process.
pub(crate) struct Member {
    pub(crate) me: ReplicaId,
    pub(crate) disks: Disks,
    pub(crate) host: Host<FakeSigner>,
    pub(crate) blocks: BlockStore<SimulatedDisk>,
    pub(crate) machine: Machine,
    supply: StateSupply,
    transfer: TransferFile<SimulatedDisk>,
    log: SegmentedLog<SimulatedDisk>,
    pub(crate) now: Now,
    pub(crate) work: VecDeque<Work>,
    /// What it sent, with the receiver if there is only one.
    pub(crate) sent: VecDeque<(Option<ReplicaId>, Message)>,
    cache: Cache,
    /// The latest reservation that became durable (D7).
    reserved: Option<Reservation>,
}

/// The beginning of time, on both clocks.
pub(crate) const START: Now = Now { monotonic: Monotonic(1_000_000), wall: Wall(START_MS + 1_000) };

/// What the log holds, if it opens.
pub(crate) fn records(disks: &Disks) -> Result<Vec<Record>, String> {
    let opened = SegmentedLog::open_with(disks.log.clone(), *ledger().members.ledger(), SEGMENT);
    opened.map(|(_, found)| found.records).map_err(|error| error.to_string())
}

impl Member {
    /// Starts a process from its disks as a node does.
    pub(crate) fn start(me: ReplicaId, mut disks: Disks, now: Now, nonce: u8) -> Result<Self, String> {
        let Ledger { genesis, members, .. } = ledger();
        let id = *members.ledger();
        let (log, found) =
            SegmentedLog::open_with(disks.log.clone(), id, SEGMENT).map_err(|error| error.to_string())?;
        let mut blocks = BlockStore::open(disks.blocks.clone(), id).map_err(|error| error.to_string())?;
        let stable = stable_of(&found.records);
        let Replayed { machine, .. } = replay(genesis, &mut blocks, &mut disks.state, stable, |_, _| {})
            .map_err(|error| error.to_string())?;
        let recovered =
            recover(members, genesis.parameters.window, &FakeVerifier, found.records, &blocks, &machine)
                .map_err(|error| error.to_string())?;
        let config = Config {
            me,
            members: members.clone(),
            may_vote: true,
            parameters: genesis.parameters.clone(),
            tuning: Tuning::default(),
            nonce: [nonce; 32],
        };
        let config = HostConfig { config, admission: machine.state().admission_control() };
        let (mut host, turn) = Host::start(config, FakeSigner::member(me.get()), recovered, now);
        let (transfer, kept) =
            TransferFile::open(disks.transfer.clone(), &ledger().caps).map_err(|error| error.to_string())?;
        host.resume_transfer(transfer::verified(members, &FakeVerifier, kept));
        let (work, sent, cache) = (VecDeque::new(), VecDeque::new(), Cache::new(1 << 10));
        let reserved = None;
        let supply = StateSupply::default();
        let mut member = Self {
            me,
            disks,
            host,
            blocks,
            machine,
            supply,
            transfer,
            log,
            now,
            work,
            sent,
            cache,
            reserved,
        };
        member.release(turn);
        Ok(member)
    }

    /// The process ends without warning and starts again.
    pub(crate) fn restart(self, nonce: u8) -> Self {
        let Self { me, disks, now, .. } = self;
        disks.crash();
        Self::start(me, disks, now, nonce).expect("what a crash leaves is enough to start from")
    }

    /// Hands over a message as if a peer had sent it; what does not verify is dropped, as a node drops it.
    pub(crate) fn hand(&mut self, from: ReplicaId, message: Message) {
        if let Ok(message) = verify_one(&ledger().members, &FakeVerifier, &self.cache, message) {
            self.event(Event::Message { from, message });
        }
    }

    pub(crate) fn submit(&mut self, token: u64, transaction: SignedTransaction) {
        if let Ok(transaction) = verify_one(&ledger().members, &FakeVerifier, &self.cache, transaction) {
            self.event(Event::Submits(vec![(token, transaction)]));
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        let turn = self.host.handle(self.now, event);
        self.release(turn);
    }

    fn release(&mut self, turn: quorate_engine::Turn) {
        let quorate_engine::Turn { mut outbox, actions, .. } = turn;
        let early = outbox.leave_early(self.reserved);
        let released = release(&mut self.log, vec![outbox]).expect("the disk works");
        self.reserved = self.reserved.max(released.reserved);
        let effects = early.into_iter().chain(released.effects);
        for action in actions.into_iter().chain(effects.map(dispatch)) {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send { to, message, .. } => self.sent.push_back((Some(to), message)),
            Action::Broadcast { message, .. } => self.sent.push_back((None, message)),
            Action::Execute { seq, batch } => self.work.push_back(Work::Execute { seq, batch }),
            Action::MakeDurable { seq } => self.work.push_back(Work::MakeDurable { seq }),
            Action::StoreState { seq, certificate } => {
                self.work.push_back(Work::StoreState { seq, certificate });
            }
            Action::KeepTransfer(record) => {
                let kept = match record {
                    TransferRecord::Begin(messages) => self.transfer.begin(&messages),
                    TransferRecord::Add(message) => self.transfer.add(&message),
                    TransferRecord::End => self.transfer.end(),
                };
                kept.expect("the disk works");
            }
            Action::StoreCertificate(certificate) => {
                self.blocks.append_certificate(certificate.clone()).expect("the disk works");
                self.event(Event::Certified(certificate));
            }
            Action::ReadBlocks { to, from } => {
                let links = ledger().genesis.parameters.most_links();
                let (most, bytes) = (limits::FETCH_BLOCKS, limits::FETCH_BYTES);
                let read = self.blocks.certified_blocks(from, most, bytes, links).expect("the disk works");
                self.event(Event::BlocksRead { to, blocks: read.into_iter().map(Arc::new).collect() });
            }
            Action::ReadState { to, fetch } => {
                let answer = self.supply.answer(&fetch, &self.blocks, &self.disks.state);
                if let Some(message) = answer.expect("the disk works") {
                    self.event(Event::StateRead { to, message });
                }
            }
            Action::PrepareInstall { seq } => self.event(Event::InstallState { seq }),
            Action::Install(fetched) => self.install(*fetched),
            // Nothing here changes the members, and a peer that says it is in another epoch is told nothing.
            Action::CloseEpoch { .. } | Action::ReadHandover { .. } => {}
            Action::Answer { .. } | Action::Report(_) => {}
        }
    }

    fn install(&mut self, fetched: Fetched) {
        let Fetched { header, certificate, state } = fetched;
        let proof = StateProof { header: header.clone(), certificate: certificate.clone() };
        self.disks.state.replace(state.clone(), &proof).expect("the disk works");
        self.blocks.restart_after(header.clone(), certificate.clone()).expect("the disk works");
        self.machine.install(state, &header).expect("every part was checked against the header");
        let installed = Installed::of(&header, certificate, self.machine.outlook());
        let admission = self.machine.state().admission_control();
        self.event(Event::Installed { installed: Box::new(installed), admission });
    }

    /// Does the oldest thing that is due.
    pub(crate) fn step(&mut self) {
        match self.work.pop_front() {
            Some(Work::Execute { seq, batch }) => {
                let block = self.machine.execute(seq, batch);
                let stored = StoredBlock { block: block.block(), results: block.results.clone() };
                self.blocks.append(stored).expect("the disk works");
                self.event(Event::Executed(block));
            }
            Some(Work::MakeDurable { seq }) => {
                self.blocks.sync().expect("the disk works");
                self.event(Event::CheckpointDurable { seq });
            }
            Some(Work::StoreState { seq, certificate }) => {
                let header = self.blocks.header(seq).expect("the disk works");
                let proof = header.zip(certificate);
                let proof = proof.map(|(header, certificate)| StateProof { header, certificate });
                let state = &mut self.disks.state;
                self.machine.commit_to(state, seq, proof.as_ref()).expect("the disk works");
            }
            None => {}
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, micros: u64) {
        self.now.monotonic = Monotonic(self.now.monotonic.0.saturating_add(micros));
        self.now.wall = Wall(self.now.wall.0.saturating_add(micros / 1_000));
    }
}
