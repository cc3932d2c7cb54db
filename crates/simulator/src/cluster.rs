//! The world: replicas, messages in flight, a clock.

mod wire;

use crate::adversary::Adversary;
use crate::checkers::Checkers;
use crate::link::LinkFaults;
use crate::random::Random;
use crate::replica::{Node, transport_key, vote_key};
use crate::scheme::{SimSigner, SimVerifier};
use quorate_codec::Caps;
use quorate_crypto::{Cache, HashedTransaction, Signer, Verified, verify_one};
use quorate_engine::{Action, Answer, Event, Turn, dispatch};
use quorate_pbft::{Outbox, ReplicaStatus, Report, release};
use quorate_storage::StoredBlock;
use quorate_types::{
    Genesis, GenesisMember, LedgerTime, Members, Message, Monotonic, NamedKey, Now, Number, Operations,
    Parameters, RegistryMode, ReplicaId, SessionId, SignedTransaction, Transaction, Wall, limits,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The wall clock at virtual time zero, in milliseconds.
const EPOCH_MS: u64 = 1_000_000_000_000;

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    pub n: u16,
    pub faults: Option<u16>,
    pub allow_crash_only: bool,
    pub parameters: Parameters,
    pub clients: usize,
}

impl Setup {
    /// `n` replicas with small checkpoints.
    pub fn of(n: u16) -> Self {
        Self {
            n,
            faults: None,
            allow_crash_only: n < 4,
            parameters: Parameters { checkpoint_every: 4, window: 8, depth: 4, ..Parameters::default() },
            clients: 4,
        }
    }
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct InFlight {
    pub from: ReplicaId,
    pub to: ReplicaId,
    pub message: Message,
    incarnation: u64,
}

/// Something that happens at a moment of virtual time.
#[derive(Clone, Debug)]
enum Happening {
    Deliver(Box<InFlight>),
    Sync { member: ReplicaId, incarnation: u64 },
    Deadline { member: ReplicaId, incarnation: u64 },
}

/// How messages travel.
#[derive(Clone, Debug)]
pub enum Network {
    /// By themselves, as the faults say.
    Automatic(LinkFaults),
    /// They wait until a scenario delivers or drops them.
    Manual(VecDeque<InFlight>),
}

/// Where the log thread of a crashing replica stops: after so many effects, having synced or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before the sync: its records may be torn.
    BeforeSync,
    /// After the sync and so many effects.
    AfterEffects(usize),
}

/// Something that a scenario records.
#[derive(Clone, Debug)]
pub enum Told {
    Sent { from: ReplicaId, message: Message },
    Executed { member: ReplicaId, height: u64, digest: quorate_types::Digest },
}

/// The world.
pub struct Cluster {
    pub(crate) genesis: Genesis,
    pub(crate) members: Members,
    pub(crate) nodes: Vec<Node>,
    pub network: Network,
    pub random: Random,
    /// Microseconds.
    now: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    order: u64,
    caps: Caps,
    cache: Cache,
    pub checkers: Checkers,
    /// Answers to clients: token and answer, oldest first.
    pub answers: VecDeque<(u64, Answer)>,
    pub reports: Vec<(ReplicaId, Report)>,
    /// What scenarios record; not kept unless asked for.
    pub story: Option<Vec<Told>>,
    next_token: u64,
    /// The next release of these members crashes.
    crash_at: BTreeMap<ReplicaId, CrashPoint>,
    sync_micros: u64,
    /// Members that lie.
    adversaries: BTreeMap<ReplicaId, Adversary>,
    /// How many of a thousand sends are held against the disk as a crash would leave it.
    durability_checks: u64,
    pub events: u64,
    /// A running hash of everything that happened: two runs of one seed have the same.
    pub trace: u64,
}

fn genesis(setup: &Setup) -> Genesis {
    let member = |id: ReplicaId| GenesisMember {
        name: format!("node{id}"),
        vote: vote_key(id).public_key(),
        transport: transport_key(id).public_key(),
        peer: String::new(),
        api: String::new(),
    };
    Genesis {
        name: "simulated".to_owned(),
        created: LedgerTime(EPOCH_MS),
        app: "kv".to_owned(),
        faults: setup.faults.unwrap_or(setup.n.saturating_sub(1) / 3),
        allow_crash_only: setup.allow_crash_only,
        parameters: setup.parameters.clone(),
        members: ReplicaId::all(setup.n).map(member).collect(),
        clients: (0..setup.clients)
            .map(|client| NamedKey { name: format!("c{client}"), key: client_key(client).public_key() })
            .collect(),
        operators: Vec::new(),
        approvals: 1,
        registry: RegistryMode::Closed,
    }
}

fn client_key(client: usize) -> SimSigner {
    SimSigner::named(&format!("client {client}"))
}

impl Cluster {
    /// A cluster whose replicas have not started.
    ///
    /// # Panics
    /// If the setup is not a legal genesis.
    pub fn new(setup: &Setup, network: Network, seed: u64) -> Self {
        let genesis = genesis(setup);
        genesis.check().expect("a legal setup");
        let ledger = quorate_crypto::genesis_ledger_id(&genesis);
        let members = genesis.members_of_epoch_0(ledger).expect("a legal setup");
        let caps = Caps::new(&members, &genesis.parameters);
        Self {
            checkers: Checkers::new(&members),
            nodes: (0..setup.n).map(|_| Node::new()).collect(),
            genesis,
            caps,
            members,
            network,
            random: Random::new(seed),
            now: 1_000_000,
            agenda: BTreeMap::new(),
            order: 0,
            cache: Cache::new(1 << 12),
            answers: VecDeque::new(),
            reports: Vec::new(),
            story: None,
            next_token: 0,
            crash_at: BTreeMap::new(),
            sync_micros: 300,
            adversaries: BTreeMap::new(),
            durability_checks: 20,
            events: 0,
            trace: 0,
        }
    }

    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Virtual time in microseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How long a sync of the log takes.
    pub fn set_sync_micros(&mut self, micros: u64) {
        self.sync_micros = micros;
    }

    /// How many of a thousand sends are held against the disk.
    pub fn set_durability_checks(&mut self, permille: u64) {
        self.durability_checks = permille;
    }

    /// Lets a member's wall clock differ.
    pub fn set_clock(&mut self, member: ReplicaId, ahead_ms: i64) {
        self.nodes[member.index()].clock_ahead_ms = ahead_ms;
    }

    fn clocks(&self, member: ReplicaId) -> Now {
        let wall =
            (EPOCH_MS + self.now / 1_000).saturating_add_signed(self.nodes[member.index()].clock_ahead_ms);
        Now { monotonic: Monotonic(self.now), wall: Wall(wall) }
    }

    fn plan(&mut self, at: u64, happening: Happening) {
        self.order += 1;
        self.agenda.insert((at, self.order), happening);
    }

    pub fn is_up(&self, member: ReplicaId) -> bool {
        self.nodes[member.index()].process.is_some()
    }

    pub fn status(&self, member: ReplicaId) -> Option<ReplicaStatus> {
        self.nodes[member.index()].process.as_ref().map(|process| process.host.status())
    }

    /// Starts a member from what its disks hold.
    ///
    /// # Panics
    /// If the disks cannot be read: no simulated fault of an honest disk leads to that.
    pub fn start(&mut self, member: ReplicaId) {
        self.try_start(member).unwrap_or_else(|why| panic!("{member} does not start: {why}"));
    }

    /// Every later sync of the member's log fails, until it is started again.
    pub fn fail_syncs(&mut self, member: ReplicaId) {
        self.nodes[member.index()].disks.log.fail_syncs();
    }

    /// Flips a bit in the first segment of the member's log.
    ///
    /// # Errors
    /// If it has none.
    pub fn flip_in_log(&mut self, member: ReplicaId, offset: usize) -> Result<(), String> {
        let log = &self.nodes[member.index()].disks.log;
        let names = quorate_storage::Disk::list(log).map_err(|error| error.to_string())?;
        let first = names.first().ok_or("no segment")?;
        log.flip(first, offset, 3);
        Ok(())
    }

    /// Starts a member from what its disks hold.
    ///
    /// # Errors
    /// Why the disks cannot be used.
    pub fn try_start(&mut self, member: ReplicaId) -> Result<(), String> {
        if self.is_up(member) {
            return Ok(());
        }
        let now = self.clocks(member);
        let node = &mut self.nodes[member.index()];
        let outbox = node.start(&self.genesis, &self.members, member, now)?;
        if let Some(process) = &node.process {
            self.checkers.agreement.restarted(member, &process.blocks);
        }
        self.enqueue(member, outbox);
        for peer in ReplicaId::all(self.members.count()).filter(|peer| *peer != member) {
            if self.is_up(peer) {
                self.event(member, Event::PeerUp(peer));
                self.event(peer, Event::PeerUp(member));
            }
        }
        self.plan_deadline(member);
        Ok(())
    }

    /// Kills a member's process: what is not durable may be lost, in whole or in part.
    pub fn crash(&mut self, member: ReplicaId) {
        let node = &mut self.nodes[member.index()];
        if node.process.take().is_none() {
            return;
        }
        let random = &mut self.random;
        for disk in [&node.disks.log, &node.disks.blocks] {
            disk.crash(|len| match random.below(3) {
                0 => 0,
                1 => len,
                _ => random.index(len + 1),
            });
        }
        self.crash_at.remove(&member);
        for peer in ReplicaId::all(self.members.count()).filter(|peer| *peer != member) {
            self.event(peer, Event::PeerDown(member));
        }
    }

    /// The member's next release of its log crashes at this point.
    pub fn crash_at(&mut self, member: ReplicaId, point: CrashPoint) {
        self.crash_at.insert(member, point);
    }

    /// No planned crash comes any more.
    pub fn cancel_crashes(&mut self) {
        self.crash_at.clear();
    }

    /// A member sees something.
    fn event(&mut self, member: ReplicaId, event: Event) {
        let now = self.clocks(member);
        let Some(process) = &mut self.nodes[member.index()].process else { return };
        self.events += 1;
        let turn = process.host.handle(now, event);
        self.turn(member, turn);
        self.plan_deadline(member);
    }

    fn turn(&mut self, member: ReplicaId, turn: Turn) {
        self.enqueue(member, turn.outbox);
        for action in turn.actions {
            self.perform(member, action);
        }
    }

    fn enqueue(&mut self, member: ReplicaId, outbox: Outbox) {
        if outbox.is_empty() {
            return;
        }
        let delay = if outbox.needs_sync() { self.sync_micros } else { 10 };
        let at = self.now + delay;
        let node = &mut self.nodes[member.index()];
        let incarnation = node.incarnation;
        let Some(process) = &mut node.process else { return };
        process.outboxes.push_back(outbox);
        if !process.sync_due {
            process.sync_due = true;
            self.plan(at, Happening::Sync { member, incarnation });
        }
    }

    fn plan_deadline(&mut self, member: ReplicaId) {
        let now = self.clocks(member);
        let earliest = self.now;
        let node = &mut self.nodes[member.index()];
        let incarnation = node.incarnation;
        let Some(process) = &mut node.process else { return };
        let due = process.host.next_deadline(now).0.max(earliest + 1);
        if process.deadline.is_none_or(|planned| planned > due || planned <= earliest) {
            process.deadline = Some(due);
            self.plan(due, Happening::Deadline { member, incarnation });
        }
    }

    /// The log thread's turn: one sync for everything that waits, then the effects (D1).
    fn sync(&mut self, member: ReplicaId) {
        let crash = self.crash_at.remove(&member);
        let Some(process) = &mut self.nodes[member.index()].process else { return };
        process.sync_due = false;
        let outboxes: Vec<Outbox> = process.outboxes.drain(..).collect();
        let needed = outboxes.iter().any(Outbox::needs_sync);
        if crash == Some(CrashPoint::BeforeSync) {
            // What of the flush reached the platter is drawn by the crash.
            self.nodes[member.index()].disks.log.fail_syncs();
            let Some(process) = &mut self.nodes[member.index()].process else { return };
            assert!(
                release(&mut process.log, outboxes).is_err() || !needed,
                "a failed sync gives nothing up"
            );
            return self.crash(member);
        }
        let Ok(effects) = release(&mut process.log, outboxes) else {
            // D3: the process ends, and nothing that waited leaves.
            return self.crash(member);
        };
        let most = match crash {
            Some(CrashPoint::AfterEffects(most)) => most,
            _ => usize::MAX,
        };
        for effect in effects.into_iter().take(most) {
            self.perform(member, dispatch(effect));
        }
        if crash.is_some() {
            self.crash(member);
        }
    }

    fn perform(&mut self, member: ReplicaId, action: Action) {
        match action {
            Action::Send { to, message, class: _ } => self.send(member, to, &message),
            Action::Broadcast { message, class: _ } => {
                for to in ReplicaId::all(self.members.count()).filter(|to| *to != member) {
                    self.send(member, to, &message);
                }
            }
            Action::Execute { seq, batch } => {
                let Some(process) = &mut self.nodes[member.index()].process else { return };
                let height = process.machine.height();
                if seq != height.next() {
                    return self.checkers.out_of_order(member, seq, height);
                }
                let block = process.machine.execute(seq, batch);
                let stored = StoredBlock { block: block.block(), results: block.results.clone() };
                process.blocks.append(stored).expect("a simulated disk fails only on command");
                self.checkers.executed(member, &block);
                if let Some(story) = &mut self.story {
                    let (height, digest) = (block.header.height.get(), block.header.batch_digest);
                    story.push(Told::Executed { member, height, digest });
                }
                self.event(member, Event::Executed(block));
            }
            Action::MakeDurable { seq } => {
                let node = &mut self.nodes[member.index()];
                let Some(process) = &mut node.process else { return };
                process.blocks.sync().expect("a simulated disk fails only on command");
                process
                    .machine
                    .commit_to(&mut node.disks.state, seq)
                    .expect("a simulated store fails only on command");
                self.event(member, Event::CheckpointDurable { seq });
            }
            Action::StoreCertificate(certificate) => {
                self.checkers.certified(&certificate);
                let Some(process) = &mut self.nodes[member.index()].process else { return };
                process.blocks.append_certificate(certificate.clone()).expect("a simulated disk works");
                self.event(member, Event::Certified(certificate));
            }
            Action::ReadBlocks { to, from } => {
                let Some(process) = &mut self.nodes[member.index()].process else { return };
                let links = self.genesis.parameters.most_links();
                let blocks = process
                    .blocks
                    .certified_blocks(from, limits::FETCH_BLOCKS, limits::FETCH_BYTES, links)
                    .expect("a simulated disk works");
                let blocks = blocks.into_iter().map(std::sync::Arc::new).collect();
                self.event(member, Event::BlocksRead { to, blocks });
            }
            Action::Answer { token, answer } => self.answers.push_back((token, answer)),
            Action::Report(report) => self.reports.push((member, report)),
        }
    }

    /// A statement signed with a member's own key: what that member could say if it lied.
    pub fn signed_by(
        &self,
        member: ReplicaId,
        statement: quorate_types::Statement,
    ) -> quorate_types::SignedStatement {
        let epoch = self.members.epoch();
        let signature = vote_key(member).sign(&statement.signed_bytes(self.members.ledger(), epoch));
        quorate_types::SignedStatement { epoch, signer: member, statement, signature }
    }

    /// A client's signed transaction.
    pub fn transaction(
        &self,
        client: usize,
        (session, number): (u64, u64),
        valid_for_ms: u64,
        operations: &Operations,
    ) -> SignedTransaction {
        let key = client_key(client);
        let transaction = Transaction {
            ledger: *self.members.ledger(),
            sender: key.public_key(),
            session: SessionId::new(session),
            number: Number::new(number),
            valid_until: LedgerTime(EPOCH_MS + self.now / 1_000 + valid_for_ms),
            app: "kv".to_owned(),
            payload: operations.to_payload(),
        };
        let signature = key.sign(&transaction.signed_bytes());
        SignedTransaction { transaction, signature }
    }

    /// A client submits to a gateway. Returns the token of its answer.
    ///
    /// # Panics
    /// If the transaction's signature is not that of a simulated client.
    pub fn submit(&mut self, gateway: ReplicaId, transaction: SignedTransaction) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.checkers.submitted(&transaction);
        let checked: Verified<HashedTransaction> =
            verify_one(&self.members, &SimVerifier, &self.cache, transaction)
                .expect("a simulated client signs");
        self.event(gateway, Event::Submits(vec![(token, checked)]));
        token
    }

    /// Whether a member's block store has, certified, the transaction that took this one's number.
    ///
    /// # Panics
    /// If the simulated disk fails, which it does only on command.
    pub fn has_stored_outcome(&self, member: ReplicaId, asked: &SignedTransaction) -> bool {
        let Some(process) = &self.nodes[member.index()].process else { return false };
        let asked = &asked.transaction;
        let mut height = quorate_types::Seq::new(1);
        while height <= process.blocks.certified() {
            let stored = process.blocks.block(height).expect("a simulated disk works");
            let batch = stored.as_ref().and_then(|stored| stored.block.batch.as_ref());
            let took = batch.into_iter().flat_map(|batch| &batch.transactions).any(|signed| {
                let other = &signed.transaction;
                (other.sender, other.session, other.number) == (asked.sender, asked.session, asked.number)
            });
            if took {
                return true;
            }
            height = height.next();
        }
        false
    }

    /// The next thing that happens, if it happens before `until`.
    pub fn step(&mut self, until: u64) -> bool {
        let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        let ((at, _), happening) = entry.remove_entry();
        self.now = self.now.max(at);
        match happening {
            Happening::Deliver(in_flight) => self.deliver(*in_flight),
            Happening::Sync { member, incarnation } => {
                if self.nodes[member.index()].incarnation == incarnation {
                    self.sync(member);
                }
            }
            Happening::Deadline { member, incarnation } => self.deadline(member, incarnation, at),
        }
        true
    }

    fn deadline(&mut self, member: ReplicaId, incarnation: u64, at: u64) {
        let now = self.clocks(member);
        let node = &mut self.nodes[member.index()];
        let Some(process) = node.process.as_mut().filter(|_| node.incarnation == incarnation) else { return };
        if process.deadline != Some(at) {
            return;
        }
        process.deadline = None;
        if process.host.next_deadline(now) <= now.monotonic {
            self.event(member, Event::Deadline);
        } else {
            self.plan_deadline(member);
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now + u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2);
        while self.step(until) {}
    }

    /// Does what is due now, syncs included, without letting timers run.
    pub fn settle(&mut self) {
        loop {
            let due = self.agenda.iter().find(|(_, happening)| matches!(happening, Happening::Sync { .. }));
            let Some(key) = due.map(|(key, _)| *key) else { return };
            if let Some(Happening::Sync { member, incarnation }) = self.agenda.remove(&key)
                && self.nodes[member.index()].incarnation == incarnation
            {
                self.sync(member);
            }
        }
    }
}
