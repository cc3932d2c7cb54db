//! One correct replica: the real core, its log, the chain of what it executed, and what it is held to.

use crate::letters::{Letter, LetterId, Letters};
use crate::rows::Row;
use crate::scheme::{FakeVerifier, Key, N, key, members, parameters, sign, transaction};
use crate::universe::Summary;
use quorate_crypto::{
    Cache, CheckedMessage, HashedBatch, Verified, header_hash, null_batch_digest, verify_all, verify_one,
};
use quorate_pbft::{
    Config, Effect, Execution, Input, Log, Outbox, Phase, Recovered, Replica, Report, Tuning, release,
};
use quorate_types::{
    Batch, Digest, Epoch, Header, HelloReply, LedgerTime, Members, Message, Monotonic, NewView, Notice, Now,
    Outlook, Parameters, Record, ReplicaId, Reservation, Seq, SignedStatement, Statement, StatementKind,
    Status, Suspicion, View, Wall,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The wall clock of replica 0, in milliseconds. It stands still.
const WALL: u64 = 1_000_000;
/// How much later it is, in microseconds, after each expiry of a timer: later than any deadline.
const LATER: u64 = 1_000_000_000;

/// A view that nobody comes to.
const FAR: View = View::new(1 << 40);

/// What all replicas of a row share.
pub(crate) struct World {
    pub(crate) row: Row,
    pub(crate) members: Members,
    parameters: Parameters,
    pub(crate) cache: Cache,
    pub(crate) letters: Letters,
}

impl World {
    pub(crate) fn new(row: Row) -> Self {
        Self {
            members: members(),
            parameters: parameters(row.checkpoint_every),
            cache: Cache::new(1 << 12),
            letters: Letters::default(),
            row,
        }
    }

    pub(crate) fn letter(&mut self, from: ReplicaId, message: Message) -> LetterId {
        self.letters.intern(&self.members, &self.cache, from, message)
    }

    fn verified(&self, message: Message) -> Verified<CheckedMessage> {
        verify_one(&self.members, &FakeVerifier, &self.cache, message).expect("signed by the scheme")
    }

    /// The batch of one request that a primary proposes for a slot: the even replicas' clocks and the odd ones' differ, so
    /// that two primaries propose two digests.
    pub(crate) fn batch(slot: u64, flavour: u64) -> Arc<Batch> {
        Arc::new(Batch { time: LedgerTime(WALL + flavour), transactions: vec![transaction(slot)] })
    }
}

/// What no correct replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// Two statements that contradict each other (S6).
    TwoFaced,
    /// A vote in a view that it left (S7).
    LeftView,
    /// Executed another batch in a slot than before, or not the next one (S2, S10).
    Fell,
    /// Stopped voting for ever, though at most f members are faulty (N9, K4).
    Halted,
    /// Found out after a restart that its log lacks what it said (D6).
    Forgot,
    /// After a crash now, it could contradict what it sent (table D).
    Uncovered,
}

/// What a replica is held to, across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// The batch digest of each slot that it ever executed.
    pub(crate) executed: BTreeMap<Seq, Digest>,
    /// The prepared certificates that it put together.
    pub(crate) prepared: BTreeSet<(View, Seq, Digest)>,
    /// The NEW-VIEWs that it accepted: `min` and O.
    pub(crate) accepted: BTreeMap<View, (Seq, Vec<Digest>)>,
    /// The highest view that it said VIEW-CHANGE for.
    left_for: View,
    pub(crate) broken: BTreeSet<Broken>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Disk {
    durable: Vec<Record>,
    unsynced: Vec<Record>,
}

/// A log that also tells what one turn wrote.
struct Writing<'d> {
    disk: &'d mut Disk,
    written: Vec<Record>,
}

impl Log for Writing<'_> {
    type Error = std::convert::Infallible;

    fn append(&mut self, record: &Record) -> Result<(), Self::Error> {
        self.disk.unsynced.push(record.clone());
        self.written.push(record.clone());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Self::Error> {
        self.disk.durable.append(&mut self.disk.unsynced);
        Ok(())
    }

    fn compact(&mut self, records: &[Record]) -> Result<(), Self::Error> {
        self.disk.unsynced.clear();
        self.disk.durable = records.to_vec();
        Ok(())
    }
}

/// One thing that happens to one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stimulus {
    Deliver(LetterId),
    /// Two other members are said to suspect the primary (V1): the replica leaves its view.
    Suspect,
    /// The new-view timer expires (V6).
    Expire,
    /// The process dies and starts from what is durable.
    Crash(Crash),
    /// It dies in a turn, when this many of the turn's records are on disk and nothing was sent.
    CrashIn(Turn, u8, Crash),
}

/// A turn in which a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Turn {
    Deliver(LetterId),
    Suspect,
    Expire,
}

/// What a crash leaves beside the log, and what peers answer to the HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Crash {
    /// Blocks are written behind: none of them need survive.
    pub(crate) blocks_lost: bool,
    /// Whether the peers hold the highest that this replica ever sent, or nothing.
    pub(crate) peers_know: bool,
}

/// A correct replica.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    me: ReplicaId,
    replica: Replica<Key>,
    /// Kept only of a replica that may crash.
    disk: Option<Disk>,
    blocks: Vec<(Header, Digest)>,
    /// In order, each once.
    pub(crate) sent: Vec<LetterId>,
    pub(crate) history: History,
    expiries: u64,
    crashes: u8,
    /// The NEW-VIEW that this turn recorded, whole.
    recorded_new_view: Option<Arc<NewView>>,
    /// What became durable of reservations in this run (D7).
    reserved: Option<Reservation>,
}

impl Node {
    /// A replica that has exchanged HELLOs and holds the requests of the row's clients.
    pub(crate) fn start(world: &mut World, me: ReplicaId) -> Self {
        let mut out = Outbox::new();
        let recovered = Recovered {
            records: Vec::new(),
            executed: (Seq::ZERO, Digest::ZERO, LedgerTime(0)),
            batches: Vec::new(),
            certified: Seq::ZERO,
            headers: Vec::new(),
            outlook: Outlook::default(),
            disputed: Seq::ZERO,
        };
        let config = Self::config(world, me, 0);
        let replica = Replica::start(config, key(me), recovered, now(me, 0), &mut out);
        let mut node = Self {
            me,
            replica,
            disk: (world.row.crash == Some(me.get())).then(Disk::default),
            blocks: Vec::new(),
            sent: Vec::new(),
            history: History::default(),
            expiries: 0,
            crashes: 0,
            recorded_new_view: None,
            reserved: None,
        };
        node.release(world, out);
        node.condemn_liar(world);
        node.greet(world, false);
        for slot in 1..=world.row.slots {
            let request = verify_one(&world.members, &FakeVerifier, &world.cache, transaction(slot));
            node.turn(world, Input::Requests(vec![request.expect("signed by the client")]));
        }
        node
    }

    fn config(world: &World, me: ReplicaId, starts: u8) -> Config {
        Config {
            me,
            members: world.members.clone(),
            may_vote: true,
            parameters: world.parameters.clone(),
            tuning: Tuning::default(),
            nonce: [starts; 32],
        }
    }

    /// Whether a vote or proposal is of a view that is not open here yet: it stays in the network until it is, instead of in the
    /// core's buffer (R2).
    pub(crate) fn waits_for(&self, letter: &Letter) -> bool {
        let status = self.replica.status();
        matches!(letter.message, Message::Vote(_) | Message::Proposal(_))
            && letter
                .says
                .iter()
                .filter_map(Statement::view)
                .any(|view| view > status.view || (view == status.view && !status.active))
    }

    /// What can happen here beside the arrival of letters.
    pub(crate) fn own_stimuli(&self, row: &Row) -> impl Iterator<Item = Turn> + use<> {
        let status = self.replica.status();
        let more = status.view.get() + 1 < row.views;
        let suspect = (more && status.active).then_some(Turn::Suspect);
        let expire = (more && !status.active).then_some(Turn::Expire);
        suspect.into_iter().chain(expire)
    }

    /// How the replica may crash between two turns.
    pub(crate) fn crashes(&self, row: &Row) -> Vec<Crash> {
        if self.disk.is_none() || self.crashes >= row.crashes {
            return Vec::new();
        }
        let mut ways = Vec::new();
        for blocks_lost in [false, true] {
            for peers_know in [false, true] {
                if (!blocks_lost || !self.blocks.is_empty()) && (!peers_know || !self.sent.is_empty()) {
                    ways.push(Crash { blocks_lost, peers_know });
                }
            }
        }
        ways
    }

    /// Lets something happen. Returns how many records the turn wrote, or nothing if it leads out of the row's bounds.
    pub(crate) fn apply(&mut self, world: &mut World, stimulus: Stimulus) -> Option<u8> {
        let records = match stimulus {
            Stimulus::Deliver(letter) => self.take_turn(world, Turn::Deliver(letter)),
            Stimulus::Suspect => self.take_turn(world, Turn::Suspect),
            Stimulus::Expire => self.take_turn(world, Turn::Expire),
            Stimulus::Crash(crash) => {
                self.crash(world, crash);
                0
            }
            Stimulus::CrashIn(turn, kept, crash) => {
                self.die_in(world, turn, usize::from(kept));
                self.crash(world, crash);
                0
            }
        };
        (self.replica.status().view.get() < world.row.views).then_some(records)
    }

    fn take_turn(&mut self, world: &mut World, turn: Turn) -> u8 {
        let before = self.clone();
        let mut records = 0;
        for input in self.inputs(world, turn) {
            records += self.turn(world, input);
        }
        self.recorded_new_view = None;
        if turn == Turn::Expire && self.replica.status().view == before.replica.status().view {
            // Another timer than that of the view change: nothing that the row is about.
            *self = before;
            return 0;
        }
        if self.disk.is_some() && self.sent != before.sent {
            self.check_cover(world);
        }
        u8::try_from(records).unwrap_or(u8::MAX)
    }

    /// A turn is one input, but for two STATUS that count together.
    fn inputs(&mut self, world: &World, turn: Turn) -> Vec<Input> {
        match turn {
            Turn::Deliver(letter) => {
                let letter = world.letters.get(letter);
                vec![Input::Message { from: letter.from, message: letter.verified.clone() }]
            }
            Turn::Suspect => {
                let status = Message::Notice(Notice::Status(self.suspicious_status()));
                let message = world.verified(status);
                let others = ReplicaId::all(N).filter(|other| *other != self.me).take(2);
                others.map(|from| Input::Message { from, message: message.clone() }).collect()
            }
            Turn::Expire => {
                self.expiries += 1;
                vec![Input::Deadline]
            }
        }
    }

    /// Of a member that suspects and lacks nothing.
    fn suspicious_status(&self) -> Status {
        let own = self.replica.status();
        Status {
            epoch: own.epoch,
            view: own.view,
            active: true,
            suspicion: Some(Suspicion::Silence),
            base: own.base,
            stable: own.stable,
            executed: own.executed,
            certified: own.certified,
            view_changes: 0,
            slots: Vec::new(),
            checkpoints: 0,
            attests: 0,
        }
    }

    fn turn(&mut self, world: &mut World, input: Input) -> usize {
        let mut out = Outbox::new();
        let _ = self.replica.handle(now(self.me, self.expiries), input, &mut out);
        self.release(world, out)
    }

    /// Makes the records durable, then does what the core wants done. Returns how many records there were.
    fn release(&mut self, world: &mut World, mut out: Outbox) -> usize {
        let early = out.leave_early(self.reserved);
        let mut scratch = Disk::default();
        let mut log = Writing { disk: self.disk.as_mut().unwrap_or(&mut scratch), written: Vec::new() };
        let Ok(released) = release(&mut log, vec![out]);
        let written = log.written;
        self.reserved = self.reserved.max(released.reserved);
        for record in &written {
            self.note_record(record);
        }
        for effect in early.into_iter().chain(released.effects) {
            match effect {
                Effect::Broadcast(message) | Effect::Send { message, .. } => self.send(world, message),
                Effect::Execute { seq, batch } => self.execute(world, seq, batch.as_deref()),
                Effect::MakeDurable { seq } => {
                    self.turn(world, Input::CheckpointDurable { seq });
                }
                Effect::Report(report) => self.note_report(&report),
                // Certificates for clients and repair by blocks are not part of the model.
                Effect::Certified(_)
                | Effect::StoreState { .. }
                | Effect::SupplyBlocks { .. }
                | Effect::SupplyState { .. }
                | Effect::InstallState { .. }
                | Effect::CloseEpoch { .. }
                | Effect::SupplyHandover { .. } => {}
            }
        }
        written.len()
    }

    fn note_record(&mut self, record: &Record) {
        match record {
            Record::Prepared(certificate) => {
                self.history.prepared.insert((certificate.view, certificate.seq, certificate.digest));
            }
            Record::NewView(new_view) => {
                if let Statement::NewView { view, min, proposals, .. } = &new_view.statement.statement {
                    self.history.accepted.insert(*view, (*min, proposals.clone()));
                }
                self.recorded_new_view = Some(new_view.clone());
            }
            _ => {}
        }
    }

    fn note_report(&mut self, report: &Report) {
        match report {
            Report::Diverged { .. } | Report::Contradiction { .. } | Report::ViewsExhausted => {
                self.history.broken.insert(Broken::Halted);
            }
            Report::Amnesia => {
                self.history.broken.insert(Broken::Forgot);
            }
            _ => {}
        }
    }

    /// Statements that decide agreement stay in the network for ever; everything else is lost.
    fn send(&mut self, world: &mut World, message: Message) {
        let message = match message {
            // The brief one is completed by FETCH (V8); here it travels whole.
            Message::NewView(brief) => {
                let whole = self.recorded_new_view.clone();
                Message::NewView(whole.filter(|whole| whole.statement == brief.statement).unwrap_or(brief))
            }
            message => message,
        };
        let kept = match &message {
            Message::Vote(signed) => match signed.statement.kind() {
                StatementKind::Checkpoint => world.row.slots >= world.row.checkpoint_every,
                kind => kind != StatementKind::Attest,
            },
            Message::Proposal(_) | Message::ViewChange(_) | Message::NewView(_) => true,
            _ => false,
        };
        if !kept {
            return;
        }
        let letter = world.letter(self.me, message);
        if world.letters.get(letter).from != self.me {
            return;
        }
        self.hold_to(world, letter);
        if let Err(place) = self.sent.binary_search(&letter) {
            let beyond = |said: &Statement| said.seq().is_some_and(|seq| seq.get() > world.row.slots);
            if !world.letters.get(letter).says.iter().all(beyond) {
                self.sent.insert(place, letter);
            }
        }
    }

    /// S6 and S7, whether the letter is new or sent again.
    fn hold_to(&mut self, world: &World, letter: LetterId) {
        let new = &world.letters.get(letter).says;
        for said in self.sent.iter().flat_map(|sent| &world.letters.get(*sent).says) {
            if new.iter().any(|statement| contradict(said, statement)) {
                self.history.broken.insert(Broken::TwoFaced);
            }
        }
        for statement in new {
            match statement {
                Statement::PrePrepare { view, .. }
                | Statement::Prepare { view, .. }
                | Statement::Commit { view, .. } => {
                    let entered = self.history.accepted.keys().next_back().copied().unwrap_or(View::ZERO);
                    if *view < self.history.left_for.max(entered) {
                        self.history.broken.insert(Broken::LeftView);
                    }
                }
                Statement::ViewChange { view, .. } => {
                    self.history.left_for = self.history.left_for.max(*view);
                }
                _ => {}
            }
        }
    }

    /// Execution is a chain of headers.
    fn execute(&mut self, world: &mut World, seq: Seq, batch: Option<&HashedBatch>) {
        let last = self.blocks.last();
        let (parent, parent_time) =
            last.map_or((Digest::ZERO, LedgerTime(0)), |(header, hash)| (*hash, header.time));
        let digest = batch.map_or_else(null_batch_digest, HashedBatch::digest);
        let expected = last.map_or(Seq::new(1), |(header, _)| header.height.next());
        let known = self.history.executed.get(&seq);
        if seq != expected || known.is_some_and(|known| *known != digest) {
            self.history.broken.insert(Broken::Fell);
            return;
        }
        self.history.executed.insert(seq, digest);
        let header = Header {
            ledger: *world.members.ledger(),
            epoch: Epoch::ZERO,
            height: seq,
            parent,
            time: batch.map_or(parent_time, |batch| parent_time.max(batch.batch().time)),
            batch_digest: digest,
            transactions_root: Digest::ZERO,
            results_root: Digest::ZERO,
            state_root: Digest::ZERO,
            members_hash: Digest::ZERO,
            transaction_count: 0,
        };
        let hash = header_hash(&header);
        let time = header.time;
        self.blocks.push((header, hash));
        let transactions = batch.iter().flat_map(|batch| &batch.batch().transactions);
        let consumed = transactions
            .map(|signed| (signed.transaction.sender, signed.transaction.session, signed.transaction.number))
            .collect();
        let execution = Execution { seq, header_hash: hash, time, consumed, outlook: Outlook::default() };
        self.turn(world, Input::Executed(execution));
    }

    /// The first turn of a stimulus ends in death: its records are on disk in part, its effects are not done but for those that
    /// left early (D7).
    fn die_in(&mut self, world: &mut World, turn: Turn, kept: usize) {
        let inputs = self.inputs(world, turn);
        let mut out = Outbox::new();
        for input in inputs {
            let _ = self.replica.handle(now(self.me, self.expiries), input, &mut out);
        }
        for effect in out.leave_early(self.reserved) {
            if let Effect::Broadcast(message) = effect {
                self.send(world, message);
            }
        }
        let mut whole = self.disk.clone().unwrap_or_default();
        let mut log = Writing { disk: &mut whole, written: Vec::new() };
        let Ok(_) = release(&mut log, vec![out]);
        let written = log.written;
        if let Some(disk) = &mut self.disk {
            let earlier = std::mem::take(&mut disk.unsynced);
            disk.durable.extend(earlier.into_iter().filter(|_| kept > 0));
            disk.durable.extend(written.into_iter().take(kept));
        }
    }

    fn crash(&mut self, world: &mut World, crash: Crash) {
        self.crashes += 1;
        self.reserved = None;
        if let Some(disk) = &mut self.disk {
            disk.unsynced.clear();
        }
        if crash.blocks_lost {
            self.blocks.clear();
        }
        let mut out = Outbox::new();
        self.replica = self.restarted(world, &mut out);
        self.release(world, out);
        self.condemn_liar(world);
        self.greet(world, crash.peers_know);
        self.recorded_new_view = None;
        self.check_cover(world);
    }

    /// The replica as it would start from its disk now.
    fn restarted(&self, world: &World, out: &mut Outbox) -> Replica<Key> {
        let durable = self.disk.as_ref().map(|disk| disk.durable.clone()).unwrap_or_default();
        let records = verify_all(&world.members, &FakeVerifier, &world.cache, durable);
        let last = self.blocks.last();
        let recovered = Recovered {
            records: records.into_iter().map(|record| record.expect("own log")).collect(),
            executed: last.map_or((Seq::ZERO, Digest::ZERO, LedgerTime(0)), |(header, hash)| {
                (header.height, *hash, header.time)
            }),
            batches: self.blocks.iter().map(|(header, _)| (header.height, header.batch_digest)).collect(),
            certified: Seq::ZERO,
            headers: self.blocks.iter().map(|(header, hash)| (header.height, *hash)).collect(),
            outlook: Outlook::default(),
            disputed: Seq::ZERO,
        };
        let config = Self::config(world, self.me, self.crashes);
        Replica::start(config, key(self.me), recovered, now(self.me, self.expiries), out)
    }

    /// D6 in one step: two members answer the HELLO, with the highest that this replica ever sent or with nothing.
    fn greet(&mut self, world: &mut World, peers_know: bool) {
        let said = self.sent.iter().flat_map(|letter| &world.letters.get(*letter).says);
        let (votes, views): (Vec<&Statement>, Vec<&Statement>) =
            said.partition(|statement| statement.seq().is_some());
        let place = |statement: &&&Statement| (statement.view(), statement.seq(), statement.kind());
        let highest = |said: &[&Statement]| -> Option<SignedStatement> {
            let highest = said.iter().max_by_key(place).filter(|_| peers_know)?;
            Some(sign(self.me, (*highest).clone()))
        };
        let reply = HelloReply {
            nonce: [self.crashes; 32],
            view: highest(&views),
            vote: highest(&votes),
            commits: Vec::new(),
        };
        let message = world.verified(Message::Notice(Notice::HelloReply(Box::new(reply))));
        let me = self.me;
        for from in ReplicaId::all(N).filter(|other| *other != me).take(2) {
            self.turn(world, Input::Message { from, message: message.clone() });
        }
        assert!(self.replica.status().phase != Phase::Starting, "two replies are q−1");
        self.remember_peers(world);
    }

    /// Which of the liar's contradictions is noticed first does not matter: one is known before the first vote. A primary that
    /// contradicts itself is suspected for it all the same (V1).
    fn condemn_liar(&mut self, world: &mut World) {
        let Some(liar) = world.row.liar.map(ReplicaId::new) else { return };
        let commit = |digest| Statement::Commit { view: FAR, seq: Seq::new(1), digest };
        let pair = (sign(liar, commit(Digest::ZERO)), sign(liar, commit(Digest([1; 32]))));
        let message = world.verified(Message::Evidence(Box::new(pair)));
        self.turn(world, Input::Message { from: liar, message });
    }

    /// What a replica keeps of its peers' highest statements, only to answer their HELLOs, would tell apart states that behave
    /// alike, since answers are not part of the model. A vote and a NEW-VIEW of a far view, which do nothing else, fill it.
    fn remember_peers(&mut self, world: &mut World) {
        let me = self.me;
        for from in ReplicaId::all(N).filter(|other| *other != me) {
            let vote = Statement::Commit { view: FAR, seq: Seq::new(1), digest: Digest::ZERO };
            // Not the primary of that view, so that the NEW-VIEW counts for nothing.
            let view = if world.members.primary(FAR) == from { FAR.next() } else { FAR };
            let chosen = ReplicaId::all(N).take(3).map(|sender| (sender, Digest::ZERO)).collect();
            let statement = Statement::NewView { view, chosen, min: Seq::ZERO, proposals: Vec::new() };
            let statement = sign(from, statement);
            let new_view = NewView { statement, proposals: Vec::new(), view_changes: Vec::new() };
            for message in [Message::Vote(sign(from, vote)), Message::NewView(Arc::new(new_view))] {
                let message = world.verified(message);
                self.turn(world, Input::Message { from, message });
            }
        }
    }

    /// Table D: started from the disk as a crash would leave it now, the replica refuses to contradict what it sent.
    fn check_cover(&mut self, world: &World) {
        let mut out = Outbox::new();
        let mut shadow = self.clone();
        if let Some(disk) = &mut shadow.disk {
            disk.unsynced.clear();
        }
        let replica = shadow.restarted(world, &mut out);
        let said = self.sent.iter().flat_map(|letter| &world.letters.get(*letter).says);
        let covered = said.map(contradiction_of).all(|statement| replica.objection(&statement).is_some());
        if !covered {
            self.history.broken.insert(Broken::Uncovered);
        }
    }

    /// Adds what this replica did to what the properties look at.
    pub(crate) fn summarise(&self, world: &World, summary: &mut Summary) {
        let history = &self.history;
        let executed = history.executed.iter();
        summary.executed.extend(executed.map(|(seq, digest)| (*seq, *digest)));
        summary.prepared.extend(&history.prepared);
        let accepted = history.accepted.iter();
        summary.accepted.extend(accepted.map(|(view, (min, proposals))| (*view, *min, proposals.clone())));
        summary.broken.extend(&history.broken);
        let said = self.sent.iter().flat_map(|letter| &world.letters.get(*letter).says);
        summary.commits.extend(said.filter_map(|statement| match statement {
            Statement::Commit { view, seq, digest } => Some((*view, *seq, *digest)),
            _ => None,
        }));
    }

    /// Whether others can see a difference.
    pub(crate) fn differs_visibly(&self, before: &Self) -> bool {
        self.sent != before.sent || self.crashes != before.crashes
    }
}

fn now(me: ReplicaId, expiries: u64) -> Now {
    Now { monotonic: Monotonic(LATER * (expiries + 1)), wall: Wall(WALL + u64::from(me.get() % 2)) }
}

fn contradict(first: &Statement, second: &Statement) -> bool {
    first.kind() == second.kind()
        && first.view() == second.view()
        && first.seq() == second.seq()
        && first != second
}

/// A statement that nobody makes who made this one.
fn contradiction_of(statement: &Statement) -> Statement {
    let other = Digest([0xEE; 32]);
    match statement.clone() {
        Statement::PrePrepare { view, seq, .. } => Statement::PrePrepare { view, seq, digest: other },
        Statement::Prepare { view, seq, .. } => Statement::Prepare { view, seq, digest: other },
        Statement::Commit { view, seq, .. } => Statement::Commit { view, seq, digest: other },
        Statement::Attest { seq, .. } => Statement::Attest { seq, header: other },
        Statement::Checkpoint { seq, .. } => Statement::Checkpoint { seq, header: other },
        Statement::ViewChange { view, base, base_proof, .. } => {
            Statement::ViewChange { view, base, base_proof, prepared: other }
        }
        Statement::NewView { view, chosen, min, .. } => {
            Statement::NewView { view, chosen, min, proposals: vec![other] }
        }
    }
}
