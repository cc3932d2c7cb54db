//! S9, V3: what is committed in a view stands in the NEW-VIEW of every later view, or below where that one begins.

use super::Violation;
use quorate_types::{Digest, Message, NewView, Parameters, ReplicaId, Seq, Statement, View, ViewChange};
use std::collections::{BTreeMap, BTreeSet};

/// COMMITs by slot, and the NEW-VIEWs that correct members accepted.
#[derive(Debug, Default)]
pub(crate) struct NewViews {
    commits: BTreeMap<(Seq, View, Digest), BTreeSet<ReplicaId>>,
    committed: BTreeMap<Seq, (View, Digest)>,
    accepted: BTreeMap<View, (Seq, Vec<Digest>)>,
}

impl NewViews {
    /// A message leaves a member, correct or not: its COMMIT counts.
    pub(crate) fn sent(
        &mut self,
        from: ReplicaId,
        message: &Message,
        strong: usize,
    ) -> Result<(), Violation> {
        let Message::Vote(signed) = message else { return Ok(()) };
        let Statement::Commit { view, seq, digest } = signed.statement else { return Ok(()) };
        if signed.signer != from || self.committed.contains_key(&seq) {
            return Ok(());
        }
        let signers = self.commits.entry((seq, view, digest)).or_default();
        signers.insert(from);
        if signers.len() < strong {
            return Ok(());
        }
        self.committed.insert(seq, (view, digest));
        let mut later = self.accepted.iter().filter(|(later, _)| **later > view);
        later.try_for_each(|(later, (min, proposals))| keeps(*later, *min, proposals, seq, (view, digest)))
    }

    /// A correct member accepted a NEW-VIEW, its own or another's.
    pub(crate) fn accepted(&mut self, new_view: &NewView, parameters: &Parameters) -> Result<(), Violation> {
        new_view.view_changes.iter().try_for_each(|named| in_order(named, parameters))?;
        let Statement::NewView { view, min, proposals, .. } = &new_view.statement.statement else {
            return Ok(());
        };
        self.accepted.insert(*view, (*min, proposals.clone()));
        let above = self.committed.range(min.next()..);
        above
            .filter(|(_, (committed, _))| committed < view)
            .try_for_each(|(seq, committed)| keeps(*view, *min, proposals, *seq, *committed))
    }
}

/// V3: what a VIEW-CHANGE that somebody builds on says was prepared, in order, within its window, in lower views.
fn in_order(view_change: &ViewChange, parameters: &Parameters) -> Result<(), Violation> {
    let Statement::ViewChange { view, base, .. } = view_change.statement.statement else { return Ok(()) };
    let mut last = base;
    for entry in &view_change.prepared {
        let (seq, end) = (entry.seq, base.plus(parameters.window));
        if seq <= last || seq > end || entry.view >= view {
            let of = view_change.statement.signer;
            let what =
                format!("a VIEW-CHANGE of {of} for {view} from {base} has {seq} of view {}", entry.view);
            return Err(Violation { property: "V3 valid VIEW-CHANGE", what });
        }
        last = seq;
    }
    Ok(())
}

fn keeps(
    later: View,
    min: Seq,
    proposals: &[Digest],
    seq: Seq,
    (view, digest): (View, Digest),
) -> Result<(), Violation> {
    if seq <= min {
        return Ok(());
    }
    let place = usize::try_from(seq.above(min) - 1).unwrap_or(usize::MAX);
    if proposals.get(place) == Some(&digest) {
        return Ok(());
    }
    let what = format!(
        "{digest} was committed at {seq} in view {view}; the NEW-VIEW of {later}, from {min}, has {:?} there",
        proposals.get(place)
    );
    Err(Violation { property: "S9 committed slots stay", what })
}
