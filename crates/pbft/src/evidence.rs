//! Proof of misbehaviour: two statements that no correct replica makes both of (N4, V1).

use crate::outbox::{Outbox, Report};
use crate::replica::Replica;
use crate::verdict::{Evidence, Ignored, Verdict};
use quorate_crypto::Signer;
use quorate_types::probes::hit;
use quorate_types::{Message, SignedStatement, Statement, Suspicion};

/// Whether two statements of one signer and epoch contradict each other.
pub(crate) fn contradict(first: &SignedStatement, second: &SignedStatement) -> bool {
    use Statement::{Attest, Checkpoint, Commit, NewView, PrePrepare, Prepare, ViewChange};
    if first.signer != second.signer || first.epoch != second.epoch || first.statement == second.statement {
        return false;
    }
    match (&first.statement, &second.statement) {
        (PrePrepare { view: v, seq: s, .. }, PrePrepare { view, seq, .. })
        | (Prepare { view: v, seq: s, .. }, Prepare { view, seq, .. })
        | (Commit { view: v, seq: s, .. }, Commit { view, seq, .. }) => v == view && s == seq,
        (Attest { seq: s, .. }, Attest { seq, .. }) | (Checkpoint { seq: s, .. }, Checkpoint { seq, .. }) => {
            s == seq
        }
        (ViewChange { view: v, .. }, ViewChange { view, .. })
        | (NewView { view: v, .. }, NewView { view, .. }) => v == view,
        _ => false,
    }
}

impl<S: Signer> Replica<S> {
    /// Keeps the first proof against each member, tells everyone once, and suspects a primary so convicted.
    pub(crate) fn condemn(&mut self, pair: (SignedStatement, SignedStatement), out: &mut Outbox) -> Verdict {
        debug_assert!(contradict(&pair.0, &pair.1), "evidence must convince: {pair:?}");
        let evidence = Evidence::Contradiction(Box::new(pair.clone()));
        let culprit = evidence.culprit();
        if !matches!(self.condemned.get(&culprit), Some(Evidence::Contradiction(_))) {
            self.condemned.insert(culprit, evidence.clone());
            hit("two statements contradict each other");
            out.report(Report::EvidenceFound(evidence.clone()));
            out.broadcast(Message::Evidence(Box::new(pair)));
        }
        if culprit == self.primary() && culprit != self.me() {
            self.suspect(Suspicion::Misbehaviour, out);
        }
        Verdict::Condemned(evidence)
    }

    /// V1: proof that a peer sent along convinces every receiver.
    pub(crate) fn on_evidence(
        &mut self,
        pair: (SignedStatement, SignedStatement),
        out: &mut Outbox,
    ) -> Verdict {
        if !contradict(&pair.0, &pair.1) || pair.0.signer == self.me() {
            return Verdict::Ignored(Ignored::Invalid);
        }
        self.condemn(pair, out)
    }
}

#[cfg(test)]
mod tests;
