//! What a seed draws: a configuration that switches whole classes of faults on or off, so that some runs see one alone
//! (swarm testing: Groce et al., ISSTA 2012).

use crate::adversary::BEHAVIOURS;
use crate::clients::Workload;
use crate::cluster::DiskFault;
use crate::link::LinkFaults;
use crate::random::Random;
use quorate_types::{Parameters, ReplicaId};

/// How a member's disks betray it. It counts as faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Betrayal {
    /// Something happens to them while the process is down.
    Damage(DiskFault),
    /// Syncs succeed and keep nothing.
    LyingSync,
    /// A bit of its memory flips, now and then.
    Memory,
}

/// What a seed drew.
#[derive(Clone, Debug)]
pub struct Draw {
    pub n: u16,
    pub parameters: Parameters,
    pub faults: LinkFaults,
    /// Of a thousand steps of 20 ms, so many crash a replica.
    pub crashes: u64,
    /// Of a thousand steps in which some member is in a view change, so many crash one.
    pub hunts: u64,
    /// Of a thousand steps, so many change the partition.
    pub partitions: u64,
    /// Of a thousand steps, so many clog a link for up to five seconds.
    pub clogs: u64,
    /// Of a thousand steps, so many stop a process for up to three timeouts.
    pub pauses: u64,
    /// Of a thousand steps, so many change a wall clock.
    pub clock_jumps: u64,
    /// How fast each member's monotonic clock runs, in thousandths.
    pub clock_rates: Vec<u64>,
    /// How long each member's log takes to sync, in microseconds.
    pub syncs: Vec<u64>,
    /// How long each member's core waits for a block to be executed, in microseconds.
    pub executions: Vec<u64>,
    /// Of a thousand steps, so many make a sync fail.
    pub sync_failures: u64,
    /// Of a thousand steps, so many fill a disk.
    pub full_disks: u64,
    /// Of a thousand steps, so many bring a change of a member's keys, if none is under way.
    pub changes: u64,
    pub workload: Workload,
    /// How long faults last at most, in steps of 20 ms.
    pub steps: u64,
    /// Faults end earlier once so many blocks are agreed on.
    pub blocks: u64,
    /// Members that lie from beginning to end, each with its ways (docs/assurance.md).
    pub liars: Vec<(ReplicaId, Vec<u16>)>,
    /// Members whose disks betray them.
    pub betrayed: Vec<(ReplicaId, Betrayal)>,
    /// Members that stay down in the healing phase; with the faulty ones, at most as many as may fail.
    pub dead: Vec<ReplicaId>,
    /// Bytes that one STATUS may cause to be sent (R1): sometimes so few that repair takes many rounds.
    pub repair_bytes: usize,
    /// How many requests are worth a second block under way.
    pub gather_requests: usize,
    /// How many blocks below the durable state each member keeps, if not all: whoever falls further behind must fetch a state (T).
    pub retain_blocks: Vec<Option<u64>>,
    /// Clients go on while the cluster heals: what waited before must be answered all the same.
    pub keeps_on: bool,
    /// How long messages take in the healing phase, about, in microseconds: often too long for the first timeout (V6).
    pub healed_delay: u64,
    /// Members whose NEW-VIEWs are lost even in the healing phase. No seed draws any: tests of the oracle do.
    pub no_new_views_of: Vec<ReplicaId>,
    /// More members lie than may fail: nothing is promised but that nobody panics, and that whoever broke the ledger has
    /// left proof.
    pub beyond_budget: bool,
    /// Nothing goes wrong.
    pub calm: bool,
}

/// From a stream of its own: whatever else a seed draws stays as it was before this was drawn.
fn gather_requests(seed: u64) -> usize {
    Random::new(seed ^ 0x6A_7E12).pick(&[0, 0, 1, 4, 32])
}

/// From a stream of its own, as well.
fn retain_blocks(seed: u64, n: u16) -> Vec<Option<u64>> {
    let mut random = Random::new(seed ^ 0x9E7A_1234);
    let most = random.permille(350).then(|| random.pick(&[0, 0, 4, 20]));
    ReplicaId::all(n).map(|_| most.filter(|_| random.permille(900))).collect()
}

/// From a stream of its own, as well.
fn executions(seed: u64, n: u16) -> Vec<u64> {
    let mut random = Random::new(seed ^ 0xE0EC_0715);
    let members: Vec<ReplicaId> = ReplicaId::all(n).collect();
    let most = random.pick(&[1_000, 10_000, 100_000]);
    drawn(&mut random, 350, &members, |random| random.between(0, most), 0)
}

/// From a stream of its own, as well.
fn changes(seed: u64) -> u64 {
    on(&mut Random::new(seed ^ 0x0C4A_96E5), 200, 40)
}

/// From a stream of its own, as well: of some whose disks would betray them it is the memory.
fn forgetful(seed: u64, betrayed: Vec<(ReplicaId, Betrayal)>) -> Vec<(ReplicaId, Betrayal)> {
    let mut random = Random::new(seed ^ 0x3E30_27F1);
    let mut drawn = |betrayal| if random.permille(250) { Betrayal::Memory } else { betrayal };
    betrayed.into_iter().map(|(member, betrayal)| (member, drawn(betrayal))).collect()
}

/// A thing of a class of faults that is on in so many of a thousand seeds.
fn on(random: &mut Random, chance: u64, most: u64) -> u64 {
    if random.permille(chance) { random.below(most) } else { 0 }
}

impl Draw {
    /// Whether anything goes wrong at all.
    pub fn has_faults(&self) -> bool {
        !self.calm
    }

    /// The configuration of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xD1AF);
        let random = &mut random;
        // Small clusters cost less, and most of what can go wrong goes wrong in them.
        let n = match random.below(100) {
            0..2 => random.between(8, 13),
            2..16 => random.between(5, 7),
            _ => 4,
        };
        let n = u16::try_from(n).unwrap_or(4);
        let f = usize::from((n - 1) / 3);
        let members: Vec<ReplicaId> = ReplicaId::all(n).collect();
        if random.permille(20) {
            return Self {
                gather_requests: gather_requests(seed),
                retain_blocks: retain_blocks(seed, n),
                ..Self::calm(random, n)
            };
        }
        let beyond_budget = random.permille(20);
        let parameters = parameters(random);
        let (liars, betrayed, dead) =
            faulty(random, n, if beyond_budget { usize::from(n) - 1 } else { f }, f);
        let mut draw = Self {
            n,
            healed_delay: 1_000,
            no_new_views_of: Vec::new(),
            parameters,
            faults: network(random),
            crashes: on(random, 700, 25),
            hunts: on(random, 500, 100),
            partitions: on(random, 500, 20),
            clogs: on(random, 250, 20),
            pauses: on(random, 300, 15),
            clock_jumps: on(random, 300, 20),
            clock_rates: drawn(random, 200, &members, |random| random.between(500, 2_000), 1_000),
            syncs: drawn(random, 300, &members, |random| random.between(100, 40_000), 300),
            executions: executions(seed, n),
            sync_failures: on(random, 150, 8),
            full_disks: on(random, 150, 8),
            changes: if beyond_budget { 0 } else { changes(seed) },
            workload: workload(random),
            steps: random.between(280, 900) / (1 + u64::from(n > 7)),
            blocks: random.between(101, 112),
            liars,
            betrayed: forgetful(seed, betrayed),
            dead,
            beyond_budget,
            repair_bytes: random.pick(&[2_000, 20_000, 4 << 20, 4 << 20]),
            gather_requests: gather_requests(seed),
            retain_blocks: retain_blocks(seed, n),
            keeps_on: random.permille(300),
            calm: false,
        };
        if random.permille(200) {
            draw.healed_delay = draw.slow_but_timely(random);
        }
        draw
    }

    /// Messages that take so long that the first timeout is too short, and so little that the longest, by the fastest clock,
    /// suffices for a view change and a commit: five of them in a row, each at most half as long again (V6). The longest is
    /// sometimes so much longer than the first that luck does not help who never doubles.
    fn slow_but_timely(&self, random: &mut Random) -> u64 {
        let fastest = self.clock_rates.iter().copied().max().unwrap_or(1_000).max(1_000);
        self.parameters.view_timeout_max_ms / 8 * random.between(400, 1_000) * 1_000 / fastest
    }

    /// No fault of any class: whatever happens is ours.
    fn calm(random: &mut Random, n: u16) -> Self {
        let members = usize::from(n);
        Self {
            n,
            parameters: Parameters {
                view_timeout_ms: 1_000,
                view_timeout_max_ms: 8_000,
                ..parameters(random)
            },
            faults: LinkFaults { min_delay: 100, jitter: 2_000, ..LinkFaults::default() },
            healed_delay: 1_000,
            no_new_views_of: Vec::new(),
            crashes: 0,
            hunts: 0,
            partitions: 0,
            clogs: 0,
            pauses: 0,
            clock_jumps: 0,
            clock_rates: vec![1_000; members],
            syncs: vec![300; members],
            executions: vec![0; members],
            sync_failures: 0,
            full_disks: 0,
            changes: 0,
            workload: workload(random),
            steps: random.between(100, 300),
            blocks: u64::MAX,
            liars: Vec::new(),
            betrayed: Vec::new(),
            dead: Vec::new(),
            beyond_budget: false,
            repair_bytes: 4 << 20,
            gather_requests: 0,
            retain_blocks: vec![None; members],
            keeps_on: false,
            calm: true,
        }
    }
}

/// One number for each member, if the class is on, else the usual one.
fn drawn(
    random: &mut Random,
    chance: u64,
    members: &[ReplicaId],
    draw: impl Fn(&mut Random) -> u64,
    usual: u64,
) -> Vec<u64> {
    let is_on = random.permille(chance);
    members.iter().map(|_| if is_on { draw(random) } else { usual }).collect()
}

/// Small constants, so that windows fill, checkpoints pass and queues overflow within a run.
fn parameters(random: &mut Random) -> Parameters {
    let checkpoint_every = random.pick(&[2, 4, 8, 16]);
    let window = checkpoint_every * random.between(2, 3);
    let view_timeout_ms = random.pick(&[200, 400, 1_000]);
    Parameters {
        checkpoint_every,
        window,
        depth: random.between(1, window.min(8)),
        block_max_transactions: u32::try_from(random.pick(&[1, 1, 2, 8, 100])).unwrap_or(100),
        session_window: u32::try_from(random.pick(&[1, 4, 16, 64, 64, 64])).unwrap_or(64),
        view_timeout_ms,
        view_timeout_max_ms: view_timeout_ms * random.pick(&[8, 8, 32]),
        ..Parameters::default()
    }
}

fn network(random: &mut Random) -> LinkFaults {
    LinkFaults {
        min_delay: 100 + on(random, 800, 2_000),
        jitter: 500 + on(random, 600, 40_000),
        loss: on(random, 500, 300),
        duplicates: on(random, 500, 500),
        stragglers: on(random, 400, 100),
        replays: on(random, 300, 50),
        capacity: if random.permille(200) { Some(random.between(2, 20)) } else { None },
        ..LinkFaults::default()
    }
}

fn workload(random: &mut Random) -> Workload {
    Workload {
        clients: usize::try_from(random.between(1, 6)).unwrap_or(1),
        under_way: usize::try_from(random.between(1, 10)).unwrap_or(1),
        starts: random.pick(&[100, 500, 1_000, 1_000]),
        burst: random.permille(150),
        keys: random.pick(&[1, 4, 64]),
        value_bytes: usize::try_from(random.pick(&[0, 0, 0, 0, 0, 0, 2_000])).unwrap_or(0),
        rivals: on(random, 300, 200),
        copies: on(random, 300, 300),
        nonsense: on(random, 200, 100),
    }
}

type Faulty = (Vec<(ReplicaId, Vec<u16>)>, Vec<(ReplicaId, Betrayal)>, Vec<ReplicaId>);

/// Liars, members with disks that betray them, and members that stay dead: at most `f` together, unless there may be more
/// liars.
fn faulty(random: &mut Random, n: u16, most_liars: usize, f: usize) -> Faulty {
    let mut members: Vec<ReplicaId> = ReplicaId::all(n).collect();
    for at in (1..members.len()).rev() {
        members.swap(at, random.index(at + 1));
    }
    let beyond = most_liars > f;
    let lying = if beyond {
        f + 1 + random.index(most_liars - f)
    } else if random.permille(580) {
        1 + random.index(f)
    } else {
        0
    };
    let liars: Vec<ReplicaId> = members.drain(..lying).collect();
    let ways = |random: &mut Random| -> Vec<u16> {
        let count = random.between(1, 3);
        let mut ways: Vec<u16> = (0..count).map(|_| BEHAVIOURS[random.index(BEHAVIOURS.len())].0).collect();
        if beyond && random.permille(700) {
            // Together these split the honest, if there are enough of them.
            ways = vec![48];
        }
        ways
    };
    let liars: Vec<_> = liars.into_iter().map(|liar| (liar, ways(random))).collect();
    let left = f.saturating_sub(lying);
    let betrayals = [
        Betrayal::LyingSync,
        Betrayal::Damage(DiskFault::Lost),
        Betrayal::Damage(DiskFault::Old),
        Betrayal::Damage(DiskFault::LogBit),
        Betrayal::Damage(DiskFault::BlockBit),
        Betrayal::Damage(DiskFault::LogAstray),
        Betrayal::Damage(DiskFault::BlockAstray),
    ];
    let bad = if left > 0 && random.permille(300) { 1 + random.index(left) } else { 0 };
    let betrayed: Vec<_> = members.drain(..bad).map(|member| (member, random.pick(&betrayals))).collect();
    let dead = if random.permille(500) { members.drain(..left - bad).collect() } else { Vec::new() };
    (liars, betrayed, dead)
}
