//! What n costs: the real protocol in the simulator, with a cost for each step.

use quorate_simulator::cluster::Network;
use quorate_simulator::{Answer, Cluster, Costs, LinkFaults, Meter, Setup};
use quorate_types::{Operation, Operations, Parameters, ReplicaId};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Members of the clusters that are looked at.
const SIZES: [u16; 8] = [4, 7, 10, 13, 16, 19, 25, 31];
/// Clients of all gateways together: enough for full batches.
const CLIENTS: u32 = 1_600;
/// Transactions of a full batch.
const BATCH: u32 = 400;
const WARM_UP: Duration = Duration::from_secs(1);

/// Where the members are.
struct Place {
    name: &'static str,
    /// Microseconds one way.
    delay: u64,
    /// Bytes a second.
    line: u64,
}

const PLACES: [Place; 2] = [
    Place { name: "one site: 0.1 ms, 10 Gbit/s", delay: 100, line: 1_250_000_000 },
    Place { name: "far apart: 25 ms, 1 Gbit/s", delay: 25_000, line: 125_000_000 },
];

/// CPU of steps, in nanoseconds: estimates from profiles of four real replicas, not yet held against larger clusters.
fn estimated(line: u64) -> Costs {
    Costs {
        verify: 21_000,
        sign: 20_000,
        message: 14_000,
        kib: 2_000,
        transaction: 42_000,
        block: 300_000,
        call: 25_000,
        line,
    }
}

/// What a run came to.
struct Predicted {
    throughput: f64,
    p50: f64,
    per_block: f64,
    /// Messages of all members for each block.
    messages: f64,
    /// CPU of the primary, and of the mean backup, in microseconds for each transaction.
    primary: f64,
    backup: f64,
}

/// One row for each size and place.
pub(crate) fn run() -> String {
    let mut text = String::from(
        "| members | where | tx/s | p50, ms | transactions in a block | messages for a block | CPU of the primary for a transaction, µs | of a backup, µs |\n|---|---|---|---|---|---|---|---|\n",
    );
    for place in &PLACES {
        for n in SIZES {
            let predicted = Run::new(n, place, CLIENTS, BATCH).predict(Duration::from_secs(3));
            let row = format!(
                "| {n} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} |",
                place.name,
                predicted.throughput,
                predicted.p50,
                predicted.per_block,
                predicted.messages,
                predicted.primary,
                predicted.backup,
            );
            eprintln!("{row}");
            let _ = writeln!(text, "{row}");
        }
    }
    text
}

struct Run {
    n: u16,
    cluster: Cluster,
    /// The client that waits under a token, and since when.
    waiting: BTreeMap<u64, (u32, u64)>,
    next: Vec<u64>,
    latencies: Vec<u64>,
}

impl Run {
    fn new(n: u16, place: &Place, clients: u32, batch: u32) -> Self {
        let parameters = Parameters { block_max_transactions: batch, ..Parameters::default() };
        let setup = Setup { parameters, clients: 16, ..Setup::of(n) };
        let network = Network::Automatic(LinkFaults { min_delay: place.delay, ..LinkFaults::default() });
        let mut cluster = Cluster::new(&setup, network, 1);
        cluster.set_durability_checks(0);
        for member in ReplicaId::all(n) {
            cluster.start(member);
        }
        cluster.run_for(Duration::from_secs(1));
        cluster.set_costs(estimated(place.line));
        Self { n, cluster, waiting: BTreeMap::new(), next: vec![0; clients as usize], latencies: Vec::new() }
    }

    fn submit(&mut self, client: u32) {
        let number = &mut self.next[client as usize];
        // Few keys: the checkers' own ledger, written to be understood, copies its state for each block.
        let key = format!("{}", client % 64).into_bytes();
        let put = Operations(vec![Operation::Put { key, value: vec![7; 128] }]);
        let session = (u64::from(client / 16), *number);
        let transaction = self.cluster.transaction(client as usize % 16, session, 600_000, &put);
        *number += 1;
        let gateway = ReplicaId::new(u16::try_from(client % u32::from(self.n)).expect("a member"));
        let token = self.cluster.submit(gateway, transaction);
        self.waiting.insert(token, (client, self.cluster.now()));
    }

    fn hear(&mut self) {
        while let Some((token, answer)) = self.cluster.answers.pop_front() {
            let Some((client, since)) = self.waiting.remove(&token) else { continue };
            assert!(matches!(answer, Answer::Outcome(_)), "a transaction of a fair run has an outcome");
            self.latencies.push(self.cluster.now() - since);
            self.submit(client);
        }
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.cluster.now() + u64::try_from(duration.as_micros()).expect("short");
        while self.cluster.now() < end {
            self.cluster.run_for(Duration::from_micros(200));
            self.hear();
        }
    }

    fn height(&self) -> u64 {
        self.cluster.status(ReplicaId::new(0)).map_or(0, |status| status.executed.get())
    }

    fn predict(mut self, duration: Duration) -> Predicted {
        for client in 0..u32::try_from(self.next.len()).expect("few") {
            self.submit(client);
        }
        self.run_for(WARM_UP);
        self.latencies.clear();
        let (meters, height): (Vec<Meter>, u64) = (self.cluster.meters().to_vec(), self.height());
        self.run_for(duration);
        let violations = &self.cluster.checkers.violations;
        assert!(violations.is_empty(), "{violations:?}");
        let transactions = self.latencies.len() as f64;
        let blocks = (self.height() - height) as f64;
        let spent: Vec<f64> = self
            .cluster
            .meters()
            .iter()
            .zip(&meters)
            .map(|(after, before)| (after.spent - before.spent) as f64 / 1_000.0 / transactions)
            .collect();
        let messages: u64 = self
            .cluster
            .meters()
            .iter()
            .zip(&meters)
            .map(|(after, before)| after.messages - before.messages)
            .sum();
        self.latencies.sort_unstable();
        Predicted {
            throughput: transactions / duration.as_secs_f64(),
            p50: self
                .latencies
                .get(self.latencies.len() / 2)
                .map_or(f64::NAN, |micros| *micros as f64 / 1_000.0),
            per_block: transactions / blocks,
            messages: messages as f64 / blocks,
            primary: spent[0],
            backup: spent[1..].iter().sum::<f64>() / f64::from(self.n - 1),
        }
    }
}
