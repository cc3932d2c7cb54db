//! The world: replicas, messages in flight, a clock.

mod epochs;
mod faults;
mod instances;
mod perform;
mod setup;
mod wire;

use crate::adversary::{Adversary, Agreed};
use crate::checkers::{Checkers, repairs};
use crate::costs::{Costs, Meter};
use crate::link::LinkFaults;
use crate::promised::WatchedLog;
use crate::random::Random;
use crate::replica::{EPOCH_MS, Node};
use crate::scheme::SimVerifier;
use crate::twins::Script;
pub use faults::DiskFault;
pub use perform::StoredOutcome;
use quorate_codec::Caps;
use quorate_crypto::{Cache, CheckedMessage, HashedTransaction, Malformed, Verified, verify_one};
use quorate_engine::{Answer, Event, Turn, dispatch};
use quorate_pbft::{Outbox, Released, ReplicaStatus, Report, release};
use quorate_types::{Epoch, Genesis, Members, Message, Notice, Now, ReplicaId, SignedTransaction};
pub use setup::Setup;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// A message on its way.
#[derive(Clone, Debug)]
pub struct InFlight {
    pub from: ReplicaId,
    pub to: ReplicaId,
    sent: Rc<Sent>,
    incarnation: u64,
}

impl InFlight {
    pub fn message(&self) -> &Message {
        &self.sent.message
    }
}

/// What left a member, for however many receivers. Whether its signatures hold depends on the member set alone, so the first
/// receiver's check serves all.
#[derive(Debug)]
struct Sent {
    message: Message,
    bytes: usize,
    /// By the epoch of the member set.
    checked: RefCell<BTreeMap<Epoch, Result<Verified<CheckedMessage>, Malformed>>>,
}

impl Sent {
    fn new(message: Message, bytes: usize) -> Rc<Self> {
        Rc::new(Self { message, bytes, checked: RefCell::default() })
    }
}

/// Something that happens at a moment of virtual time.
#[derive(Clone, Debug)]
enum Happening {
    Deliver(InFlight),
    /// It was read and checked.
    Handle(InFlight),
    /// Execution tells the core what it has done.
    Done {
        member: ReplicaId,
        incarnation: u64,
        event: Event,
    },
    Sync {
        member: ReplicaId,
        incarnation: u64,
    },
    Deadline {
        member: ReplicaId,
        incarnation: u64,
    },
    /// Its epoch is over: it starts in the next one.
    OpenEpoch {
        member: ReplicaId,
        incarnation: u64,
    },
}

impl Happening {
    /// To whom it happens.
    fn member(&self) -> ReplicaId {
        match self {
            Self::Deliver(in_flight) | Self::Handle(in_flight) => in_flight.to,
            Self::Sync { member, .. }
            | Self::Deadline { member, .. }
            | Self::OpenEpoch { member, .. }
            | Self::Done { member, .. } => *member,
        }
    }
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
    Sent { from: ReplicaId, to: ReplicaId, message: Message },
    Crashed { member: ReplicaId },
    Started { member: ReplicaId },
    Executed { member: ReplicaId, height: u64, digest: quorate_types::Digest },
}

/// The world.
pub struct Cluster {
    pub(crate) genesis: Genesis,
    pub(crate) members: Members,
    /// One for each member, then one for each of `twins`.
    pub(crate) nodes: Vec<Node>,
    /// Members that run twice, once more for each entry.
    twins: Vec<ReplicaId>,
    /// Which messages reach whom in a Twins scenario.
    pub(crate) script: Option<Script>,
    pub network: Network,
    pub random: Random,
    /// Draws which sends the costlier oracles look at, so that they disturb nothing.
    samples: Random,
    /// Microseconds.
    now: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    /// Messages on each directed link.
    under_way: BTreeMap<(ReplicaId, ReplicaId), u64>,
    /// Messages that may arrive again.
    heard_before: Vec<InFlight>,
    order: u64,
    caps: Caps,
    cache: Cache,
    /// Each receiver checks for itself, with the cache, as nodes do.
    remembers: bool,
    pub checkers: Checkers,
    /// Answers to clients: token and answer, oldest first.
    pub answers: VecDeque<(u64, Answer)>,
    pub reports: Vec<(ReplicaId, Report)>,
    /// What scenarios record; not kept unless asked for.
    pub story: Option<Vec<Told>>,
    next_token: u64,
    /// The next release of these members crashes.
    crash_at: BTreeMap<ReplicaId, CrashPoint>,
    /// What work costs, and what each member spent.
    costs: Option<Costs>,
    meters: Vec<Meter>,
    agreed_lies: Agreed,
    /// Members that lie.
    adversaries: BTreeMap<ReplicaId, Adversary>,
    /// How many of a thousand sends are held against the disk as a crash would leave it.
    durability_checks: u64,
    /// Of a thousand installs of a fetched state, so many are cut short by a kill.
    pub(crate) cut_installs: u64,
    pub events: u64,
    /// A running hash of everything that happened: two runs of one seed have the same.
    pub trace: u64,
}

impl Cluster {
    /// A cluster whose replicas have not started.
    ///
    /// # Panics
    /// If the setup is not a legal genesis.
    pub fn new(setup: &Setup, network: Network, seed: u64) -> Self {
        let genesis = setup::genesis(setup);
        genesis.check().expect("a legal setup");
        let ledger = quorate_crypto::genesis_ledger_id(&genesis);
        let members = genesis.members_of_epoch_0(ledger).expect("a legal setup");
        let caps = Caps::new(&members, &genesis.parameters);
        Self {
            checkers: Checkers::new(&members, &setup.parameters),
            nodes: ReplicaId::all(setup.n).map(Node::new).collect(),
            twins: Vec::new(),
            script: None,
            genesis,
            caps,
            members,
            network,
            random: Random::new(seed),
            samples: Random::new(seed ^ 0x5A3B),
            now: 1_000_000,
            agenda: BTreeMap::new(),
            under_way: BTreeMap::new(),
            heard_before: Vec::new(),
            order: 0,
            // Mostly none: checking is cheaper here than remembering.
            remembers: seed.is_multiple_of(8),
            cache: Cache::new(if seed.is_multiple_of(8) { 1 << 12 } else { 0 }),
            answers: VecDeque::new(),
            reports: Vec::new(),
            story: None,
            next_token: 0,
            crash_at: BTreeMap::new(),
            costs: None,
            meters: vec![Meter::default(); usize::from(setup.n)],
            agreed_lies: Agreed::default(),
            adversaries: BTreeMap::new(),
            durability_checks: 1,
            cut_installs: 0,
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

    /// How many of a thousand sends are held against the disk.
    pub fn set_durability_checks(&mut self, permille: u64) {
        self.durability_checks = permille;
    }

    /// From here on work takes time.
    pub fn set_costs(&mut self, costs: Costs) {
        self.costs = Some(costs);
    }

    /// What each member spent since work takes time.
    pub fn meters(&self) -> &[Meter] {
        &self.meters
    }

    fn clocks(&self, member: ReplicaId) -> Now {
        self.nodes[member.index()].clock.at(self.now)
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

    /// Starts a member from what its disks hold.
    ///
    /// # Errors
    /// Why the disks cannot be used.
    pub fn try_start(&mut self, member: ReplicaId) -> Result<(), String> {
        if self.is_up(member) {
            return Ok(());
        }
        let now = self.clocks(member);
        let me = self.member_of(member);
        let node = &mut self.nodes[member.index()];
        let outbox = node.start(&self.genesis, *self.members.ledger(), me, now)?;
        if let Some(lost) = node.lost.take() {
            self.checkers.lost_records(me, lost);
        }
        if let Some(process) = &node.process {
            self.checkers.agreement.restarted(member, &process.blocks);
            self.checkers.epoch(&process.members);
            if let Some(adversary) = self.adversaries.get_mut(&member) {
                adversary.enter(&process.members);
            }
        }
        if let Some(story) = &mut self.story {
            story.push(Told::Started { member });
        }
        self.enqueue(member, outbox);
        for peer in self.others(member) {
            if self.is_up(peer) {
                self.event(member, Event::PeerUp(self.member_of(peer)));
                self.event(peer, Event::PeerUp(me));
            }
        }
        self.plan_deadline(member);
        Ok(())
    }

    /// Cuts a member's power: what is not durable may be lost, in whole or in part.
    pub fn crash(&mut self, member: ReplicaId) {
        let mut random = self.random.clone();
        if self.is_up(member) {
            self.end(member, &mut |len| match random.below(3) {
                0 => 0,
                1 => len,
                _ => random.index(len + 1),
            });
            self.random = random;
        }
    }

    /// Kills a member's process: what it wrote is there, durable or not.
    pub fn kill(&mut self, member: ReplicaId) {
        if self.is_up(member) {
            self.end(member, &mut |len| len);
        }
    }

    fn end(&mut self, member: ReplicaId, kept: &mut dyn FnMut(usize) -> usize) {
        let node = &mut self.nodes[member.index()];
        node.process = None;
        if let Some(story) = &mut self.story {
            story.push(Told::Crashed { member });
        }
        for disk in node.disks.files() {
            disk.crash(&mut *kept);
        }
        self.crash_at.remove(&member);
        let me = self.member_of(member);
        if self.instances_of(me).iter().any(|twin| self.is_up(*twin)) {
            return;
        }
        for peer in self.others(member) {
            self.event(peer, Event::PeerDown(me));
        }
    }

    /// The member's next release of its log crashes at this point.
    pub fn crash_at(&mut self, member: ReplicaId, point: CrashPoint) {
        self.crash_at.insert(member, point);
    }

    /// No planned crash comes any more.
    pub fn cancel_crashes(&mut self) {
        self.crash_at.clear();
        self.cut_installs = 0;
    }

    /// A member sees something.
    fn event(&mut self, member: ReplicaId, event: Event) {
        let now = self.clocks(member);
        let Some(process) = &mut self.nodes[member.index()].process else { return };
        self.events += 1;
        let repairs = match &event {
            Event::Message { from, message } => {
                matches!(&**message, CheckedMessage::Notice(Notice::Status(_))).then_some(*from)
            }
            _ => None,
        };
        let turn = process.host.handle(now, event);
        if let Some(peer) = repairs {
            let budget = self.nodes[member.index()].tuning.repair_bytes;
            self.checkers.note(repairs::within(member, budget, turn.outbox.sent_to(peer)));
        }
        self.turn(member, turn);
        self.plan_deadline(member);
    }

    fn turn(&mut self, member: ReplicaId, turn: Turn) {
        self.enqueue(member, turn.outbox);
        for action in turn.actions {
            self.perform(member, action);
        }
    }

    fn enqueue(&mut self, member: ReplicaId, mut outbox: Outbox) {
        let Some(process) = &self.nodes[member.index()].process else { return };
        for effect in outbox.leave_early(process.reserved) {
            self.perform(member, dispatch(effect));
        }
        if outbox.is_empty() {
            return;
        }
        let node = &mut self.nodes[member.index()];
        let at = self.now + if outbox.needs_sync() { node.sync_micros } else { 10 };
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
        let due = node.clock.moment(process.host.next_deadline(now)).max(earliest + 1);
        if process.deadline.is_none_or(|planned| planned > due || planned <= earliest) {
            process.deadline = Some(due);
            self.plan(due, Happening::Deadline { member, incarnation });
        }
    }

    /// The log thread's turn: one sync for everything that waits, then the effects (D1).
    fn sync(&mut self, member: ReplicaId) {
        let crash = self.crash_at.remove(&member);
        let node = &mut self.nodes[member.index()];
        let Some(process) = &mut node.process else { return };
        process.sync_due = false;
        let outboxes: Vec<Outbox> = process.outboxes.drain(..).collect();
        if crash == Some(CrashPoint::BeforeSync) {
            // What of the flush reached the platter is drawn by the crash.
            node.disks.log.fail_syncs();
        }
        let mut log = WatchedLog { log: &mut process.log, promised: &mut node.promised };
        let released = release(&mut log, outboxes);
        for new_view in node.promised.take_new_views() {
            self.checkers.accepted(member, &new_view);
        }
        let Ok(Released { effects, reserved }) = released else {
            // D3: the process ends, and nothing that waited leaves.
            return self.crash(member);
        };
        process.reserved = process.reserved.max(reserved);
        if crash == Some(CrashPoint::BeforeSync) {
            return self.crash(member);
        }
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

    /// A client submits to a gateway. Returns the token of its answer.
    ///
    /// # Panics
    /// If the transaction's signature is not that of a simulated client.
    pub fn submit(&mut self, gateway: ReplicaId, transaction: SignedTransaction) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.checkers.submitted(&transaction);
        if let Some(costs) = &self.costs {
            self.meters[gateway.index()].called(costs, self.now, &transaction);
        }
        let checked: Verified<HashedTransaction> =
            verify_one(&self.members, &SimVerifier, &self.cache, transaction)
                .expect("a simulated client signs");
        self.event(gateway, Event::Submits(vec![(token, checked)]));
        token
    }

    /// A client submits what no gateway may take, which is then in nobody's ledger (S3): it was not "submitted".
    pub fn submit_nonsense(&mut self, gateway: ReplicaId, transaction: SignedTransaction) {
        let token = self.next_token;
        self.next_token += 1;
        if let Ok(checked) = verify_one(&self.members, &SimVerifier, &self.cache, transaction) {
            self.event(gateway, Event::Submits(vec![(token, checked)]));
        }
    }

    /// The next thing that happens, if it happens before `until`.
    pub fn step(&mut self, until: u64) -> bool {
        let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        let ((at, _), happening) = entry.remove_entry();
        self.now = self.now.max(at);
        let resumes = self.nodes[happening.member().index()].paused_until;
        if resumes > self.now {
            self.plan(resumes, happening);
            return true;
        }
        match happening {
            Happening::Deliver(in_flight) => self.arrive(in_flight),
            Happening::Handle(in_flight) => self.deliver(&in_flight),
            Happening::Done { member, incarnation, event } => {
                let node = &mut self.nodes[member.index()];
                if let Some(process) = node.process.as_mut().filter(|_| node.incarnation == incarnation) {
                    process.untold -= 1;
                    self.event(member, event);
                }
            }
            Happening::Sync { member, incarnation } => {
                if self.nodes[member.index()].incarnation == incarnation {
                    self.sync(member);
                }
            }
            Happening::Deadline { member, incarnation } => self.deadline(member, incarnation, at),
            Happening::OpenEpoch { member, incarnation } => self.open_epoch(member, incarnation),
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

    /// Shows the checkers where everyone stands.
    pub fn look(&mut self) {
        for node in &self.nodes {
            if let Some(process) = &node.process {
                self.checkers.seen(node.incarnation, &process.host.status(), process.host.sizes());
            }
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
