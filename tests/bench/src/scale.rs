//! What n costs: the real protocol in the simulator, with a cost for each step, held against real replicas.

use crate::net::Net;
use crate::processes::{Running, cpu_seconds};
use crate::scrape;
use quorate_simulator::cluster::Network;
use quorate_simulator::{Answer, Cluster, Costs, LinkFaults, Meter, Setup};
use quorate_types::{Operation, Operations, Parameters, ReplicaId};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
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

/// What real replicas cost under the load of so many clients, beside the model in a cluster of its own with about as many
/// transactions in a block.
struct Beside {
    n: u16,
    real: Measured,
    model: Measured,
}

/// CPU in microseconds for each transaction.
struct Measured {
    per_block: f64,
    messages: f64,
    primary: f64,
    backup: f64,
}

/// Real clusters that the model is held against: four and seven replicas on this machine.
///
/// # Errors
/// If a command fails.
fn beside(program: &Path) -> Result<Vec<Beside>, String> {
    const CLIENTS: u32 = 256;
    let mut found = Vec::new();
    for n in [4, 7] {
        let real = real(program, n, CLIENTS)?;
        let predicted = [16, 32, 64, 128, 256, 512]
            .map(|clients| Run::new(n, &PLACES[0], clients, BATCH).predict(Duration::from_secs(2)));
        let distance = |one: &Predicted| (one.per_block - real.per_block).abs();
        let nearest = predicted.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let nearest = nearest.ok_or("nothing was predicted")?;
        let Predicted { per_block, messages, primary, backup, .. } = nearest;
        found.push(Beside { n, real, model: Measured { per_block, messages, primary, backup } });
    }
    Ok(found)
}

/// Seconds of load before real replicas are looked at, and between the two looks.
const BEFORE: Duration = Duration::from_secs(3);
const BETWEEN: Duration = Duration::from_secs(8);

fn real(program: &Path, n: u16, clients: u32) -> Result<Measured, String> {
    let net = Net::new(program, n)?;
    net.run(&["testnet", "up", ".", "--detach"])?;
    let pids: Vec<u32> = net.pids()?.into_iter().flatten().collect();
    let primary = net.primary()?;
    let load = net.spawn(&["tx", "bench", "-c", &clients.to_string(), "--keys", "16", "-d", "1h"]);
    let load = load.map(Running)?;
    std::thread::sleep(BEFORE);
    let before = look(&net, &pids)?;
    std::thread::sleep(BETWEEN);
    let after = look(&net, &pids)?;
    drop(load);
    if net.primary()? != primary {
        return Err("the view changed without a fault".to_owned());
    }
    let members = f64::from(n);
    let transactions = (after.transactions - before.transactions) / members;
    let blocks = (after.blocks - before.blocks) / members;
    let cpu: Vec<f64> = after.cpu.iter().zip(&before.cpu).map(|(after, before)| after - before).collect();
    let each = |seconds: f64| seconds * 1e6 / transactions;
    Ok(Measured {
        per_block: transactions / blocks,
        messages: (after.messages - before.messages) / blocks,
        primary: each(cpu[primary]),
        backup: each((cpu.iter().sum::<f64>() - cpu[primary]) / (members - 1.0)),
    })
}

/// Sums of all members, and the CPU of each.
struct Look {
    transactions: f64,
    blocks: f64,
    messages: f64,
    cpu: Vec<f64>,
}

fn look(net: &Net<'_>, pids: &[u32]) -> Result<Look, String> {
    let total = |name: &str, label: &str| scrape::total(net.place.path(), name, label);
    Ok(Look {
        transactions: total("quorate_tx_total", ""),
        blocks: total("quorate_blocks_total", ""),
        messages: total("quorate_peer_messages_total", "direction=\"sent\""),
        cpu: pids.iter().map(|pid| cpu_seconds(*pid)).collect::<Result<_, _>>()?,
    })
}

fn beside_text(found: &[Beside]) -> String {
    let mut text = String::from(
        "\n| members | | transactions in a block | messages for a block | CPU of the primary for a transaction, µs | of a backup, µs |\n|---|---|---|---|---|---|\n",
    );
    for Beside { n, real, model } in found {
        for (what, measured) in [("real, on this machine", real), ("model", model)] {
            let Measured { per_block, messages, primary, backup } = measured;
            let _ = writeln!(
                text,
                "| {n} | {what} | {per_block:.0} | {messages:.0} | {primary:.1} | {backup:.1} |"
            );
        }
    }
    text
}

/// The model held against real replicas, and one row for each size and place.
///
/// # Errors
/// If a command of a testnet fails.
pub(crate) fn run(program: &Path) -> Result<String, String> {
    let beside = beside_text(&beside(program)?);
    eprint!("{beside}");
    Ok(predictions() + &beside)
}

fn predictions() -> String {
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
