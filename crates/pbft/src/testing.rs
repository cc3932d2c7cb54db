//! A cluster of bare replicas for tests: messages wait in a queue until a test delivers or drops them, records are
//! durable when `release` says so, execution is a hash chain.

use crate::{
    Config, Effect, Execution, Input, Log, Outbox, Recovered, Replica, Report, Tuning, Verdict, release,
};
use quorate_crypto::{
    Cache, CheckedMessage, Claim, HashedTransaction, Signer, Verified, Verifier, null_batch_digest, sha256,
    verify_all, verify_one,
};
use quorate_types::{
    Block, BlockCertificate, CertifiedBlock, Digest, Epoch, Header, LedgerId, LedgerTime, Member, Members,
    Message, Monotonic, Now, Number, Outlook, Parameters, PublicKey, Record, ReplicaId, Reservation, Seq,
    SessionId, Signature, SignedStatement, SignedTransaction, Statement, Transaction, Wall,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A scheme that only tests may use: whoever knows the public key can sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TestKey(pub(crate) PublicKey);

fn tag(key: &PublicKey, bytes: &[u8]) -> Signature {
    let half = sha256(&[&key.0, bytes].concat());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&half.0);
    Signature(signature)
}

impl Signer for TestKey {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        tag(&self.0, bytes)
    }
}

struct TestVerifier;

impl Verifier for TestVerifier {
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        claims.iter().map(|claim| tag(&claim.key, &claim.message) == claim.signature).collect()
    }
}

pub(crate) fn members(n: u16) -> Members {
    let member = |id: u16| Member {
        name: format!("node{id}"),
        vote: key(id).0,
        transport: PublicKey(sha256(&[b"transport", &id.to_be_bytes()[..]].concat()).0),
        store: None,
    };
    Members::new(LedgerId([7; 32]), Epoch::ZERO, (n - 1) / 3, (0..n).map(member).collect()).expect("legal")
}

pub(crate) fn key(id: u16) -> TestKey {
    TestKey(PublicKey(sha256(&[b"vote", &id.to_be_bytes()[..]].concat()).0))
}

pub(crate) fn id(index: u16) -> ReplicaId {
    ReplicaId::new(index)
}

pub(crate) fn parameters() -> Parameters {
    Parameters { checkpoint_every: 4, window: 8, depth: 4, ..Parameters::default() }
}

pub(crate) fn transaction(client: u8, number: u64) -> SignedTransaction {
    let sender = PublicKey([client; 32]);
    let transaction = Transaction {
        ledger: LedgerId([7; 32]),
        sender,
        session: SessionId::new(1),
        number: Number::new(number),
        valid_until: LedgerTime(u64::MAX),
        app: "kv".into(),
        payload: vec![client],
    };
    let signature = tag(&sender, &transaction.signed_bytes());
    SignedTransaction { transaction, signature }
}

pub(crate) fn signed(signer: u16, statement: Statement) -> SignedStatement {
    let bytes = statement.signed_bytes(&LedgerId([7; 32]), Epoch::ZERO);
    let signature = key(signer).sign(&bytes);
    SignedStatement { epoch: Epoch::ZERO, signer: id(signer), statement, signature }
}

/// One durable log.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestLog {
    pub(crate) durable: Vec<Record>,
    pub(crate) unsynced: Vec<Record>,
}

impl Log for TestLog {
    type Error = std::convert::Infallible;

    fn append(&mut self, record: &Record) -> Result<(), Self::Error> {
        self.unsynced.push(record.clone());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Self::Error> {
        self.durable.append(&mut self.unsynced);
        Ok(())
    }

    fn compact(&mut self, records: &[Record]) -> Result<(), Self::Error> {
        self.unsynced.clear();
        self.durable = records.to_vec();
        Ok(())
    }
}

/// What survives a crash beside the log, and what does not.
pub(crate) struct Node {
    pub(crate) replica: Option<Replica<TestKey>>,
    pub(crate) log: TestLog,
    /// Executed blocks: header, header hash, batch.
    pub(crate) blocks: Vec<(Header, Digest, Option<Arc<quorate_crypto::HashedBatch>>)>,
    pub(crate) certificates: BTreeMap<Seq, BlockCertificate>,
    pub(crate) reports: Vec<Report>,
    starts: u8,
    /// Whether the members name its store (L2).
    pub(crate) may_vote: bool,
    /// Whether it has no state, not even that with which the epoch begins.
    pub(crate) blank: bool,
    /// The heights of states that it wanted stored.
    pub(crate) stored: Vec<Seq>,
    /// The last blocks of epochs that it said are over (G2).
    pub(crate) closed: Vec<Seq>,
    /// Peers in an older epoch, whom it wants to be sent its end.
    pub(crate) handovers: Vec<(ReplicaId, Epoch)>,
    /// What became durable of reservations in this run (D7).
    reserved: Option<Reservation>,
}

/// A batch that was handed over to a member's execution.
type Handed = (u16, Seq, Option<Arc<quorate_crypto::HashedBatch>>);

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) queue: VecDeque<(ReplicaId, ReplicaId, Message)>,
    pub(crate) now: Now,
    pub(crate) members: Members,
    pub(crate) parameters: Parameters,
    /// Every statement that ever left a replica.
    pub(crate) sent: Vec<SignedStatement>,
    /// The block that changes the members, and the last one of the epoch (G1).
    pub(crate) change: Option<(Seq, Seq)>,
    /// Batches that wait for [`Cluster::execute_next`], if execution is not immediate.
    pub(crate) held: Option<VecDeque<Handed>>,
    cache: Cache,
}

/// The last block of the epoch, as the state after block `seq` knows it.
fn closes(change: Option<(Seq, Seq)>, seq: Seq) -> Option<Seq> {
    change.filter(|(change, _)| *change <= seq).map(|(_, last)| last)
}

impl Cluster {
    /// `n` replicas that have said HELLO to each other.
    pub(crate) fn new(n: u16) -> Self {
        let mut cluster = Self::cold(n, parameters());
        cluster.deliver_all();
        assert!(cluster.nodes.iter().all(|node| node.status().hello_missing == 0));
        cluster
    }

    /// `n` replicas that have just started.
    pub(crate) fn cold(n: u16, parameters: Parameters) -> Self {
        Self::of(members(n), parameters)
    }

    /// These members, who have just started.
    pub(crate) fn of(members: Members, parameters: Parameters) -> Self {
        let n = members.count();
        let node = |_| Node {
            replica: None,
            log: TestLog::default(),
            blocks: Vec::new(),
            certificates: BTreeMap::new(),
            reports: Vec::new(),
            starts: 0,
            may_vote: true,
            blank: false,
            stored: Vec::new(),
            closed: Vec::new(),
            handovers: Vec::new(),
            reserved: None,
        };
        let now = Now { monotonic: Monotonic(1_000_000), wall: Wall(1_000_000) };
        let mut cluster = Self {
            nodes: (0..n).map(node).collect(),
            queue: VecDeque::new(),
            now,
            members,
            parameters,
            sent: Vec::new(),
            change: None,
            held: None,
            cache: Cache::new(1 << 14),
        };
        for member in 0..n {
            cluster.start(member);
        }
        cluster
    }

    pub(crate) fn start(&mut self, member: u16) {
        let node = &mut self.nodes[usize::from(member)];
        node.starts += 1;
        node.reserved = None;
        let config = Config {
            me: id(member),
            members: self.members.clone(),
            may_vote: node.may_vote,
            parameters: self.parameters.clone(),
            tuning: Tuning { gather_requests: 0, ..Tuning::default() },
            nonce: [node.starts; 32],
        };
        let records = verify_all(&self.members, &TestVerifier, &self.cache, node.log.durable.clone());
        let first = if node.blank { Seq::ZERO } else { self.members.after() };
        let begin = (first, Digest::ZERO, LedgerTime(0));
        let executed =
            node.blocks.last().map_or(begin, |(header, hash, _)| (header.height, *hash, header.time));
        let mut certified = first;
        while node.certificates.contains_key(&certified.next()) {
            certified = certified.next();
        }
        let recovered = Recovered {
            records: records.into_iter().map(|record| record.expect("own log")).collect(),
            executed,
            batches: node.blocks.iter().map(|(header, _, _)| (header.height, header.batch_digest)).collect(),
            certified,
            headers: node.blocks.iter().map(|(header, hash, _)| (header.height, *hash)).collect(),
            outlook: Outlook { obligation: None, closes: closes(self.change, executed.0) },
            disputed: Seq::ZERO,
        };
        let mut out = Outbox::new();
        node.replica = Some(Replica::start(config, key(member), recovered, self.now, &mut out));
        self.release(member, out);
    }

    /// Loses what is not durable: the process is gone.
    pub(crate) fn crash(&mut self, member: u16) {
        let node = &mut self.nodes[usize::from(member)];
        node.replica = None;
        node.log.unsynced.clear();
        self.queue.retain(|(_, to, _)| *to != id(member));
    }

    pub(crate) fn input(&mut self, member: u16, input: Input) -> Verdict {
        let mut out = Outbox::new();
        let Some(replica) = &mut self.nodes[usize::from(member)].replica else {
            return Verdict::Ignored(crate::Ignored::NotVoting);
        };
        let verdict = replica.handle(self.now, input, &mut out);
        self.release(member, out);
        verdict
    }

    fn release(&mut self, member: u16, mut out: Outbox) {
        let node = &mut self.nodes[usize::from(member)];
        let early = out.leave_early(node.reserved);
        let Ok(released) = release(&mut node.log, vec![out]);
        node.reserved = node.reserved.max(released.reserved);
        for effect in early.into_iter().chain(released.effects) {
            self.apply(member, effect);
        }
    }

    fn apply(&mut self, member: u16, effect: Effect) {
        match effect {
            Effect::Broadcast(message) => {
                for to in ReplicaId::all(self.members.count()).filter(|to| *to != id(member)) {
                    self.send(member, to, message.clone());
                }
            }
            Effect::Send { to, message } => self.send(member, to, message),
            Effect::Execute { seq, batch } => match &mut self.held {
                None => self.execute(member, seq, batch),
                Some(held) => held.push_back((member, seq, batch)),
            },
            Effect::CloseEpoch { last } => self.nodes[usize::from(member)].closed.push(last),
            Effect::SupplyHandover { to, epoch } => {
                self.nodes[usize::from(member)].handovers.push((to, epoch));
            }
            Effect::MakeDurable { seq } => {
                let _ = self.input(member, Input::CheckpointDurable { seq });
            }
            Effect::Certified(certificate) => {
                self.nodes[usize::from(member)].certificates.insert(certificate.height, certificate);
            }
            Effect::SupplyBlocks { to, from } => self.supply(member, to, from),
            // These members keep no state.
            Effect::StoreState { seq, .. } => self.nodes[usize::from(member)].stored.push(seq),
            Effect::SupplyState { .. } | Effect::InstallState { .. } => {}
            Effect::Report(report) => self.nodes[usize::from(member)].reports.push(report),
        }
    }

    fn send(&mut self, from: u16, to: ReplicaId, message: Message) {
        match &message {
            Message::Vote(signed) => self.sent.push(signed.clone()),
            Message::Proposal(proposal) => self.sent.push(proposal.pre_prepare.clone()),
            Message::ViewChange(view_change) => self.sent.push(view_change.statement.clone()),
            Message::NewView(new_view) => self.sent.push(new_view.statement.clone()),
            _ => {}
        }
        self.queue.push_back((id(from), to, message));
    }

    fn execute(&mut self, member: u16, seq: Seq, batch: Option<Arc<quorate_crypto::HashedBatch>>) {
        let node = &mut self.nodes[usize::from(member)];
        let (parent, parent_time) = node
            .blocks
            .last()
            .map_or((Digest::ZERO, LedgerTime(0)), |(header, hash, _)| (*hash, header.time));
        let time = batch.as_ref().map_or(parent_time, |batch| parent_time.max(batch.batch().time));
        let header = Header {
            ledger: LedgerId([7; 32]),
            epoch: Epoch::ZERO,
            height: seq,
            parent,
            time,
            batch_digest: batch.as_ref().map_or_else(null_batch_digest, |batch| batch.digest()),
            transactions_root: Digest::ZERO,
            results_root: Digest::ZERO,
            state_root: Digest::ZERO,
            members_hash: Digest::ZERO,
            transaction_count: 0,
        };
        let header_hash = quorate_crypto::header_hash(&header);
        let consumed = batch
            .iter()
            .flat_map(|batch| batch.batch().transactions.iter())
            .map(|signed| (signed.transaction.sender, signed.transaction.session, signed.transaction.number))
            .collect();
        node.blocks.push((header, header_hash, batch));
        let outlook = Outlook { obligation: None, closes: closes(self.change, seq) };
        let execution = Execution { seq, header_hash, time, consumed, outlook };
        let _ = self.input(member, Input::Executed(execution));
    }

    /// Executes what waits longest at each member.
    pub(crate) fn execute_next(&mut self) {
        for member in 0..self.members.count() {
            let held = self.held.as_mut().expect("execution is held");
            let next = held.iter().position(|(of, _, _)| *of == member);
            if let Some((_, seq, batch)) = next.and_then(|next| held.remove(next)) {
                self.execute(member, seq, batch);
            }
        }
    }

    fn supply(&mut self, member: u16, to: ReplicaId, from: Seq) {
        let node = &self.nodes[usize::from(member)];
        let blocks: Vec<Message> = node
            .blocks
            .iter()
            .filter(|(header, _, _)| header.height >= from)
            .take(8)
            .map_while(|(header, _, batch)| {
                let certificate = node.certificates.get(&header.height)?.clone();
                let batch = batch.as_ref().map(|batch| batch.batch().clone());
                let block = Block { header: header.clone(), batch };
                Some(Message::Block(Arc::new(CertifiedBlock { block, links: Vec::new(), certificate })))
            })
            .collect();
        for block in blocks {
            self.send(member, to, block);
        }
    }

    pub(crate) fn verified(&self, message: Message) -> Verified<CheckedMessage> {
        verify_one(&self.members, &TestVerifier, &self.cache, message).expect("signatures of test keys")
    }

    /// Hands a message over as if `from` had sent it.
    pub(crate) fn hand(&mut self, from: u16, to: u16, message: Message) -> Verdict {
        let message = self.verified(message);
        self.input(to, Input::Message { from: id(from), message })
    }

    /// Delivers the message at this place of the queue.
    pub(crate) fn deliver_at(&mut self, index: usize) {
        if let Some((from, to, message)) = self.queue.remove(index) {
            let _ = self.hand(from.get(), to.get(), message);
        }
    }

    /// Delivers, in order, what `keep` lets through; the rest is lost. Ends when nothing waits.
    pub(crate) fn deliver_if(&mut self, keep: impl Fn(ReplicaId, ReplicaId, &Message) -> bool) {
        for _ in 0..200_000 {
            let Some((from, to, message)) = self.queue.pop_front() else { return };
            if keep(from, to, &message) {
                let _ = self.hand(from.get(), to.get(), message);
            }
        }
        panic!("the cluster does not come to rest");
    }

    pub(crate) fn deliver_all(&mut self) {
        self.deliver_if(|_, _, _| true);
    }

    pub(crate) fn request(&mut self, member: u16, signed: SignedTransaction) {
        let request =
            verify_one(&self.members, &TestVerifier, &self.cache, signed).expect("signed by a test client");
        let _: &HashedTransaction = &request;
        let _ = self.input(member, Input::Requests(vec![request]));
    }

    pub(crate) fn advance(&mut self, duration: Duration) {
        self.now.monotonic = self.now.monotonic.plus(duration);
        self.now.wall = Wall(self.now.wall.0 + u64::try_from(duration.as_millis()).expect("small"));
        for member in 0..self.members.count() {
            let due = self.nodes[usize::from(member)].replica.as_ref().and_then(Replica::next_deadline);
            if due.is_some_and(|at| at <= self.now.monotonic) {
                let _ = self.input(member, Input::Deadline);
            }
        }
    }

    /// Lets time pass in small steps, delivering everything in between, until `done` or a bound.
    pub(crate) fn run_until(&mut self, bound: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let steps = bound.as_millis() / 10;
        for _ in 0..steps {
            self.deliver_all();
            if done(self) {
                return true;
            }
            self.advance(Duration::from_millis(10));
        }
        self.deliver_all();
        done(self)
    }

    pub(crate) fn executed(&self, member: u16) -> u64 {
        self.nodes[usize::from(member)].status().executed.get()
    }

    pub(crate) fn waits(&self, member: u16) -> crate::Waits {
        let node = &self.nodes[usize::from(member)];
        node.replica.as_ref().expect("it runs").waits(self.now.monotonic)
    }

    pub(crate) fn status(&self, member: u16) -> crate::ReplicaStatus {
        self.nodes[usize::from(member)].status()
    }

    /// Executed prefixes agree, and no member said two things of one slot or view across its restarts.
    pub(crate) fn assert_safe(&self) {
        for pair in self.nodes.windows(2) {
            for (a, b) in pair[0].blocks.iter().zip(&pair[1].blocks) {
                assert_eq!(a.1, b.1, "S1: two ledgers differ at {}", a.0.height);
            }
        }
        let mut said: BTreeMap<(ReplicaId, String), &Statement> = BTreeMap::new();
        for signed in &self.sent {
            let statement = &signed.statement;
            let place = format!("{:?} {:?} {:?}", statement.kind(), statement.view(), statement.seq());
            let earlier = said.insert((signed.signer, place), statement);
            assert!(earlier.is_none_or(|earlier| earlier == statement), "S6: {earlier:?} then {statement:?}");
        }
    }
}

impl Node {
    pub(crate) fn status(&self) -> crate::ReplicaStatus {
        self.replica.as_ref().expect("running").status()
    }
}
