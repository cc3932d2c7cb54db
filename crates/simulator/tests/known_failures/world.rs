//! A cluster whose network a test drives, and clients that ask again until they are answered.

use quorate_engine::Answer;
use quorate_pbft::{Phase, ReplicaStatus};
use quorate_simulator::cluster::{InFlight, Network, StoredOutcome};
use quorate_simulator::{Cluster, Random, Setup};
use quorate_types::{Governance, Operation, Operations, Parameters, ReplicaId, SignedTransaction};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const STEP: Duration = Duration::from_millis(10);
/// Steps after which a client that has no outcome asks another gateway.
const PATIENCE: u64 = 30;

pub(crate) fn id(member: u16) -> ReplicaId {
    ReplicaId::new(member)
}

/// Small checkpoints, so that windows pass quickly.
pub(crate) fn small() -> Parameters {
    Parameters {
        checkpoint_every: 2,
        window: 4,
        depth: 2,
        view_timeout_ms: 400,
        view_timeout_max_ms: 3_200,
        ..Parameters::default()
    }
}

struct Waiting {
    transaction: SignedTransaction,
    again: u64,
}

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) n: u16,
    random: Random,
    /// Whether messages arrive in any order.
    pub(crate) shuffled: bool,
    /// Members whose messages are lost in both directions.
    pub(crate) cut: BTreeSet<ReplicaId>,
    /// Members that stay down or lie: nobody waits for them.
    pub(crate) lost: BTreeSet<ReplicaId>,
    waiting: BTreeMap<u64, Waiting>,
    tokens: BTreeMap<u64, (ReplicaId, u64)>,
    next: u64,
    petitions: u64,
    steps: u64,
    pub(crate) answered: u64,
}

impl World {
    pub(crate) fn new(n: u16, parameters: Parameters, seed: u64) -> Self {
        let setup = Setup { parameters, ..Setup::of(n) };
        let mut cluster = Cluster::new(&setup, Network::Manual(VecDeque::new()), seed);
        cluster.set_gather_requests(0);
        for member in ReplicaId::all(n) {
            cluster.start(member);
        }
        let mut world = Self {
            cluster,
            n,
            random: Random::new(seed),
            shuffled: false,
            cut: BTreeSet::new(),
            lost: BTreeSet::new(),
            waiting: BTreeMap::new(),
            tokens: BTreeMap::new(),
            next: 0,
            petitions: 0,
            steps: 0,
            answered: 0,
        };
        world.deliver(&mut |_| true);
        world
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        ReplicaId::all(self.n)
    }

    /// Members that are up, reached and honest.
    pub(crate) fn present(&self) -> Vec<ReplicaStatus> {
        self.members()
            .filter(|member| !self.cut.contains(member) && !self.lost.contains(member))
            .filter_map(|member| self.cluster.status(member))
            .collect()
    }

    pub(crate) fn status(&self, member: u16) -> ReplicaStatus {
        self.cluster.status(id(member)).unwrap_or_else(|| panic!("{member} is down"))
    }

    /// The primary of the highest view that anyone present is in.
    pub(crate) fn primary(&self) -> ReplicaId {
        self.present().iter().max_by_key(|status| status.view).expect("someone is present").primary
    }

    fn waiting_for(&mut self) -> Option<&mut VecDeque<InFlight>> {
        match &mut self.cluster.network {
            Network::Manual(waiting) => Some(waiting),
            Network::Automatic(_) => None,
        }
    }

    /// The next message, if there is one.
    pub(crate) fn take(&mut self) -> Option<InFlight> {
        self.cluster.settle();
        loop {
            let pick = if self.shuffled { self.random.any() } else { 0 };
            let waiting = self.waiting_for()?;
            let place = pick.checked_rem(waiting.len() as u64).unwrap_or(0);
            let message = waiting.remove(usize::try_from(place).unwrap())?;
            if !self.cut.contains(&message.from) && !self.cut.contains(&message.to) {
                return Some(message);
            }
        }
    }

    /// Delivers everything; what the filter does not keep is lost.
    pub(crate) fn deliver(&mut self, keep: &mut dyn FnMut(&InFlight) -> bool) {
        for _ in 0..200_000 {
            let Some(message) = self.take() else { return };
            if keep(&message) {
                self.cluster.deliver(&message);
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Ten milliseconds, in which everything that the filter keeps is delivered.
    pub(crate) fn step_with(&mut self, keep: &mut dyn FnMut(&InFlight) -> bool) {
        self.deliver(keep);
        self.pass();
        self.deliver(keep);
    }

    /// Ten milliseconds, in which clients ask and hear, and what replicas say waits.
    pub(crate) fn pass(&mut self) {
        self.steps += 1;
        self.ask_again();
        self.cluster.run_for(STEP);
        self.cluster.look();
        self.hear();
        let violations = &self.cluster.checkers.violations;
        assert!(violations.is_empty(), "{violations:?}");
    }

    pub(crate) fn step(&mut self) {
        self.step_with(&mut |_| true);
    }

    pub(crate) fn run(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.step();
        }
    }

    /// Lets time pass until something is so.
    ///
    /// # Panics
    /// If it is not within so much virtual time.
    pub(crate) fn until(&mut self, what: &str, within: Duration, done: impl Fn(&Self) -> bool) {
        for _ in 0..within.as_millis() / STEP.as_millis() {
            if done(self) {
                return;
            }
            self.step();
        }
        let position: Vec<_> = self.members().map(|member| self.cluster.status(member)).collect();
        assert!(done(self), "after {within:?} not so: {what}; {} wait; {position:#?}", self.waiting.len());
    }

    /// A new transaction through this gateway. Returns its number.
    pub(crate) fn submit(&mut self, gateway: ReplicaId) -> u64 {
        let number = self.next;
        let key = format!("key{}", number % 7).into_bytes();
        self.submit_put(gateway, key, number.to_be_bytes().to_vec())
    }

    /// A new transaction that puts this. Returns its number.
    pub(crate) fn submit_put(&mut self, gateway: ReplicaId, key: Vec<u8>, value: Vec<u8>) -> u64 {
        let number = self.next;
        self.next += 1;
        let put = Operation::Put { key, value };
        // Several clients, one after the other.
        let client = usize::try_from(number % 4).unwrap();
        let transaction =
            self.cluster.transaction(client, (1, number / 4), 3_000_000, &Operations(vec![put]));
        let again = self.steps + PATIENCE;
        self.waiting.insert(number, Waiting { transaction, again });
        self.send(gateway, number);
        number
    }

    /// The operator asks for a change of the members through this gateway, until it is answered.
    pub(crate) fn petition(&mut self, gateway: ReplicaId, asked: &Governance) -> u64 {
        // Numbers of its own: what is left out among those of the clients would fill up their windows.
        self.petitions += 1;
        let number = (1 << 40) + self.petitions;
        let transaction = self.cluster.petition(number, asked);
        let again = self.steps + PATIENCE;
        self.waiting.insert(number, Waiting { transaction, again });
        self.send(gateway, number);
        number
    }

    /// Whether this one still waits for its outcome.
    pub(crate) fn waits_for(&self, number: u64) -> bool {
        self.waiting.contains_key(&number)
    }

    fn send(&mut self, gateway: ReplicaId, number: u64) {
        if !self.cluster.is_up(gateway) {
            return;
        }
        let transaction = self.waiting[&number].transaction.clone();
        let token = self.cluster.submit(gateway, transaction);
        self.tokens.insert(token, (gateway, number));
    }

    /// Keeps so many transactions under way, each at any gateway that is present.
    pub(crate) fn load(&mut self, count: usize) {
        let gateways = self.gateways();
        while self.waiting.len() < count && !gateways.is_empty() {
            let gateway = gateways[self.random.index(gateways.len())];
            self.submit(gateway);
        }
    }

    fn gateways(&self) -> Vec<ReplicaId> {
        self.present().iter().map(|status| status.me).collect()
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.waiting.len()
    }

    /// No client asks again from here on.
    pub(crate) fn no_new_traffic(&mut self) {
        for waiting in self.waiting.values_mut() {
            waiting.again = u64::MAX;
        }
    }

    /// Whoever has no outcome asks again at once.
    pub(crate) fn ask_everyone_again(&mut self) {
        for waiting in self.waiting.values_mut() {
            waiting.again = 0;
        }
    }

    fn ask_again(&mut self) {
        let gateways = self.gateways();
        let due: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.again <= self.steps)
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            if let Some(waiting) = self.waiting.get_mut(&number) {
                waiting.again = self.steps + PATIENCE;
            }
            if !gateways.is_empty() {
                let gateway = gateways[self.random.index(gateways.len())];
                self.send(gateway, number);
            }
        }
    }

    fn hear(&mut self) {
        while let Some((token, answer)) = self.cluster.answers.pop_front() {
            let Some((gateway, number)) = self.tokens.remove(&token) else { continue };
            let Some(waiting) = self.waiting.get(&number) else { continue };
            let transaction = waiting.transaction.clone();
            self.cluster.checkers.answered(&transaction, &answer);
            let done = match answer {
                Answer::Outcome(_) | Answer::Superseded(_) => true,
                // A gateway that has restarted looks into its store for who took the number.
                Answer::Refused(_) => match self.cluster.stored_outcome(gateway, &transaction) {
                    StoredOutcome::Proven => true,
                    StoredOutcome::Pending => false,
                    StoredOutcome::Pruned => self.cluster.is_outcome_pruned(&transaction),
                },
            };
            if done {
                self.waiting.remove(&number);
                self.answered += 1;
            }
        }
    }

    /// Everyone present is active in one view and has executed the same blocks.
    pub(crate) fn agreed(&self) -> bool {
        let present = self.present();
        let one = |of: fn(&ReplicaStatus) -> u64| present.iter().map(of).collect::<BTreeSet<_>>().len() == 1;
        present.iter().all(|status| status.phase == Phase::Normal)
            && one(|status| status.view.get())
            && one(|status| status.executed.get())
    }

    pub(crate) fn restart(&mut self, member: ReplicaId) {
        self.cluster.crash(member);
        self.cluster.start(member);
    }
}
