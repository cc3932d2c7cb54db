//! A row as a stateright model, and what must always hold.

use crate::node::Broken;
use crate::rows::Row;
use crate::universe::{Cluster, Figures, Move, Sight, Summary, Universe};
use quorate_types::{Digest, Seq, View};
use stateright::{Model, Property};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// The clusters of one row.
#[derive(Clone)]
pub(crate) struct ClusterModel {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    universe: Universe,
    strong: usize,
    liars: usize,
    /// The cluster looked at last: properties and actions ask one after the other.
    last: Option<(Cluster, Sight, BTreeSet<Rule>)>,
}

/// One replica makes a move.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Action {
    place: usize,
    step: Move,
}

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Agreement,
    Certified,
    Prepared,
    Stands,
    Each(Broken),
}

impl ClusterModel {
    pub(crate) fn new(row: Row, mutant: &'static str) -> Self {
        let liars = usize::from(row.liar.is_some());
        let universe = Universe::new(row, mutant);
        let strong = universe.world.members.quorums().strong();
        let inner = Inner { universe, strong, liars, last: None };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    pub(crate) fn figures(&self) -> Figures {
        self.locked(|inner| inner.universe.figures())
    }

    pub(crate) fn describe(&self, action: &Action) -> String {
        self.locked(|inner| format!("{}: {}", action.place, inner.universe.describe(&action.step.stimuli)))
    }

    fn locked<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock().expect("no checker has panicked"))
    }

    fn holds(&self, cluster: &Cluster, rule: Rule) -> bool {
        self.locked(|inner| !inner.look(cluster).1.contains(&rule))
    }
}

impl Inner {
    fn look(&mut self, cluster: &Cluster) -> (&Sight, &BTreeSet<Rule>) {
        if self.last.as_ref().is_none_or(|(last, _, _)| last != cluster) {
            let sight = self.universe.look(cluster);
            let broken = self.broken(&sight.summaries);
            self.last = Some((*cluster, sight, broken));
        }
        let (_, sight, broken) = self.last.as_ref().expect("just looked at");
        (sight, broken)
    }

    fn broken(&self, summaries: &[Arc<Summary>]) -> BTreeSet<Rule> {
        let committed = self.committed(summaries);
        let mut broken: BTreeSet<Rule> =
            summaries.iter().flat_map(|summary| &summary.broken).map(|rule| Rule::Each(*rule)).collect();
        let rules = [
            (Rule::Agreement, one_for_each(committed.iter().map(|(_, seq, digest)| (*seq, *digest)))),
            (Rule::Certified, certified(summaries, &committed)),
            (Rule::Prepared, one_prepared(summaries)),
            (Rule::Stands, stands(summaries, &committed)),
        ];
        broken.extend(rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule));
        broken
    }

    /// What q members, the liar among them, may be shown to have COMMITted.
    fn committed(&self, summaries: &[Arc<Summary>]) -> Vec<(View, Seq, Digest)> {
        let mut counts: BTreeMap<(View, Seq, Digest), usize> = BTreeMap::new();
        for commit in summaries.iter().flat_map(|summary| &summary.commits) {
            *counts.entry(*commit).or_default() += 1;
        }
        let enough = counts.into_iter().filter(|(_, count)| count + self.liars >= self.strong);
        enough.map(|(commit, _)| commit).collect()
    }
}

/// S5: what anyone executes has its quorum of COMMITs.
fn certified(summaries: &[Arc<Summary>], committed: &[(View, Seq, Digest)]) -> bool {
    let mut executed = summaries.iter().flat_map(|summary| &summary.executed);
    executed.all(|(seq, digest)| committed.iter().any(|(_, of, what)| (of, what) == (seq, digest)))
}

/// S8.
fn one_prepared(summaries: &[Arc<Summary>]) -> bool {
    let prepared = summaries.iter().flat_map(|summary| &summary.prepared);
    one_for_each(prepared.map(|(view, seq, digest)| ((*view, *seq), *digest)))
}

/// S9.
fn stands(summaries: &[Arc<Summary>], committed: &[(View, Seq, Digest)]) -> bool {
    summaries.iter().flat_map(|summary| &summary.accepted).all(|(later, min, proposals)| {
        committed.iter().filter(|(view, seq, _)| view < later && seq > min).all(|(_, seq, digest)| {
            let place = usize::try_from(seq.above(*min)).unwrap_or(usize::MAX) - 1;
            proposals.get(place) == Some(digest)
        })
    })
}

fn one_for_each<K: Ord>(mut pairs: impl Iterator<Item = (K, Digest)>) -> bool {
    let mut first = BTreeMap::new();
    pairs.all(|(key, digest)| *first.entry(key).or_insert(digest) == digest)
}

impl Model for ClusterModel {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        vec![self.locked(|inner| inner.universe.start())]
    }

    fn actions(&self, cluster: &Cluster, actions: &mut Vec<Action>) {
        self.locked(|inner| {
            for (place, moves) in &inner.look(cluster).0.moves {
                actions.extend(moves.iter().map(|step| Action { place: *place, step: step.clone() }));
            }
        });
    }

    fn next_state(&self, cluster: &Cluster, action: Action) -> Option<Cluster> {
        let mut next = *cluster;
        next[action.place] = action.step.to;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = Property::<Self>::always;
        vec![
            // No two certificates can be shown for one slot.
            always("S1 agreement", |model, cluster| model.holds(cluster, Rule::Agreement)),
            always("S5 executed has its quorum", |model, cluster| model.holds(cluster, Rule::Certified)),
            always("S6 no two statements contradict", |model, cluster| {
                model.holds(cluster, Rule::Each(Broken::TwoFaced))
            }),
            always("S7 no vote in a left view", |model, cluster| {
                model.holds(cluster, Rule::Each(Broken::LeftView))
            }),
            always("S8 one prepared digest", |model, cluster| model.holds(cluster, Rule::Prepared)),
            always("S9 committed stands in NEW-VIEW", |model, cluster| model.holds(cluster, Rule::Stands)),
            always("S10 executed never falls", |model, cluster| {
                model.holds(cluster, Rule::Each(Broken::Fell))
            }),
            always("N9 no correct replica halts", |model, cluster| {
                model.holds(cluster, Rule::Each(Broken::Halted))
            }),
            always("D6 no log forgets", |model, cluster| model.holds(cluster, Rule::Each(Broken::Forgot))),
            always("D what is sent is durable", |model, cluster| {
                model.holds(cluster, Rule::Each(Broken::Uncovered))
            }),
        ]
    }
}
