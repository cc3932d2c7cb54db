//! One seed: a configuration drawn from a number, a phase of faults, a phase of healing, a verdict.

use crate::adversary::BEHAVIOURS;
use crate::checkers::Violation;
use crate::clients::Clients;
use crate::cluster::{Cluster, CrashPoint, Network, Setup};
use crate::link::LinkFaults;
use crate::random::Random;
use quorate_pbft::Report as Event;
use quorate_types::{Parameters, ReplicaId};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a seed drew.
#[derive(Clone, Debug)]
pub struct Draw {
    pub n: u16,
    pub parameters: Parameters,
    pub faults: LinkFaults,
    /// Of a thousand steps of 20 ms, so many crash a replica.
    pub crashes: u64,
    /// Of a thousand steps, so many change the partition.
    pub partitions: u64,
    pub clients: usize,
    pub under_way: usize,
    pub rivals: u64,
    /// How long faults last, in steps of 20 ms.
    pub steps: u64,
    /// Members that lie from beginning to end, each with its ways (docs/assurance.md).
    pub liars: Vec<(ReplicaId, Vec<u16>)>,
    /// Members that stay down in the healing phase; with the liars, at most as many as may fail.
    pub dead: Vec<ReplicaId>,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    pub n: u16,
    pub height: u64,
    pub answered: u64,
    pub view_changes: u64,
    pub crashes: u64,
    pub catch_ups: u64,
    /// How often each way of lying changed what was sent.
    pub lies: BTreeMap<u16, u64>,
    pub events: u64,
    /// A hash of everything that was sent, and when.
    pub trace: u64,
}

/// A property did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub report: Report,
    pub violation: Violation,
}

impl Draw {
    /// The configuration of a seed. Whole classes of faults are switched on or off, so that some runs see one alone.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xD1AF);
        let n = u16::try_from(random.between(4, 7)).unwrap_or(4);
        let checkpoint_every = random.pick(&[2, 4, 8]);
        let window = checkpoint_every * random.between(2, 3);
        let parameters = Parameters {
            checkpoint_every,
            window,
            depth: random.between(1, window.min(8)),
            block_max_transactions: u32::try_from(random.pick(&[1, 3, 100])).unwrap_or(100),
            ..Parameters::default()
        };
        let mut on = |chance: u64, most: u64| if random.permille(chance) { random.below(most) } else { 0 };
        let faults = LinkFaults {
            min_delay: 100 + on(800, 2_000),
            jitter: 500 + on(700, 60_000),
            loss: on(600, 250),
            duplicates: on(500, 200),
            stragglers: on(400, 100),
            cut: std::collections::BTreeSet::new(),
        };
        let (crashes, partitions) = (on(700, 25), on(500, 20));
        let f = usize::from((n - 1) / 3);
        let (liars, dead) = draw_faulty(&mut random, n, f);
        Self {
            n,
            parameters,
            faults,
            crashes,
            partitions,
            clients: usize::try_from(random.between(1, 4)).unwrap_or(1),
            under_way: usize::try_from(random.between(1, 6)).unwrap_or(1),
            rivals: if random.permille(300) { 100 } else { 0 },
            steps: random.between(200, 900),
            liars,
            dead,
        }
    }
}

/// Liars, and members that stay dead, at most `f` together.
fn draw_faulty(random: &mut Random, n: u16, f: usize) -> (Vec<(ReplicaId, Vec<u16>)>, Vec<ReplicaId>) {
    let mut members: Vec<ReplicaId> = ReplicaId::all(n).collect();
    let first = random.index(members.len());
    members.rotate_left(first);
    let lying = if random.permille(500) { 1 + random.index(f) } else { 0 };
    let liars = members.drain(..lying).collect::<Vec<_>>();
    let mut ways = |_| -> Vec<u16> {
        let count = random.between(1, 3);
        (0..count).map(|_| BEHAVIOURS[random.index(BEHAVIOURS.len())].0).collect()
    };
    let ways: Vec<Vec<u16>> = liars.iter().map(&mut ways).collect();
    let dead = if random.permille(500) { members.drain(..f - lying).collect() } else { Vec::new() };
    (liars.into_iter().zip(ways).collect(), dead)
}

/// Runs a seed.
///
/// # Errors
/// With the first property that did not hold.
pub fn run_seed(seed: u64) -> Result<Report, Box<Failure>> {
    run_draw(seed, &Draw::of(seed))
}

/// Runs a configuration with the randomness of a seed.
///
/// # Errors
/// With the first property that did not hold.
pub fn run_draw(seed: u64, draw: &Draw) -> Result<Report, Box<Failure>> {
    let setup = Setup {
        n: draw.n,
        faults: None,
        allow_crash_only: false,
        parameters: draw.parameters.clone(),
        clients: draw.clients,
    };
    let mut run = Run {
        cluster: Cluster::new(&setup, Network::Automatic(draw.faults.clone()), seed),
        clients: Clients::new(draw.clients, draw.under_way, draw.rivals),
        draw,
        report: Report { seed, n: draw.n, ..Report::default() },
    };
    for (member, ways) in &draw.liars {
        run.cluster.corrupt(*member, ways);
    }
    for member in ReplicaId::all(draw.n) {
        let skew = i64::try_from(run.cluster.random.below(400)).unwrap_or(0) - 200;
        run.cluster.set_clock(member, skew);
        run.cluster.start(member);
    }
    run.safety()?;
    run.liveness()?;
    Ok(run.finish())
}

struct Run<'d> {
    cluster: Cluster,
    clients: Clients,
    draw: &'d Draw,
    report: Report,
}

const STEP: Duration = Duration::from_millis(20);

impl Run<'_> {
    /// Faults on: nothing wrong may happen; nothing good need.
    fn safety(&mut self) -> Result<(), Box<Failure>> {
        for _ in 0..self.draw.steps {
            self.strike();
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Box<Failure>> {
        self.clients.act(&mut self.cluster);
        self.cluster.provoke();
        self.cluster.run_for(STEP);
        match self.cluster.checkers.violations.first() {
            Some(violation) => {
                let violation = violation.clone();
                Err(self.failure(violation))
            }
            None => Ok(()),
        }
    }

    fn failure(&mut self, violation: Violation) -> Box<Failure> {
        let report = self.count();
        Box::new(Failure { report, violation })
    }

    /// Crashes, restarts and partitions of this step.
    fn strike(&mut self) {
        let n = self.draw.n;
        let members: Vec<ReplicaId> = ReplicaId::all(n).collect();
        let random = &mut self.cluster.random;
        if random.permille(self.draw.crashes) {
            let victim = members[random.index(members.len())];
            // All at once now and then: a power cut.
            let all = random.permille(100);
            let point = match random.below(3) {
                0 => None,
                1 => Some(CrashPoint::BeforeSync),
                _ => Some(CrashPoint::AfterEffects(random.index(12))),
            };
            for member in members.iter().copied().filter(|member| all || *member == victim) {
                self.report.crashes += 1;
                match point {
                    None => self.cluster.crash(member),
                    Some(point) => self.cluster.crash_at(member, point),
                }
            }
        }
        for member in &members {
            if !self.cluster.is_up(*member) && self.cluster.random.permille(40) {
                self.cluster.start(*member);
            }
        }
        if self.cluster.random.permille(self.draw.partitions) {
            self.partition(&members);
        }
    }

    fn partition(&mut self, members: &[ReplicaId]) {
        let random = &mut self.cluster.random;
        let mut cut = LinkFaults::default();
        match random.below(4) {
            0 => {}
            1 => {
                let alone = members[random.index(members.len())];
                let others: Vec<ReplicaId> =
                    members.iter().copied().filter(|other| *other != alone).collect();
                cut.split(&[alone], &others);
            }
            2 => {
                let (one, other): (Vec<ReplicaId>, Vec<ReplicaId>) =
                    members.iter().copied().partition(|_| random.permille(500));
                cut.split(&one, &other);
            }
            _ => {
                // One way only.
                let (from, to) = (members[random.index(members.len())], members[random.index(members.len())]);
                cut.cut.insert((from, to));
            }
        }
        if let Network::Automatic(faults) = &mut self.cluster.network {
            faults.cut = cut.cut;
        }
    }

    /// Faults off, as many dead as may be: everything that waits must be answered within the bound (V6).
    fn liveness(&mut self) -> Result<(), Box<Failure>> {
        self.cluster.network = Network::Automatic(LinkFaults::healthy());
        self.cluster.cancel_crashes();
        for member in ReplicaId::all(self.draw.n) {
            if self.draw.dead.contains(&member) {
                self.cluster.crash(member);
            } else {
                self.cluster.start(member);
            }
        }
        self.clients.stopped = true;
        let quorums = self.cluster.members().quorums();
        let rounds = u64::from(quorums.members()) - quorums.strong() as u64 + 2;
        // V6's bound, and time for clients to come round to a gateway that lives.
        let bound = Duration::from_millis(rounds * self.draw.parameters.view_timeout_max_ms)
            + Duration::from_secs(20);
        let steps = bound.as_millis() / STEP.as_millis();
        for _ in 0..steps {
            if self.clients.waiting() == 0 && self.converged() {
                return Ok(());
            }
            self.step()?;
        }
        let statuses: Vec<_> =
            ReplicaId::all(self.draw.n).map(|member| self.cluster.status(member)).collect();
        let what = format!("{} transactions wait after {bound:?}: {statuses:#?}", self.clients.waiting());
        Err(self.failure(Violation { property: "L1 progress", what }))
    }

    /// Everyone who lives is at the same height (L2).
    fn converged(&self) -> bool {
        let lies = |member: &ReplicaId| self.draw.liars.iter().any(|(liar, _)| liar == member);
        let heights: Vec<u64> = ReplicaId::all(self.draw.n)
            .filter(|member| !lies(member))
            .filter_map(|member| self.cluster.status(member))
            .map(|status| status.executed.get())
            .collect();
        heights.iter().all(|height| *height == self.cluster.checkers.height())
    }

    fn count(&mut self) -> Report {
        let reports = &self.cluster.reports;
        let count =
            |wanted: fn(&Event) -> bool| reports.iter().filter(|(_, report)| wanted(report)).count() as u64;
        self.report.view_changes = count(|report| matches!(report, Event::ViewActive { .. }));
        self.report.catch_ups = count(|report| matches!(report, Event::CatchingUp { .. }));
        self.report.height = self.cluster.checkers.height();
        self.report.answered = self.clients.answered;
        self.report.lies = self.cluster.lies();
        self.report.events = self.cluster.events;
        self.report.trace = self.cluster.trace;
        self.report.clone()
    }

    fn finish(mut self) -> Report {
        self.count()
    }
}
