//! The states of single replicas, each kept once, and what leads from one to the next.
//!
//! The core is deterministic, so a turn of it needs to be run once for each state of a replica and each thing that can happen
//! to it. A state of the cluster is then four numbers.
//!
//! A replica's deliveries that nobody can see are not interleaved with what others do. Letters never vanish, so whatever it
//! took in silently it could as well have taken in right before the next turn that shows: a *move* is a word of silent
//! stimuli and one visible one. Of moves that lead to the same state only short ones are needed: a move is left out if one
//! of its silent stimuli can be dropped, or can come after the visible one, with the same result. That is tried on the core
//! itself, for each move; nothing is assumed to commute. By induction over the lengths of an execution's moves, in order,
//! every visible state that is reachable at all is reached.

use crate::letters::LetterId;
use crate::liar::{bodies, lies};
use crate::node::{Broken, Crash, Node, Stimulus, Turn, World};
use crate::rows::Row;
use crate::scheme::N;
use quorate_types::{Digest, ReplicaId, Seq, View};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub(crate) type NodeId = u32;

/// The place of the liar.
pub(crate) const NOBODY: NodeId = NodeId::MAX;

/// A cluster: the state of each replica.
pub(crate) type Cluster = [NodeId; N as usize];

/// Silent stimuli, then one that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) stimuli: Arc<[Stimulus]>,
    pub(crate) to: NodeId,
}

#[derive(Clone, Copy)]
struct Step {
    to: NodeId,
    visible: bool,
    records: u8,
}

/// What the properties look at, of one replica: what it may have done by now, seen or silently.
#[derive(Clone, Default)]
pub(crate) struct Summary {
    pub(crate) executed: BTreeSet<(Seq, Digest)>,
    pub(crate) prepared: BTreeSet<(View, Seq, Digest)>,
    pub(crate) accepted: BTreeSet<(View, Seq, Vec<Digest>)>,
    pub(crate) commits: BTreeSet<(View, Seq, Digest)>,
    pub(crate) broken: BTreeSet<Broken>,
}

/// A cluster's replicas: where they stand and what each can do next.
#[derive(Clone)]
pub(crate) struct Sight {
    pub(crate) moves: Vec<(usize, Arc<[Move]>)>,
    pub(crate) summaries: Vec<Arc<Summary>>,
}

struct Known {
    node: Arc<Node>,
    steps: HashMap<Stimulus, Option<Step>>,
    /// Letters that do nothing here, but do after silent stimuli.
    late: BTreeSet<LetterId>,
}

/// The moves of a replica with certain letters, and for which other letters it was seen that they add none.
struct Explored {
    moves: Arc<[Move]>,
    summary: Arc<Summary>,
    silent: Vec<NodeId>,
    checked: HashSet<LetterId>,
}

/// Figures about an exploration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Different states of single replicas.
    pub local_states: usize,
    /// Different letters.
    pub letters: usize,
    /// The longest word of silent stimuli that a move needed.
    pub longest_silence: usize,
    /// Whether longer words were left out.
    pub capped: bool,
}

pub(crate) struct Universe {
    pub(crate) world: World,
    mutant: &'static str,
    known: Vec<Known>,
    by_hash: HashMap<u64, Vec<NodeId>>,
    explored: HashMap<(NodeId, Vec<LetterId>), Explored>,
    lies: HashMap<Vec<LetterId>, Arc<[LetterId]>>,
    bodies: Vec<LetterId>,
    longest_silence: usize,
    capped: bool,
}

impl Universe {
    pub(crate) fn new(row: Row, mutant: &'static str) -> Self {
        let mut world = World::new(row);
        let bodies = if world.row.bodies { bodies(&mut world) } else { Vec::new() };
        Self {
            world,
            mutant,
            known: Vec::new(),
            by_hash: HashMap::new(),
            explored: HashMap::new(),
            lies: HashMap::new(),
            bodies,
            longest_silence: 0,
            capped: false,
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures {
            local_states: self.known.len(),
            letters: self.lies.values().map(|some| some.len()).max().unwrap_or(0),
            longest_silence: self.longest_silence,
            capped: self.capped,
        }
    }

    pub(crate) fn start(&mut self) -> Cluster {
        activate(self.mutant);
        let mut cluster = [NOBODY; N as usize];
        let liar = self.world.row.liar;
        for me in ReplicaId::all(N).filter(|me| Some(me.get()) != liar) {
            let node = Node::start(&mut self.world, me);
            cluster[me.index()] = self.intern(node);
        }
        cluster
    }

    fn intern(&mut self, node: Node) -> NodeId {
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        let same = self.by_hash.entry(hasher.finish()).or_default();
        if let Some(id) = same.iter().find(|id| *self.known[**id as usize].node == node) {
            return *id;
        }
        let id = NodeId::try_from(self.known.len()).expect("few states of a replica");
        same.push(id);
        self.known.push(Known { node: Arc::new(node), steps: HashMap::new(), late: BTreeSet::new() });
        id
    }

    /// What happens to a replica in this state, run on the core when it is asked first. Nothing beyond the row's bounds.
    fn step(&mut self, at: NodeId, stimulus: Stimulus) -> Option<Step> {
        if let Some(step) = self.known[at as usize].steps.get(&stimulus) {
            return *step;
        }
        activate(self.mutant);
        let before = self.known[at as usize].node.clone();
        if let Stimulus::Deliver(letter) = stimulus
            && before.waits_for(self.world.letters.get(letter))
        {
            return Some(Step { to: at, visible: false, records: 0 });
        }
        let mut node = (*before).clone();
        let records = node.apply(&mut self.world, stimulus);
        let step = records.map(|records| {
            let visible = node.differs_visibly(&before);
            Step { to: self.intern(node), visible, records }
        });
        self.known[at as usize].steps.insert(stimulus, step);
        step
    }

    fn effective(&mut self, at: NodeId, letter: LetterId) -> bool {
        self.step(at, Stimulus::Deliver(letter)).is_some_and(|step| step.to != at)
    }

    /// Everything that was sent, or can be.
    fn pool(&mut self, cluster: &Cluster) -> Vec<LetterId> {
        let correct = cluster.iter().filter(|id| **id != NOBODY);
        let mut pool: Vec<LetterId> =
            correct.flat_map(|id| self.known[*id as usize].node.sent.iter().copied()).collect();
        pool.sort_unstable();
        if self.world.row.liar.is_some() {
            let lies = match self.lies.get(&pool) {
                Some(lies) => lies.clone(),
                None => {
                    let lies: Arc<[LetterId]> = lies(&mut self.world, &pool).into();
                    self.lies.insert(pool.clone(), lies.clone());
                    lies
                }
            };
            pool.extend(lies.iter());
        }
        pool.extend(&self.bodies);
        if !self.world.row.decide {
            pool.retain(|letter| !self.world.letters.is_commit(*letter));
        }
        pool.sort_unstable();
        pool
    }

    /// What there is to see of a cluster.
    pub(crate) fn look(&mut self, cluster: &Cluster) -> Sight {
        let pool = self.pool(cluster);
        let mut sight = Sight { moves: Vec::new(), summaries: Vec::new() };
        for (place, at) in cluster.iter().enumerate().filter(|(_, at)| **at != NOBODY) {
            let explored = self.moves_of(*at, &pool);
            sight.moves.push((place, explored.moves.clone()));
            sight.summaries.push(explored.summary.clone());
        }
        sight
    }

    fn moves_of(&mut self, at: NodeId, pool: &[LetterId]) -> &Explored {
        loop {
            let mut wanted = Vec::new();
            let mut others = Vec::new();
            for letter in pool {
                if self.effective(at, *letter) || self.known[at as usize].late.contains(letter) {
                    wanted.push(*letter);
                } else {
                    others.push(*letter);
                }
            }
            let key = (at, wanted);
            if !self.explored.contains_key(&key) {
                let explored = self.explore(at, &key.1);
                self.explored.insert(key.clone(), explored);
            }
            let checked = &self.explored[&key].checked;
            others.retain(|letter| !checked.contains(letter));
            if others.is_empty() {
                return &self.explored[&key];
            }
            let silent = self.explored[&key].silent.clone();
            let late: Vec<LetterId> = others
                .iter()
                .copied()
                .filter(|letter| silent.iter().any(|at| self.effective(*at, *letter)))
                .collect();
            if late.is_empty() {
                let explored = self.explored.get_mut(&key).expect("inserted above");
                explored.checked.extend(others);
                return explored;
            }
            self.known[at as usize].late.extend(late);
        }
    }

    fn explore(&mut self, from: NodeId, letters: &[LetterId]) -> Explored {
        let mut silent: Vec<(NodeId, Vec<Stimulus>)> = vec![(from, Vec::new())];
        let mut seen = HashSet::from([from]);
        let mut reached = HashSet::new();
        let mut moves = Vec::new();
        let mut next = 0;
        while next < silent.len() {
            let (at, word) = silent[next].clone();
            next += 1;
            for stimulus in self.stimuli(at, letters) {
                let Some(step) = self.step(at, stimulus).filter(|step| step.to != at) else { continue };
                if !step.visible {
                    if word.len() >= self.world.row.silence {
                        self.capped = true;
                    } else if seen.insert(step.to) {
                        silent.push((step.to, [&word[..], &[stimulus]].concat()));
                    }
                } else if !reached.contains(&step.to) && !self.is_redundant(from, &word, stimulus, step.to) {
                    reached.insert(step.to);
                    self.longest_silence = self.longest_silence.max(word.len());
                    moves.push(Move { stimuli: [&word[..], &[stimulus]].concat().into(), to: step.to });
                }
            }
        }
        let silent: Vec<NodeId> = silent.into_iter().map(|(at, _)| at).collect();
        let mut summary = Summary::default();
        for at in &silent {
            self.known[*at as usize].node.summarise(&self.world, &mut summary);
        }
        Explored { moves: moves.into(), summary: Arc::new(summary), silent, checked: HashSet::new() }
    }

    fn stimuli(&mut self, at: NodeId, letters: &[LetterId]) -> Vec<Stimulus> {
        let node = self.known[at as usize].node.clone();
        let turns = letters.iter().map(|letter| Turn::Deliver(*letter));
        let turns: Vec<Turn> = turns.chain(node.own_stimuli(&self.world.row)).collect();
        let mut stimuli: Vec<Stimulus> = turns.iter().copied().map(whole).collect();
        let crashes = node.crashes(&self.world.row);
        if crashes.is_empty() {
            return stimuli;
        }
        stimuli.extend(crashes.into_iter().map(Stimulus::Crash));
        let crash = Crash { blocks_lost: false, peers_know: true };
        for turn in turns {
            let records = self.step(at, whole(turn)).map_or(0, |step| step.records);
            stimuli.extend((1..=records).map(|kept| Stimulus::CrashIn(turn, kept, crash)));
        }
        stimuli
    }

    /// Whether one of the silent stimuli can be dropped, or come last, so that something shows sooner and the end is the same.
    fn is_redundant(&mut self, from: NodeId, word: &[Stimulus], last: Stimulus, to: NodeId) -> bool {
        (0..word.len()).any(|place| {
            let others = word.iter().enumerate().filter(|(other, _)| *other != place);
            let mut at = from;
            let mut shown = false;
            for stimulus in others.map(|(_, stimulus)| *stimulus).chain([last]) {
                let Some(step) = self.step(at, stimulus) else { return false };
                shown |= step.visible;
                at = step.to;
            }
            shown && (at == to || self.step(at, word[place]).is_some_and(|step| step.to == to))
        })
    }

    /// A line for each stimulus.
    pub(crate) fn describe(&self, stimuli: &[Stimulus]) -> String {
        let turn = |turn: &Turn| match turn {
            Turn::Deliver(letter) => self.world.letters.describe(*letter),
            other => format!("{other:?}"),
        };
        let one = |stimulus: &Stimulus| match stimulus {
            Stimulus::Deliver(letter) => self.world.letters.describe(*letter),
            Stimulus::CrashIn(within, kept, crash) => {
                format!("crash after {kept} records of: {}; {crash:?}", turn(within))
            }
            other => format!("{other:?}"),
        };
        stimuli.iter().map(one).collect::<Vec<_>>().join("; then ")
    }
}

fn whole(turn: Turn) -> Stimulus {
    match turn {
        Turn::Deliver(letter) => Stimulus::Deliver(letter),
        Turn::Suspect => Stimulus::Suspect,
        Turn::Expire => Stimulus::Expire,
    }
}

/// The mistake is a property of the thread that runs the core.
fn activate(mutant: &'static str) {
    #[cfg(feature = "mutants")]
    quorate_types::mutants::activate(mutant);
    #[cfg(not(feature = "mutants"))]
    assert!(mutant.is_empty(), "built without mutants");
}
