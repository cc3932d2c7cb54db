//! Notices that requests wait and nothing is executed, and says in one line what this replica waits for.

use quorate_pbft::{SlotStep, Waits};
use quorate_types::{ReplicaId, Seq};
use std::time::{Duration, Instant};

/// Requests that wait for so long without a block are worth a line.
const STALLED: Duration = Duration::from_secs(5);
/// And another line as long as it lasts.
const AGAIN: Duration = Duration::from_secs(30);

/// When something was last executed, or nothing waited.
#[derive(Debug)]
pub(crate) struct StallWatch {
    executed: Seq,
    since: Instant,
    said: Option<Instant>,
}

impl StallWatch {
    pub(crate) fn new(now: Instant) -> Self {
        Self { executed: Seq::ZERO, since: now, said: None }
    }

    /// For how long nothing has moved, if that should be said now.
    pub(crate) fn look(&mut self, executed: Seq, waiting: bool, now: Instant) -> Option<Duration> {
        if executed != self.executed || !waiting {
            *self = Self { executed, since: now, said: None };
            return None;
        }
        let stalled = now.duration_since(self.since);
        let due = self.said.is_none_or(|said| now.duration_since(said) >= AGAIN);
        (stalled >= STALLED && due).then(|| {
            self.said = Some(now);
            stalled
        })
    }
}

/// What a replica waits for, in words; whose statements are missing is told by `missing`.
pub(crate) fn sentence(waits: &Waits, members: &[&str], me: ReplicaId, primary: ReplicaId) -> String {
    let quorum = waits.quorum;
    let missing =
        |by: &[ReplicaId], but: Option<ReplicaId>| list(members, |id| !by.contains(&id) && Some(id) != but);
    let of = |by: &[ReplicaId]| list(members, |id| by.contains(&id));
    let name = |member: ReplicaId| members.get(member.index()).copied().unwrap_or("?");
    if let Some(by) = &waits.hello {
        return format!(
            "its HELLO was answered by {}, not by {}; it needs {}",
            of(by),
            missing(by, Some(me)),
            quorum - 1
        );
    }
    if let Some(wait) = &waits.view_change {
        let (view, opener) = (wait.view, name(wait.primary));
        if wait.by.len() < quorum {
            let missing = missing(&wait.by, None);
            return format!(
                "view {view} needs {quorum} VIEW-CHANGEs: {} sent one, {missing} none",
                of(&wait.by)
            );
        }
        return format!("view {view} needs the NEW-VIEW of {opener}");
    }
    if let Some((seq, by)) = &waits.checkpoint {
        let missing = missing(by, None);
        return format!(
            "the window is full: checkpoint {seq} is signed by {}, not by {missing}; it needs {quorum}",
            of(by)
        );
    }
    let Some(slot) = &waits.slot else { return "it has executed all that it knows of".to_owned() };
    let seq = slot.seq;
    match slot.step {
        SlotStep::Proposal => format!("block {seq} needs the proposal of {}", name(primary)),
        SlotStep::Body => format!("block {seq} lacks its transactions"),
        SlotStep::Prepares => {
            let missing = missing(&slot.by, Some(primary));
            format!("block {seq} needs {} PREPAREs: {} sent one, {missing} none", quorum - 1, of(&slot.by))
        }
        SlotStep::Commits => {
            let missing = missing(&slot.by, None);
            format!("block {seq} needs {quorum} COMMITs: {} sent one, {missing} none", of(&slot.by))
        }
        SlotStep::Execution => format!("block {seq} is decided and not executed"),
    }
}

fn list(members: &[&str], which: impl Fn(ReplicaId) -> bool) -> String {
    let ids = ReplicaId::all(u16::try_from(members.len()).unwrap_or(u16::MAX));
    let named: Vec<&str> = ids.zip(members).filter(|(id, _)| which(*id)).map(|(_, name)| *name).collect();
    if named.is_empty() { "nobody".to_owned() } else { named.join(", ") }
}

#[cfg(test)]
mod tests;
