//! Reports of the core as log lines and metrics, with stable event names.

use crate::shared::Shared;
use quorate_pbft::{Report, ViewChangeReason};

pub(crate) fn tell(shared: &Shared, report: &Report) {
    match report {
        Report::ViewChangeStarted { view, reason } => {
            let reason = match reason {
                ViewChangeReason::Suspicion => "suspicion",
                ViewChangeReason::Joined => "peer",
                ViewChangeReason::Abdication => "abdication",
                ViewChangeReason::Timeout => "timeout",
            };
            shared.metrics.view_change(reason);
            tracing::info!(event = "view_change_started", %view, reason, "change to view {view}: {reason}");
        }
        Report::ViewActive { view, primary } => {
            let name = shared.member_name(*primary);
            tracing::info!(event = "view_active", %view, primary = name, "view {view}: primary is {name}");
        }
        Report::Suspects { view, suspicion: quorate_types::Suspicion::Abstention } => {
            tracing::info!(
                event = "abstains",
                %view,
                "view {view}: restarted in it, and PREPAREs nothing that it may have PREPAREd before"
            );
        }
        Report::Suspects { view, suspicion } => {
            tracing::info!(event = "suspects", %view, ?suspicion, "view {view}: primary suspected");
        }
        Report::SuspicionWithdrawn { view } => {
            tracing::info!(event = "suspicion_withdrawn", %view, "view {view}: suspicion withdrawn");
        }
        Report::CheckpointStable { seq } => {
            tracing::debug!(event = "checkpoint_stable", %seq, "checkpoint {seq} is stable");
        }
        Report::CatchingUp { from, to } => {
            tracing::info!(event = "catching_up", %from, %to, "fetching blocks {from} to {to}");
        }
        Report::StateInstalled { seq } => {
            tracing::info!(event = "state_installed", %seq, "installed the state after block {seq}");
        }
        Report::CaughtUp { at } => tracing::info!(event = "caught_up", %at, "caught up at block {at}"),
        Report::EvidenceFound(evidence) => {
            let name = shared.member_name(evidence.culprit());
            shared.metrics.evidence(name);
            tracing::error!(
                event = "evidence_found",
                culprit = name,
                "{name} misbehaves, provably: {evidence:?}"
            );
        }
        Report::Diverged { seq, own, certified } => tracing::error!(
            event = "diverged",
            %seq, %own, %certified,
            "own block {seq} differs from the certified one: voting stopped"
        ),
        Report::Contradiction { seq } => tracing::error!(
            event = "contradiction",
            %seq,
            "a certificate contradicts executed block {seq}, so more than f members are faulty: voting stopped"
        ),
        Report::ViewsExhausted => tracing::error!(
            event = "views_exhausted",
            "more than f members went on to the last view there is: voting stopped"
        ),
        Report::Amnesia => tracing::error!(
            event = "amnesia",
            code = quorate_types::ErrorCode::Amnesia.code(),
            "peers hold votes of this node that its log lacks: the store is older than its promises; running as a learner"
        ),
        Report::HelloComplete => tracing::info!(event = "hello_complete", "peers answered: ready to vote"),
    }
}
