//! Twins (Bano et al., *Twins: BFT Systems Made Robust*, OPODIS 2021): instead of a liar written by hand, a member whose key
//! is in two honest processes at once, each with its own disks, clock and start. Between them they contradict themselves in
//! every way that two honest copies can. A scenario says, for each phase of its first views, in which parts of the cluster
//! messages arrive; then everything heals.
//!
//! The space of scenarios is numbered, and walked in an order that visits none twice.

mod numbering;
mod requests;
mod run;
mod script;
mod shuffle;

use crate::partitions::Partition;
pub use numbering::Space;
use quorate_types::ReplicaId;
pub use run::{Failure, Report, run, story};
pub(crate) use script::{PHASES, Script};
use std::fmt;

/// Members that run twice.
pub type Twinned = Vec<ReplicaId>;

/// What happens besides, in the middle of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Plain,
    /// The second copy of the first twinned member crashes and starts again.
    TwinRestarts,
    /// It starts late, with empty disks.
    TwinForgets,
    /// A correct member crashes and starts again.
    MemberRestarts(ReplicaId),
}

/// Who is twinned, and which messages arrive where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub members: u16,
    pub twinned: Twinned,
    pub variant: Variant,
    /// For each view, the parts within which its proposals (and NEW-VIEWs, and what has no view), its PREPAREs and its
    /// COMMITs arrive. Processes are the members and then one twin for each of `twinned`.
    pub views: Vec<Vec<Partition>>,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let twins = self.twinned.iter().zip(self.members..);
        let twins: Vec<String> =
            twins.map(|(member, twin)| format!("{twin} is a twin of {member}")).collect();
        writeln!(f, "{} members, {}; {:?}", self.members, twins.join(", "), self.variant)?;
        for (view, phases) in self.views.iter().enumerate() {
            write!(f, "view {view}:")?;
            for (phase, partition) in ["proposals", "PREPAREs", "COMMITs"].iter().zip(phases) {
                write!(f, " {phase} {partition}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// One in so many scenarios is of seven members with two twins; the others of four with one.
const LARGE: u128 = 8;

/// The order in which scenarios are run: no number leads to a scenario that another one leads to.
#[derive(Debug)]
pub struct Walk {
    small: Space,
    large: Space,
}

impl Default for Walk {
    fn default() -> Self {
        Self { small: Space::new(4), large: Space::new(7) }
    }
}

impl Walk {
    /// How many scenarios there are of four and of seven members.
    pub fn sizes(&self) -> (u128, u128) {
        (self.small.size(), self.large.size())
    }

    /// The scenario at a place of the order.
    pub fn scenario(&self, place: u64) -> Scenario {
        let place = u128::from(place);
        let (space, place) = if place % LARGE == LARGE - 1 {
            (&self.large, place / LARGE)
        } else {
            (&self.small, place - place / LARGE)
        };
        space.scenario(shuffle::shuffled(place, space.size()))
    }
}

#[cfg(test)]
mod tests;
