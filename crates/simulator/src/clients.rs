//! Clients: each keeps some transactions under way, sends them again elsewhere while no outcome comes, and now and then
//! misbehaves within its rights.

use crate::cluster::{Cluster, StoredOutcome};
use crate::random::Random;
use quorate_engine::Answer;
use quorate_types::{ErrorCode, Governance, Operation, Operations, ReplicaId, SignedTransaction};
use std::collections::BTreeMap;

/// What clients do.
#[derive(Clone, Debug)]
pub struct Workload {
    pub clients: usize,
    /// Transactions that a client keeps under way.
    pub under_way: usize,
    /// Of a thousand steps, so many start another one.
    pub starts: u64,
    /// Clients are busy for a second and idle for the next.
    pub burst: bool,
    /// How many keys there are: few make them hot.
    pub keys: u64,
    /// Bytes added to every value.
    pub value_bytes: usize,
    /// Of a thousand new transactions, so many have a rival with the same number (byzantine 43).
    pub rivals: u64,
    /// Of a thousand sends, so many go to a second gateway at once.
    pub copies: u64,
    /// Of a thousand steps, so many bring a transaction that can never commit (byzantine 44, 45).
    pub nonsense: u64,
}

/// A transaction whose client waits.
#[derive(Clone, Debug)]
struct Waiting {
    transaction: SignedTransaction,
    /// Virtual time of the next attempt.
    again: u64,
}

/// All clients of a run.
#[derive(Debug)]
pub(crate) struct Clients {
    workload: Workload,
    next: Vec<u64>,
    waiting: BTreeMap<(usize, u64, u8), Waiting>,
    tokens: BTreeMap<u64, (ReplicaId, (usize, u64, u8))>,
    pub(crate) answered: u64,
    pub(crate) stopped: bool,
}

impl Clients {
    pub(crate) fn new(workload: Workload) -> Self {
        Self {
            // The last one is the operator.
            next: vec![0; workload.clients + 1],
            workload,
            waiting: BTreeMap::new(),
            tokens: BTreeMap::new(),
            answered: 0,
            stopped: false,
        }
    }

    /// Where each client is: what it starts from now on has at least this number.
    pub(crate) fn marks(&self) -> Vec<u64> {
        self.next.clone()
    }

    /// Transactions that were started before these marks and still wait.
    pub(crate) fn waiting_since(&self, marks: &[u64]) -> usize {
        self.waiting.keys().filter(|(client, number, _)| *number < marks[*client]).count()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The operator asks for a change of the members.
    pub(crate) fn petition(&mut self, cluster: &Cluster, asked: &Governance) {
        let operator = self.workload.clients;
        let number = self.next[operator];
        self.next[operator] += 1;
        let transaction = cluster.petition(number, asked);
        self.waiting.insert((operator, number, 0), Waiting { transaction, again: cluster.now() });
    }

    /// Whether the operator waits for an answer.
    pub(crate) fn petitioning(&self) -> bool {
        self.waiting.keys().any(|(client, _, _)| *client == self.workload.clients)
    }

    /// Takes answers, starts new transactions, repeats old ones.
    pub(crate) fn act(&mut self, cluster: &mut Cluster) {
        while let Some((token, answer)) = cluster.answers.pop_front() {
            self.on_answer(cluster, token, &answer);
        }
        let idle = self.stopped || (self.workload.burst && cluster.now() / 1_000_000 % 2 == 1);
        for client in 0..self.workload.clients {
            let busy = self.waiting.range((client, 0, 0)..=(client, u64::MAX, u8::MAX)).count();
            let another = busy < self.workload.under_way && cluster.random.permille(self.workload.starts);
            if another && !idle {
                self.start(cluster, client);
            }
        }
        if !self.stopped && cluster.random.permille(self.workload.nonsense) {
            self.send_nonsense(cluster);
        }
        let now = cluster.now();
        let due: Vec<_> =
            self.waiting.iter().filter(|(_, waiting)| waiting.again <= now).map(|(key, _)| *key).collect();
        for key in due {
            self.send(cluster, key);
        }
    }

    fn start(&mut self, cluster: &mut Cluster, client: usize) {
        let number = self.next[client];
        self.next[client] += 1;
        let rivals = if cluster.random.permille(self.workload.rivals) { 2 } else { 1 };
        for rival in 0..rivals {
            let operations = operations(&mut cluster.random, &self.workload, (client, number, rival));
            let transaction = cluster.transaction(client, (1, number), 1_800_000, &operations);
            let again = cluster.now();
            self.waiting.insert((client, number, rival), Waiting { transaction, again });
        }
    }

    /// A number that no session reaches, or a signature that is not of these bytes, also where the same bytes went with a
    /// good one (byzantine 44, 45): neither may ever be taken.
    fn send_nonsense(&self, cluster: &mut Cluster) {
        let client = cluster.random.index(self.workload.clients);
        let operations = operations(&mut cluster.random, &self.workload, (client, 0, 9));
        let mut transaction = cluster.transaction(client, (1, u64::MAX), 1_800_000, &operations);
        let known = self.waiting.values().next().map(|waiting| waiting.transaction.clone());
        if let Some(known) = known.filter(|_| cluster.random.permille(500)) {
            transaction = known;
            transaction.signature.0[20] ^= 1;
        }
        let gateway = gateway(cluster);
        cluster.submit_nonsense(gateway, transaction);
    }

    fn send(&mut self, cluster: &mut Cluster, key: (usize, u64, u8)) {
        let pause = cluster.random.between(300_000, 1_200_000);
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        waiting.again = cluster.now() + pause;
        let copies = if cluster.random.permille(self.workload.copies) { 2 } else { 1 };
        for _ in 0..copies {
            let gateway = gateway(cluster);
            if cluster.is_up(gateway) {
                let token = cluster.submit(gateway, waiting.transaction.clone());
                self.tokens.insert(token, (gateway, key));
            }
        }
    }

    fn on_answer(&mut self, cluster: &mut Cluster, token: u64, answer: &Answer) {
        let Some((gateway, key)) = self.tokens.remove(&token) else { return };
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        cluster.checkers.answered(&waiting.transaction, answer);
        match answer {
            Answer::Outcome(_) | Answer::Superseded(_) => {
                self.waiting.remove(&key);
                self.answered += 1;
            }
            // A gateway that has restarted looks into its store for who took the number, as a node does.
            Answer::Refused(refusal) if refusal.code == ErrorCode::NumberUsed => {
                let done = match cluster.stored_outcome(gateway, &waiting.transaction) {
                    StoredOutcome::Proven => true,
                    StoredOutcome::Pending => false,
                    // Others may keep more blocks.
                    StoredOutcome::Pruned => cluster.is_outcome_pruned(&waiting.transaction),
                };
                if done {
                    self.waiting.remove(&key);
                    self.answered += 1;
                } else {
                    waiting.again = cluster.now() + 500_000;
                }
            }
            Answer::Refused(refusal) => {
                waiting.again = cluster.now() + u64::from(refusal.retry_after_ms.max(100)) * 1_000;
            }
        }
    }
}

/// Any member.
fn gateway(cluster: &mut Cluster) -> ReplicaId {
    let n = u64::from(cluster.members().count());
    ReplicaId::new(u16::try_from(cluster.random.below(n)).unwrap_or(0))
}

/// Reads and writes of a few shared keys, so that the order shows in the results.
fn operations(
    random: &mut Random,
    workload: &Workload,
    (client, number, rival): (usize, u64, u8),
) -> Operations {
    let key = |random: &mut Random| format!("key{}", random.below(workload.keys)).into_bytes();
    let mut value = format!("{client}/{number}/{rival}").into_bytes();
    value.resize(value.len() + workload.value_bytes, b'.');
    let operation = match random.below(6) {
        0 => Operation::Get { key: key(random) },
        1 => Operation::Delete { key: key(random) },
        2 => Operation::PutIfAbsent { key: key(random), value },
        3 => Operation::Cas { key: key(random), expected: None, value },
        4 => Operation::Append { topic: b"log".to_vec(), entry: value },
        _ => Operation::Put { key: key(random), value },
    };
    Operations(vec![operation])
}
