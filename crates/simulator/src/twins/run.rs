//! One scenario: everyone starts, the script, everything heals, a verdict.

use super::requests::{CLIENTS, Requests};
use super::{Scenario, Script, Variant};
use crate::checkers::{Violation, progress};
use crate::cluster::{Cluster, CrashPoint, Network, Setup};
use crate::link::LinkFaults;
use crate::story::tell_new;
use quorate_pbft::{Phase, Report as Event};
use quorate_types::{Parameters, ReplicaId, Seq};
use std::time::Duration;

const STEP: Duration = Duration::from_millis(10);
/// The first timeout of a view.
const TIMEOUT_MS: u64 = 200;
/// How long what ends a scripted view stays within its parts, in microseconds.
const PATIENCE: u64 = 2 * TIMEOUT_MS * 1_000;
/// After so much virtual time everything heals, whatever view it is, in microseconds.
const SCRIPT_MICROS: u64 = 8_000_000;
/// Once everything heals, requests still come for so long, in microseconds.
const HEALED_MICROS: u64 = 500_000;
/// Messages take about so long once everything heals, in microseconds.
const HEALED_DELAY: u64 = 1_000;

/// What a scenario led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Statements of a twinned member of which correct ones got two that contradict each other.
    pub conflicts: usize,
    /// Times that a view became active somewhere.
    pub view_changes: usize,
    /// The script came to its end, before its time did.
    pub script_ended: bool,
    /// Blocks that are agreed on.
    pub height: u64,
    pub answered: u64,
    /// Members whom the statements that left them convict.
    pub convicted: usize,
    /// Heights at which correct members have different blocks.
    pub disagreements: usize,
    /// Processes that found out that votes of their key are not in their log.
    pub amnesiacs: usize,
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

/// Looks at the cluster after every step.
type Watcher<'w> = &'w mut dyn FnMut(&mut Cluster);

/// Runs a scenario with the randomness of a seed.
///
/// With more twinned members than may fail, agreement may break, and then the statements must convict more than `f`; nobody
/// waits for anything to heal.
///
/// # Errors
/// With the first property that did not hold.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Report, Box<Failure>> {
    Run::new(scenario, seed).all(&mut |_| {})
}

/// Runs a scenario and tells what happens, a line each.
pub fn story(scenario: &Scenario, seed: u64, tell: &mut dyn FnMut(&str)) {
    tell(&scenario.to_string());
    let mut run = Run::new(scenario, seed);
    run.cluster.story = Some(Vec::new());
    let result = run.all(&mut |cluster| tell_new(cluster, tell));
    for (instance, report) in &run.cluster.reports {
        tell(&format!("reported by {instance}: {report:?}"));
    }
    match result {
        Ok(report) => tell(&format!("passed: {report:#?}")),
        Err(failure) => tell(&format!("failed: {}: {}", failure.violation.property, failure.violation.what)),
    }
}

struct Run<'s> {
    scenario: &'s Scenario,
    cluster: Cluster,
    requests: Requests,
    /// The process to which something happens, and when it goes down and comes up, in microseconds.
    victim: Option<(ReplicaId, u64, u64)>,
    script_ended: bool,
}

impl<'s> Run<'s> {
    fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let parameters = Parameters {
            checkpoint_every: 4,
            window: 8,
            depth: 2,
            block_max_transactions: 2,
            view_timeout_ms: TIMEOUT_MS,
            view_timeout_max_ms: 8 * TIMEOUT_MS,
            ..Parameters::default()
        };
        let setup = Setup { parameters, clients: CLIENTS, ..Setup::of(scenario.members) };
        let network =
            Network::Automatic(LinkFaults { min_delay: 200, jitter: 2_000, ..LinkFaults::default() });
        let mut cluster = Cluster::new(&setup, network, seed);
        for member in &scenario.twinned {
            cluster.add_twin(*member);
        }
        if scenario.twinned.len() >= cluster.members().quorums().weak() {
            cluster.checkers.expect_too_many_faults();
        }
        Self { scenario, cluster, requests: Requests::default(), victim: None, script_ended: false }
    }

    fn too_many_twins(&self) -> bool {
        self.scenario.twinned.len() >= self.cluster.members().quorums().weak()
    }

    fn all(&mut self, watch: Watcher<'_>) -> Result<Report, Box<Failure>> {
        self.start(watch)?;
        self.scripted(watch)?;
        if !self.too_many_twins() {
            self.heal(watch)?;
        }
        Ok(self.report())
    }

    /// Everyone starts, and may speak, before anyone asks for anything: what is scripted begins with the first proposal.
    fn start(&mut self, watch: Watcher<'_>) -> Result<(), Box<Failure>> {
        let late = matches!(self.scenario.variant, Variant::TwinForgets).then_some(self.first_twin());
        for instance in self.cluster.instances() {
            let skew = i64::try_from(self.cluster.random.below(400)).unwrap_or(0) - 200;
            self.cluster.set_clock(instance, skew);
            if Some(instance) != late {
                self.restart(instance);
            }
        }
        while self.cluster.instances().any(|instance| self.is_dumb(instance)) {
            self.step(watch, false)?;
        }
        let random = &mut self.cluster.random;
        let from = random.below(1_500_000);
        let pause = random.between(20_000, 600_000);
        let now = self.cluster.now();
        self.victim = match self.scenario.variant {
            Variant::Plain => None,
            Variant::TwinRestarts | Variant::TwinForgets => {
                Some((self.first_twin(), now + from, now + from + pause))
            }
            Variant::MemberRestarts(member) => Some((member, now + from, now + from + pause)),
        };
        Ok(())
    }

    fn first_twin(&self) -> ReplicaId {
        ReplicaId::new(self.scenario.members)
    }

    /// Whether a process still waits for HELLOs.
    fn is_dumb(&self, instance: ReplicaId) -> bool {
        self.cluster.status(instance).is_some_and(|status| status.phase == Phase::Starting)
    }

    fn scripted(&mut self, watch: Watcher<'_>) -> Result<(), Box<Failure>> {
        let now = self.cluster.now();
        let who = (self.scenario.members, self.scenario.twinned.as_slice());
        self.cluster.script = Some(Script::new(&self.scenario.views, who, (now, PATIENCE)));
        while self.cluster.now() < now + SCRIPT_MICROS && !self.script_ended {
            self.strike();
            self.step(watch, true)?;
            self.script_ended = self.cluster.script.as_ref().is_none_or(Script::is_over);
            // Beyond the split nothing is promised.
            if self.too_many_twins() && self.disagreements() > 0 {
                break;
            }
        }
        Ok(())
    }

    /// What happens to one process.
    fn strike(&mut self) {
        let Some((victim, down, up)) = self.victim else { return };
        let now = self.cluster.now();
        let step = u64::try_from(STEP.as_micros()).unwrap_or(0);
        if (down..down + step).contains(&now) && self.cluster.is_up(victim) {
            match self.cluster.random.below(3) {
                0 => self.cluster.crash(victim),
                1 => self.cluster.crash_at(victim, CrashPoint::BeforeSync),
                _ => {
                    let effects = self.cluster.random.index(12);
                    self.cluster.crash_at(victim, CrashPoint::AfterEffects(effects));
                }
            }
        }
        if now >= up && !self.cluster.is_up(victim) {
            self.restart(victim);
        }
    }

    fn restart(&mut self, instance: ReplicaId) {
        if let Err(why) = self.cluster.try_start(instance) {
            let what = format!("{instance} does not start: {why}");
            self.cluster.checkers.violations.push(Violation { property: "D4 starts after a crash", what });
        }
    }

    /// Everything arrives, everyone lives, both copies too: what waits must be answered within the bound (V6).
    fn heal(&mut self, watch: Watcher<'_>) -> Result<(), Box<Failure>> {
        self.cluster.network = Network::Automatic(LinkFaults::healthy(HEALED_DELAY));
        if let Some(script) = &mut self.cluster.script {
            script.heal();
        }
        self.cluster.cancel_crashes();
        for instance in self.cluster.instances() {
            self.restart(instance);
        }
        let from = self.cluster.now();
        while self.cluster.now() < from + HEALED_MICROS {
            self.step(watch, true)?;
        }
        let quorums = self.cluster.members().quorums();
        let bound = progress::bound(quorums, &self.cluster.genesis.parameters, 1_000)
            + progress::time_for(self.requests.waiting(), HEALED_DELAY);
        for _ in 0..bound.as_millis() / STEP.as_millis() {
            if self.requests.waiting() == 0 && self.converged() {
                return Ok(());
            }
            self.step(watch, false)?;
        }
        let statuses: Vec<_> =
            self.cluster.instances().map(|instance| self.cluster.status(instance)).collect();
        progress::within(bound, self.requests.waiting(), self.converged(), &format!("{statuses:#?}"))
            .map_err(|violation| self.failure(violation))
    }

    fn correct(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        ReplicaId::all(self.scenario.members).filter(|member| !self.scenario.twinned.contains(member))
    }

    fn disagreements(&self) -> usize {
        let block = |member: ReplicaId, height| {
            let process = self.cluster.nodes[member.index()].process.as_ref()?;
            Some(process.blocks.block(Seq::new(height)).ok()??.block.header)
        };
        let splits = |height: &u64| {
            let mut held = self.correct().filter_map(|member| block(member, *height));
            held.next().is_some_and(|first| held.any(|other| other != first))
        };
        (1..=self.cluster.checkers.height()).filter(splits).count()
    }

    /// Every correct member is at the same height, and votes (L2).
    fn converged(&self) -> bool {
        let height = self.cluster.checkers.height();
        self.correct().map(|member| self.cluster.status(member)).all(|status| {
            status.is_some_and(|status| status.executed.get() == height && status.phase != Phase::Learner)
        })
    }

    fn step(&mut self, watch: Watcher<'_>, more: bool) -> Result<(), Box<Failure>> {
        if self.cluster.script.is_some() {
            self.requests.act(&mut self.cluster, more);
        }
        self.cluster.run_for(STEP);
        self.cluster.look();
        watch(&mut self.cluster);
        match self.cluster.checkers.violations.first().cloned() {
            Some(violation) => Err(self.failure(violation)),
            None => Ok(()),
        }
    }

    fn failure(&self, violation: Violation) -> Box<Failure> {
        Box::new(Failure { report: self.report(), violation })
    }

    fn report(&self) -> Report {
        let count = |wanted: fn(&Event) -> bool| {
            self.cluster.reports.iter().filter(|(_, report)| wanted(report)).count()
        };
        Report {
            conflicts: self.cluster.script.as_ref().map_or(0, Script::conflicts),
            view_changes: count(|report| matches!(report, Event::ViewActive { .. })),
            script_ended: self.script_ended,
            height: self.cluster.checkers.height(),
            answered: self.requests.answered,
            convicted: self.cluster.checkers.culprits().len(),
            disagreements: self.disagreements(),
            amnesiacs: count(|report| matches!(report, Event::Amnesia)),
            virtual_time: self.cluster.now(),
            trace: self.cluster.trace,
        }
    }
}
