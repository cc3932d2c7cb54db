//! Clients of a Twins scenario: each request goes to two processes at once, twins included, so that the copies of a member
//! learn of requests in different orders; while no outcome comes, it is sent again elsewhere.

use crate::cluster::{Cluster, StoredOutcome};
use quorate_engine::Answer;
use quorate_types::{ErrorCode, Operation, Operations, ReplicaId, SignedTransaction};
use std::collections::BTreeMap;

/// Clients, each with a session of its own.
pub(super) const CLIENTS: usize = 2;
/// Requests that wait at once.
const UNDER_WAY: usize = 3;

#[derive(Debug)]
struct Waiting {
    transaction: SignedTransaction,
    /// Virtual time of the next attempt.
    again: u64,
}

/// Every request of a run.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    tokens: BTreeMap<u64, (ReplicaId, u64)>,
    pub(super) answered: u64,
}

impl Requests {
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes answers, makes new requests if there may be more, repeats old ones.
    pub(super) fn act(&mut self, cluster: &mut Cluster, more: bool) {
        while let Some((token, answer)) = cluster.answers.pop_front() {
            self.on_answer(cluster, token, &answer);
        }
        while more && self.waiting.len() < UNDER_WAY {
            self.make(cluster);
        }
        let now = cluster.now();
        let due: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.again <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            self.send(cluster, number);
        }
    }

    fn make(&mut self, cluster: &Cluster) {
        let number = self.next;
        self.next += 1;
        let client = usize::try_from(number).unwrap_or(0) % CLIENTS;
        let (key, value) = (b"k".to_vec(), number.to_be_bytes().to_vec());
        // Reads and conditional writes of one key: the order shows in the results.
        let operation = match number % 3 {
            0 => Operation::Put { key, value },
            1 => Operation::Cas { key, expected: Some((number - 1).to_be_bytes().to_vec()), value },
            _ => Operation::Get { key },
        };
        let place = (1, number / CLIENTS as u64);
        let transaction = cluster.transaction(client, place, 1_800_000, &Operations(vec![operation]));
        self.waiting.insert(number, Waiting { transaction, again: cluster.now() });
    }

    fn send(&mut self, cluster: &mut Cluster, number: u64) {
        let Some(waiting) = self.waiting.get_mut(&number) else { return };
        waiting.again = cluster.now() + cluster.random.between(150_000, 450_000);
        let up: Vec<ReplicaId> = cluster.instances().filter(|instance| cluster.is_up(*instance)).collect();
        for _ in 0..2 {
            if up.is_empty() {
                return;
            }
            let gateway = cluster.random.pick(&up);
            // A submission may crash its gateway.
            if cluster.is_up(gateway) {
                let token = cluster.submit(gateway, waiting.transaction.clone());
                self.tokens.insert(token, (gateway, number));
            }
        }
    }

    fn on_answer(&mut self, cluster: &mut Cluster, token: u64, answer: &Answer) {
        let Some((gateway, number)) = self.tokens.remove(&token) else { return };
        let Some(waiting) = self.waiting.get_mut(&number) else { return };
        cluster.checkers.answered(&waiting.transaction, answer);
        let done = match answer {
            Answer::Outcome(_) | Answer::Superseded(_) => true,
            Answer::Refused(refusal) => {
                waiting.again = cluster.now() + u64::from(refusal.retry_after_ms.max(100)) * 1_000;
                refusal.code == ErrorCode::NumberUsed
                    && cluster.stored_outcome(gateway, &waiting.transaction) == StoredOutcome::Proven
            }
        };
        if done {
            self.waiting.remove(&number);
            self.answered += 1;
        }
    }
}
