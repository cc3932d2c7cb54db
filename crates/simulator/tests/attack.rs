//! L5: one liar, first as the primary, costs honest clients of honest gateways at most half of what they get done without it.
//! Time is virtual and work costs nothing, so what shows here is delay; floods are measured on real processes.

use quorate_engine::Answer;
use quorate_simulator::cluster::Network;
use quorate_simulator::{Cluster, LinkFaults, Setup};
use quorate_types::{Operation, Operations, Parameters, ReplicaId};
use std::collections::BTreeMap;
use std::time::Duration;

const CLIENTS: u16 = 12;
const RUN: Duration = Duration::from_secs(5);
/// Every way in which a member may hold up what others decide, or have it decided twice.
const WAYS: [u16; 11] = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 28];

/// What the clients of a run got.
#[derive(Debug)]
struct Got {
    outcomes: usize,
    /// Milliseconds, of a hundred answers the slowest but one.
    p99: u64,
    /// The view at the end.
    view: u64,
}

struct Load {
    cluster: Cluster,
    /// The client that waits for an answer, and since when.
    waiting: BTreeMap<u64, (u16, u64)>,
    next: Vec<u64>,
    latencies: Vec<u64>,
}

impl Load {
    fn new(ways: &[u16]) -> Self {
        let setup = Setup { parameters: Parameters::default(), clients: CLIENTS.into(), ..Setup::of(4) };
        let network = Network::Automatic(LinkFaults::healthy(1_000));
        let mut cluster = Cluster::new(&setup, network, 1);
        for member in ReplicaId::all(4) {
            cluster.start(member);
        }
        if !ways.is_empty() {
            cluster.corrupt(ReplicaId::new(0), ways);
        }
        cluster.run_for(Duration::from_secs(1));
        let next = vec![0; CLIENTS.into()];
        Self { cluster, waiting: BTreeMap::new(), next, latencies: Vec::new() }
    }

    fn submit(&mut self, client: u16) {
        let number = &mut self.next[usize::from(client)];
        let put = Operation::Put { key: vec![0, u8::try_from(client).unwrap()], value: vec![7; 16] };
        let transaction =
            self.cluster.transaction(client.into(), (1, *number), 600_000, &Operations(vec![put]));
        *number += 1;
        // The first member is the one that lies.
        let token = self.cluster.submit(ReplicaId::new(1 + client % 3), transaction);
        self.waiting.insert(token, (client, self.cluster.now()));
    }

    fn hear(&mut self) {
        while let Some((token, answer)) = self.cluster.answers.pop_front() {
            let Some((client, since)) = self.waiting.remove(&token) else { continue };
            match answer {
                Answer::Outcome(_) => self.latencies.push((self.cluster.now() - since) / 1_000),
                Answer::Superseded(_) | Answer::Refused(_) => {
                    panic!("client {client} got no outcome: {answer:?}")
                }
            }
            self.submit(client);
        }
    }

    fn run(mut self) -> Got {
        for client in 0..CLIENTS {
            self.submit(client);
        }
        let end = self.cluster.now() + u64::try_from(RUN.as_micros()).unwrap();
        while self.cluster.now() < end {
            self.cluster.provoke();
            self.cluster.run_for(Duration::from_millis(1));
            self.hear();
        }
        assert!(self.cluster.checkers.violations.is_empty(), "{:?}", self.cluster.checkers.violations);
        self.latencies.sort_unstable();
        let p99 = self.latencies[self.latencies.len() * 99 / 100];
        let view = self.cluster.status(ReplicaId::new(1)).unwrap().view.get();
        Got { outcomes: self.latencies.len(), p99, view }
    }
}

#[test]
fn l5_half_of_the_throughput_is_left_whatever_one_member_does() {
    let fair = Load::new(&[]).run();
    println!("nobody lies: {fair:?}");
    assert_eq!(fair.view, 0, "L3: without a fault no view changes");
    for way in WAYS {
        let got = Load::new(&[way]).run();
        println!("{way}: {got:?}, {} % of the outcomes", 100 * got.outcomes / fair.outcomes);
        assert!(2 * got.outcomes >= fair.outcomes, "{way}: {got:?} against {fair:?}");
    }
}

/// V12: a primary that sends everything just before the request timer would expire loses its office within a few hundred
/// milliseconds, and those who come after it are not suspected.
#[test]
fn v12_a_slow_primary_is_replaced_once() {
    let got = Load::new(&[17]).run();
    println!("{got:?}");
    assert_eq!(got.view, 1, "{got:?}");
    assert!(got.p99 <= 50, "{got:?}");
}
