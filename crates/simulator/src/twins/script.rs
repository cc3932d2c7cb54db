//! Which messages reach whom while a script lasts.

use crate::partitions::Partition;
use quorate_types::{Message, ReplicaId, Seq, SignedStatement, Statement, StatementKind, View};
use std::collections::{BTreeMap, BTreeSet};

/// Phases of a view, each with a partition of its own: the proposals and what leads to them, PREPAREs, COMMITs.
pub(crate) const PHASES: usize = 3;
const PROPOSAL: usize = 0;
const PREPARE: usize = 1;
const COMMIT: usize = 2;

/// Partitions by view and phase, until every scripted view is over.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    views: Vec<Vec<Partition>>,
    twinned: Vec<ReplicaId>,
    members: u16,
    /// How long the scripted view keeps what ends it within its parts, in microseconds.
    patience: u64,
    /// The highest view that became active anywhere, and when.
    pub(crate) view: View,
    since: u64,
    /// Healed early.
    over: bool,
    /// What of a twinned member's statements reached correct ones.
    heard: BTreeMap<(ReplicaId, StatementKind, View, Seq), Statement>,
    /// Where two different ones did.
    conflicts: BTreeSet<(ReplicaId, StatementKind, View, Seq)>,
}

impl Script {
    pub(crate) fn new(
        views: &[Vec<Partition>],
        (members, twinned): (u16, &[ReplicaId]),
        (now, patience): (u64, u64),
    ) -> Self {
        Self {
            views: views.to_vec(),
            twinned: twinned.to_vec(),
            members,
            patience,
            view: View::ZERO,
            since: now,
            over: false,
            heard: BTreeMap::new(),
            conflicts: BTreeSet::new(),
        }
    }

    /// A view became active somewhere.
    pub(crate) fn entered(&mut self, now: u64, view: View) {
        if view > self.view {
            (self.view, self.since) = (view, now);
        }
    }

    /// From here on everything arrives.
    pub(crate) fn heal(&mut self) {
        self.over = true;
    }

    /// Whether everything arrives.
    pub(crate) fn is_over(&self) -> bool {
        self.over || self.partition(self.view, PROPOSAL).is_none()
    }

    fn partition(&self, view: View, phase: usize) -> Option<&Partition> {
        self.views.get(usize::try_from(view.get()).ok()?)?.get(phase)
    }

    /// Whether a message that is sent now arrives. What has no view follows the present one, and what ends a view crosses its
    /// parts once its time has passed: else most scripts would stand still in their first view.
    pub(crate) fn delivers(&self, now: u64, (from, to): (ReplicaId, ReplicaId), message: &Message) -> bool {
        if self.is_over() {
            return true;
        }
        let late = now > self.since + self.patience;
        let (view, phase) = match place(message) {
            Some(place) => place,
            None if late => return true,
            None => match message {
                Message::ViewChange(view_change) => (view_change.view(), PROPOSAL),
                _ => (self.view, PROPOSAL),
            },
        };
        self.partition(view, phase).is_none_or(|partition| partition.joins(from, to))
    }

    /// A message arrives: does it, with an earlier one, show a correct member that a twinned one contradicts itself?
    pub(crate) fn arrives(&mut self, to: ReplicaId, message: &Message) {
        let Some(signed) = own(message) else { return };
        let (Some(view), Some(seq)) = (signed.statement.view(), signed.statement.seq()) else { return };
        let correct = to.get() < self.members && !self.twinned.contains(&to);
        if !correct || !self.twinned.contains(&signed.signer) {
            return;
        }
        let place = (signed.signer, signed.statement.kind(), view, seq);
        let first = self.heard.entry(place).or_insert_with(|| signed.statement.clone());
        if *first != signed.statement {
            self.conflicts.insert(place);
        }
    }

    /// Statements of which correct members, together, got two that contradict each other.
    pub(crate) fn conflicts(&self) -> usize {
        self.conflicts.len()
    }
}

fn own(message: &Message) -> Option<&SignedStatement> {
    match message {
        Message::Vote(signed) => Some(signed),
        Message::Proposal(proposal) => Some(&proposal.pre_prepare),
        _ => None,
    }
}

/// The view and phase to which a message belongs, if to any.
fn place(message: &Message) -> Option<(View, usize)> {
    match message {
        Message::Proposal(proposal) => Some((proposal.pre_prepare.statement.view()?, PROPOSAL)),
        Message::NewView(new_view) => Some((new_view.view(), PROPOSAL)),
        Message::CommitCertificate(certificate) => Some((certificate.view, COMMIT)),
        Message::Vote(signed) => match signed.statement {
            Statement::Prepare { view, .. } => Some((view, PREPARE)),
            Statement::Commit { view, .. } => Some((view, COMMIT)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
