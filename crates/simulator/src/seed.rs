//! One seed: a configuration drawn from a number, a phase of faults, a phase of healing, a verdict.

use crate::checkers::{Violation, progress};
use crate::clients::Clients;
use crate::cluster::{Cluster, CrashPoint, DiskFault, Network, Setup};
use crate::draw::{Betrayal, Draw};
use crate::link::LinkFaults;
use quorate_pbft::{Phase, Report as Event};
use quorate_types::{Epoch, ReplicaId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    pub n: u16,
    pub height: u64,
    pub answered: u64,
    pub view_changes: u64,
    pub crashes: u64,
    /// Crashes of a member while some member was in a view change.
    pub crashes_in_view_changes: u64,
    pub catch_ups: u64,
    /// The latest epoch that any member is in.
    pub epoch: u64,
    pub liars: usize,
    pub betrayed: usize,
    pub beyond_budget: bool,
    /// How often each way of lying changed what was sent.
    pub lies: BTreeMap<u16, u64>,
    pub events: u64,
    /// Rare moments that were passed through, with how often (feature `probes`).
    pub probes: BTreeMap<&'static str, u64>,
    /// Hashes of the abstract states that were seen.
    pub states: BTreeSet<u64>,
    /// Microseconds of virtual time.
    pub virtual_time: u64,
    /// A hash of everything that was sent, and when.
    pub trace: u64,
}

/// A property did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub report: Report,
    pub violation: Violation,
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
    Run::new(seed, draw).all(&mut |_| {})
}

/// A seed under way.
pub(crate) struct Run<'d> {
    pub(crate) cluster: Cluster,
    clients: Clients,
    draw: &'d Draw,
    report: Report,
}

/// Faults last at least so long, however fast the cluster is.
const LEAST_STEPS: u64 = 75;
const STEP: Duration = Duration::from_millis(20);

/// Looks at the cluster after every step.
type Watcher<'w> = &'w mut dyn FnMut(&mut Cluster);

impl<'d> Run<'d> {
    pub(crate) fn new(seed: u64, draw: &'d Draw) -> Self {
        let setup = Setup {
            n: draw.n,
            faults: None,
            allow_crash_only: false,
            parameters: draw.parameters.clone(),
            clients: draw.workload.clients,
        };
        let _ = quorate_types::probes::take();
        let report = Report {
            seed,
            n: draw.n,
            liars: draw.liars.len(),
            betrayed: draw.betrayed.len(),
            beyond_budget: draw.beyond_budget,
            ..Report::default()
        };
        let cluster = Cluster::new(&setup, Network::Automatic(draw.faults.clone()), seed);
        Self { cluster, clients: Clients::new(draw.workload.clone()), draw, report }
    }

    /// From beginning to end.
    pub(crate) fn all(&mut self, watch: Watcher<'_>) -> Result<Report, Box<Failure>> {
        self.prepare();
        self.safety(watch)?;
        if !self.draw.beyond_budget {
            self.liveness(watch)?;
        }
        let report = self.count();
        match progress::calm(self.draw.has_faults(), report.view_changes) {
            Ok(()) => Ok(report),
            Err(violation) => Err(self.failure(violation)),
        }
    }

    fn prepare(&mut self) {
        let draw = self.draw;
        let cluster = &mut self.cluster;
        for (member, ways) in &draw.liars {
            cluster.corrupt(*member, ways);
        }
        for (member, _) in &draw.betrayed {
            cluster.checkers.faulty.insert(*member);
        }
        if draw.beyond_budget {
            cluster.checkers.expect_too_many_faults();
        }
        cluster.set_repair_bytes(draw.repair_bytes);
        cluster.set_gather_requests(draw.gather_requests);
        for (member, blocks) in ReplicaId::all(draw.n).zip(&draw.retain_blocks) {
            if let Some(blocks) = blocks {
                cluster.set_retain_blocks(member, *blocks);
            }
        }
        cluster.cut_installs = if draw.crashes + draw.hunts > 0 { 200 } else { 0 };
        for (at, member) in ReplicaId::all(draw.n).enumerate() {
            let skew = i64::try_from(cluster.random.below(400)).unwrap_or(0) - 200;
            cluster.set_clock(member, skew);
            cluster.set_clock_rate(member, draw.clock_rates[at]);
            cluster.set_sync_micros_of(member, draw.syncs[at]);
            cluster.set_execution_micros_of(member, draw.executions[at]);
            cluster.start(member);
        }
    }

    /// Faults on: nothing wrong may happen; nothing good need.
    fn safety(&mut self, watch: Watcher<'_>) -> Result<(), Box<Failure>> {
        for step in 0..self.draw.steps {
            if step >= LEAST_STEPS && self.cluster.checkers.height() >= self.draw.blocks {
                break;
            }
            self.strike();
            self.change_members();
            self.step(watch)?;
        }
        Ok(())
    }

    /// An operator has a member's keys changed, one member at a time (G1).
    fn change_members(&mut self) {
        if !self.cluster.random.permille(self.draw.changes) || self.clients.petitioning() {
            return;
        }
        let cluster = &mut self.cluster;
        let member = ReplicaId::new(u16::try_from(cluster.random.below(u64::from(self.draw.n))).unwrap_or(0));
        if cluster.is_up(member) && !cluster.checkers.faulty.contains(&member) {
            let asked = cluster.rotate(member);
            self.clients.petition(cluster, &asked);
        }
    }

    /// Who is in an earlier epoch asks the client API of another, as nodes do now and then.
    fn follow(&mut self) {
        if self.draw.changes == 0 || !self.cluster.random.permille(20) {
            return;
        }
        let members: Vec<ReplicaId> = ReplicaId::all(self.draw.n).collect();
        let other = members[self.cluster.random.index(members.len())];
        for member in members {
            let behind = self.cluster.epoch(member) < self.cluster.epoch(other);
            if behind && self.cluster.is_up(member) && !self.disks_betray(member) {
                self.cluster.follow(member, other);
            }
        }
    }

    fn step(&mut self, watch: Watcher<'_>) -> Result<(), Box<Failure>> {
        self.clients.act(&mut self.cluster);
        self.cluster.provoke();
        self.follow();
        self.cluster.run_for(STEP);
        self.cluster.look();
        watch(&mut self.cluster);
        self.report.states.insert(self.cluster.abstract_state());
        match self.cluster.checkers.violations.first().cloned().or_else(|| self.contradiction()) {
            Some(violation) => Err(self.failure(violation)),
            None => Ok(()),
        }
    }

    fn failure(&mut self, violation: Violation) -> Box<Failure> {
        let report = self.count();
        Box::new(Failure { report, violation })
    }

    /// The faults of this step.
    fn strike(&mut self) {
        let members: Vec<ReplicaId> = ReplicaId::all(self.draw.n).collect();
        self.strike_processes(&members);
        self.strike_machines(&members);
        self.betray();
        for member in &members {
            if !self.cluster.is_up(*member) && self.cluster.random.permille(40) {
                self.restart(*member);
            }
        }
        if self.cluster.random.permille(self.draw.partitions) {
            self.partition(&members);
        }
        if self.cluster.random.permille(self.draw.clogs) {
            let random = &mut self.cluster.random;
            let link = (members[random.index(members.len())], members[random.index(members.len())]);
            let until = self.cluster.now() + self.cluster.random.below(5_000_000);
            if let Network::Automatic(faults) = &mut self.cluster.network {
                faults.clogged.insert(link, until);
            }
        }
    }

    fn in_view_change(&self) -> bool {
        let changes = |member| self.cluster.status(member).is_some_and(|status| !status.active);
        ReplicaId::all(self.draw.n).any(changes)
    }

    /// Crashes, of one member or of all at once, and pauses.
    fn strike_processes(&mut self, members: &[ReplicaId]) {
        let hunted = self.in_view_change();
        let random = &mut self.cluster.random;
        if random.permille(self.draw.crashes) || (hunted && random.permille(self.draw.hunts)) {
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
                self.report.crashes_in_view_changes += u64::from(hunted && self.cluster.is_up(member));
                match point {
                    None => self.cluster.crash(member),
                    Some(point) => self.cluster.crash_at(member, point),
                }
            }
        }
        let random = &mut self.cluster.random;
        if random.permille(self.draw.pauses) {
            let victim = members[random.index(members.len())];
            let micros = random.below(3_000 * self.draw.parameters.view_timeout_ms);
            self.cluster.pause(victim, micros);
        }
    }

    /// Wall clocks that jump, syncs that fail, disks that fill.
    fn strike_machines(&mut self, members: &[ReplicaId]) {
        let random = &mut self.cluster.random;
        let victim = members[random.index(members.len())];
        if random.permille(self.draw.clock_jumps) {
            let ahead = i64::try_from(random.below(20_000)).unwrap_or(0) - 10_000;
            // Now and then all jump together, as when the time server is wrong.
            let common = self.cluster.random.permille(200);
            for member in members.iter().filter(|member| common || **member == victim) {
                self.cluster.set_clock(*member, if common { ahead * 60 } else { ahead });
            }
        }
        let up = self.cluster.is_up(victim);
        if self.cluster.random.permille(self.draw.sync_failures) && up {
            self.cluster.fail_syncs(victim);
        }
        if self.cluster.random.permille(self.draw.full_disks) && up {
            let room = self.cluster.random.index(30_000);
            self.cluster.fill_disks(victim, room);
        }
    }

    /// Disks that betray their members: images are taken early, what is put back or lost comes with a crash.
    fn betray(&mut self) {
        for (member, betrayal) in &self.draw.betrayed {
            let strikes = self.cluster.random.permille(10);
            match betrayal {
                Betrayal::Memory if strikes => {
                    self.cluster.corrupt_memory(*member);
                }
                Betrayal::LyingSync if self.cluster.is_up(*member) => self.cluster.lie_about_syncs(*member),
                Betrayal::Damage(DiskFault::Old) if !self.cluster.has_backup(*member) && strikes => {
                    self.cluster.back_up(*member);
                }
                Betrayal::Damage(fault) if strikes => {
                    self.cluster.crash(*member);
                    self.cluster.damage(*member, *fault);
                }
                _ => {}
            }
        }
    }

    /// What betrays a member.
    fn betrayal(&self, member: ReplicaId) -> Option<Betrayal> {
        self.draw.betrayed.iter().find(|(other, _)| *other == member).map(|(_, betrayal)| *betrayal)
    }

    /// Whether this is a member on whose disks nobody can rely.
    fn disks_betray(&self, member: ReplicaId) -> bool {
        self.betrayal(member).is_some_and(|betrayal| betrayal != Betrayal::Memory)
    }

    /// Whether this is a member whose memory failed now and then. It lies without knowing, and never contradicts what it said (K4).
    fn is_forgetful(&self, member: ReplicaId) -> bool {
        self.betrayal(member) == Some(Betrayal::Memory)
    }

    /// An ATTEST may be contradicted if power was cut before its block was durable; what the log holds may not.
    fn contradiction(&self) -> Option<Violation> {
        let mut culprits = self.cluster.checkers.against_log().into_iter();
        let culprit = culprits.find(|culprit| self.is_forgetful(*culprit))?;
        let what = format!("{culprit} executed something else the second time, and said so");
        Some(Violation { property: "K4 of what is disputed nothing is said", what })
    }

    /// Starts a member again. One whose disks betrayed it may refuse; any other must start.
    fn restart(&mut self, member: ReplicaId) {
        let betrayed = self.disks_betray(member);
        match self.cluster.try_start(member) {
            Err(why) if !betrayed => {
                let what = format!("{member} does not start: {why}");
                self.cluster
                    .checkers
                    .violations
                    .push(Violation { property: "D4 starts after a crash", what });
            }
            _ => {}
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
    fn liveness(&mut self, watch: Watcher<'_>) -> Result<(), Box<Failure>> {
        self.cluster.network = Network::Automatic(LinkFaults {
            no_new_views_of: self.draw.no_new_views_of.iter().copied().collect(),
            ..LinkFaults::healthy(self.draw.healed_delay)
        });
        self.cluster.cancel_crashes();
        for member in ReplicaId::all(self.draw.n) {
            let skew = i64::try_from(self.cluster.random.below(400)).unwrap_or(0) - 200;
            self.cluster.set_clock(member, skew);
            self.cluster.set_sync_micros_of(member, 300);
            self.cluster.set_execution_micros_of(member, 0);
            if self.draw.dead.contains(&member) {
                self.cluster.crash(member);
            } else {
                self.cluster.mend_disks(member);
                if self.is_forgetful(member) {
                    self.cluster.crash(member);
                }
                self.restart(member);
            }
        }
        self.clients.stopped = !self.draw.keeps_on;
        let before = self.clients.marks();
        let slowest = self.draw.clock_rates.iter().copied().min().unwrap_or(1_000);
        let quorums = self.cluster.members().quorums();
        let bound = progress::bound(quorums, &self.draw.parameters, slowest)
            + progress::time_for(self.clients.waiting(), self.draw.healed_delay);
        let steps = bound.as_millis() / STEP.as_millis();
        for _ in 0..steps {
            if self.clients.waiting_since(&before) == 0 {
                break;
            }
            self.step(watch)?;
        }
        // L6: what waited was not passed over for what came later. Now the rest, and everyone at one height.
        let waiting = self.clients.waiting_since(&before);
        if waiting > 0 {
            return progress::within(bound, waiting, false, &self.positions())
                .map_err(|violation| self.failure(violation));
        }
        self.clients.stopped = true;
        let steps = steps
            + progress::time_for(self.clients.waiting(), self.draw.healed_delay).as_millis()
                / STEP.as_millis();
        for _ in 0..steps {
            if self.clients.waiting() == 0 && self.converged() {
                return Ok(());
            }
            self.step(watch)?;
        }
        progress::within(bound, self.clients.waiting(), self.converged(), &self.positions())
            .map_err(|violation| self.failure(violation))
    }

    fn positions(&self) -> String {
        let statuses: Vec<_> =
            ReplicaId::all(self.draw.n).map(|member| self.cluster.status(member)).collect();
        format!("{statuses:#?}")
    }

    /// Everyone who lives and does not lie is at the same height (L2), and who found out that its memory had failed (K4).
    fn converged(&self) -> bool {
        let height = self.cluster.checkers.height();
        ReplicaId::all(self.draw.n)
            .filter(|member| !self.cluster.checkers.faulty.contains(member) || self.is_forgetful(*member))
            .filter_map(|member| self.cluster.status(member))
            .all(|status| status.executed.get() == height && status.phase != Phase::Learner)
    }

    fn count(&mut self) -> Report {
        let reports = &self.cluster.reports;
        let count =
            |wanted: fn(&Event) -> bool| reports.iter().filter(|(_, report)| wanted(report)).count() as u64;
        self.report.view_changes = count(|report| matches!(report, Event::ViewActive { .. }));
        self.report.catch_ups = count(|report| matches!(report, Event::CatchingUp { .. }));
        let epochs = ReplicaId::all(self.draw.n).filter_map(|member| self.cluster.epoch(member));
        self.report.epoch = epochs.max().map_or(0, Epoch::get);
        self.report.height = self.cluster.checkers.height();
        self.report.answered = self.clients.answered;
        self.report.lies = self.cluster.lies();
        self.report.virtual_time = self.cluster.now();
        for (name, hits) in quorate_types::probes::take() {
            *self.report.probes.entry(name).or_default() += hits;
        }
        self.report.events = self.cluster.events;
        self.report.trace = self.cluster.trace;
        self.report.clone()
    }
}
