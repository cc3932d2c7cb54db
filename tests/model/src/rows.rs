//! The bounds that are explored, one row each.

use crate::liar::Lie;
use crate::model::ClusterModel;
use crate::universe::Figures;
use stateright::{Checker, HasDiscoveries, Model};
use std::time::{Duration, Instant};

/// What is explored.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    /// Views 0 to this one, itself excluded.
    pub views: u64,
    pub slots: u64,
    /// K; the window is 2K.
    pub checkpoint_every: u64,
    /// The Byzantine member.
    pub liar: Option<u16>,
    pub lies: &'static [Lie],
    /// Who may crash.
    pub crash: Option<u16>,
    /// How often.
    pub crashes: u8,
    /// Whether bodies can be had without their proposals (V9).
    pub bodies: bool,
    /// Whether COMMITs arrive, so that replicas decide and execute. If not, what could be decided is known from the COMMITs sent.
    pub decide: bool,
    /// How many stimuli a replica takes in silently before a turn that shows, at most.
    pub silence: usize,
    /// Depth-first takes less memory; the depth is then no shortest one.
    pub depth_first: bool,
    /// How deep to look, if not to the end: states at this depth are not looked at any more.
    pub depth: Option<usize>,
}

/// What came of a row.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub generated: usize,
    pub unique: usize,
    pub depth: usize,
    pub took: Duration,
    pub figures: Figures,
    /// Whether every reachable state within the bounds was visited.
    pub complete: bool,
    /// The properties that do not hold, each with the way there.
    pub discoveries: Vec<(&'static str, Vec<String>)>,
}

/// One view, one slot, nobody lies or crashes, nothing is left out.
const PLAIN: Row = Row {
    name: "1 view",
    views: 1,
    slots: 1,
    checkpoint_every: 4,
    liar: None,
    lies: &[],
    crash: None,
    crashes: 0,
    bodies: false,
    decide: true,
    silence: usize::MAX,
    depth_first: false,
    depth: None,
};

const VOTES: &[Lie] = &[Lie::Propose, Lie::Prepare, Lie::Commit];
/// One view, a lying primary.
const LIAR: Row = Row { name: "1 view, liar 0", liar: Some(0), lies: VOTES, bodies: true, ..PLAIN };

/// Every row, the smallest first.
pub fn rows() -> Vec<Row> {
    let crash = Row { crash: Some(1), crashes: 1, ..PLAIN };
    let told = Row { decide: false, ..LIAR };
    // Only the beginning of what can happen in two views: these rows show mistakes, they prove nothing.
    let begun = Row { views: 2, decide: false, bodies: true, silence: 3, depth: Some(7), ..PLAIN };
    vec![
        PLAIN,
        Row { name: "1 view, crash 1", ..crash },
        Row { name: "1 view, 2 slots, no decisions", slots: 2, decide: false, ..PLAIN },
        Row { name: "1 view, liar 0, no decisions", ..told.clone() },
        Row { name: "1 view, liar 0, crash 1, no decisions", crash: Some(1), crashes: 1, ..told },
        LIAR,
        Row {
            name: "2 views, liar 3, no decisions, begun",
            liar: Some(3),
            lies: &[Lie::Prepare, Lie::Empty, Lie::Proven],
            ..begun
        },
        Row {
            name: "2 views, liar 1 opens the second, no decisions, begun",
            liar: Some(1),
            lies: &[Lie::Prepare, Lie::Empty, Lie::NewView, Lie::FalseNewView],
            ..begun
        },
    ]
}

/// The row of this name.
///
/// # Panics
/// If there is none.
pub fn row(name: &str) -> Row {
    rows().into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row is named {name}"))
}

/// Explores a row, for at most so long.
pub fn check(row: &Row, mutant: &'static str, most: Duration) -> Outcome {
    let model = ClusterModel::new(row.clone(), mutant);
    let begun = Instant::now();
    let mut builder = model.clone().checker().timeout(most).finish_when(HasDiscoveries::AnyFailures);
    if let Some(depth) = row.depth {
        builder = builder.target_max_depth(depth);
    }
    if row.depth_first {
        outcome(row, &model, builder.spawn_dfs(), begun, most)
    } else {
        outcome(row, &model, builder.spawn_bfs(), begun, most)
    }
}

fn outcome(
    row: &Row,
    model: &ClusterModel,
    checker: impl Checker<ClusterModel>,
    begun: Instant,
    most: Duration,
) -> Outcome {
    let checker = checker.join();
    let took = begun.elapsed();
    let discoveries: Vec<(&'static str, Vec<String>)> = checker
        .discoveries()
        .into_iter()
        .map(|(name, path)| {
            let actions = path.into_actions();
            (name, actions.iter().map(|action| model.describe(action)).collect())
        })
        .collect();
    Outcome {
        generated: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        took,
        figures: model.figures(),
        complete: took < most && row.depth.is_none() && discoveries.is_empty(),
        discoveries,
    }
}
