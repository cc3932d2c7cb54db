//! S10, S12: a stable checkpoint is executed; what a member knows to be settled never goes back while its process runs. What it said across restarts is the
//! auditor's; what a restart may forget was never durable, and so nobody else was told.

use super::Violation;
use quorate_pbft::ReplicaStatus;
use quorate_types::ReplicaId;
use std::collections::BTreeMap;

/// The last position of each process.
#[derive(Debug, Default)]
pub(crate) struct Monotone {
    last: BTreeMap<ReplicaId, (u64, ReplicaStatus)>,
}

impl Monotone {
    /// The position of a member in its start with this number.
    pub(crate) fn seen(&mut self, incarnation: u64, status: &ReplicaStatus) -> Result<(), Violation> {
        if status.stable > status.executed {
            return Err(Violation {
                property: "S12 stable is executed",
                what: format!("{} has {} stable and {} executed", status.me, status.stable, status.executed),
            });
        }
        let before = self.last.insert(status.me, (incarnation, *status));
        let Some((earlier, before)) = before else { return Ok(()) };
        let fell = |what: &str, from: u64, to: u64| {
            Err(Violation {
                property: "S10 monotone",
                what: format!("{what} of {} fell from {from} to {to}", status.me),
            })
        };
        if earlier != incarnation {
            return Ok(());
        }
        for (what, from, to) in [
            ("the view", before.view.get(), status.view.get()),
            ("the epoch", before.epoch.get(), status.epoch.get()),
            ("the stable checkpoint", before.stable.get(), status.stable.get()),
            ("the base", before.base.get(), status.base.get()),
            ("the last execution", before.executed.get(), status.executed.get()),
            ("the last decision", before.committed.get(), status.committed.get()),
            ("the last certificate", before.certified.get(), status.certified.get()),
        ] {
            if to < from {
                return fell(what, from, to);
            }
        }
        Ok(())
    }
}
