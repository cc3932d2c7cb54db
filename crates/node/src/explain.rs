//! What a replica waits for, as its API tells it.

use crate::core_thread::Explanation;
use crate::shared::Published;
use quorate_api::v1;
use quorate_pbft::{Phase, SlotStep, WaitTimer, Waits};
use quorate_types::{ErrorCode, ReplicaId, Seq, Suspicion};
use std::time::Duration;

/// The answer to GetWaits.
pub(crate) fn answer(status: v1::Status, explanation: Explanation) -> v1::Waits {
    let Explanation { waits, links } = explanation;
    let Waits { quorum: _, requests, oldest, slot, view_change, hello, .. } = waits;
    v1::Waits {
        status: Some(status),
        requests: requests as u64,
        oldest_ms: oldest.map(millis),
        slot: slot.map(|slot| v1::SlotWait {
            seq: slot.seq.get(),
            step: step_name(slot.step).to_owned(),
            by: numbers(&slot.by),
        }),
        view_change: view_change.map(|wait| v1::ViewChangeWait {
            view: wait.view.get(),
            primary: number(wait.primary),
            by: numbers(&wait.by),
            opened: wait.opened,
        }),
        hello: hello.map(|by| members_wait((Seq::ZERO, by))),
        checkpoint: waits.checkpoint.map(members_wait),
        certificate: waits.certificate.map(members_wait),
        fetching: waits.fetching.map(Seq::get),
        suspicions: waits
            .suspicions
            .into_iter()
            .map(|(member, why)| v1::SuspicionOf {
                member: number(member),
                reason: suspicion_name(why).to_owned(),
            })
            .collect(),
        timers: waits
            .timers
            .into_iter()
            .map(|(timer, left)| v1::TimerLeft { timer: timer_name(timer).to_owned(), left_ms: millis(left) })
            .collect(),
        links: links
            .into_iter()
            .map(|(member, connected, heard)| v1::LinkState {
                member: number(member),
                connected,
                heard_ms: heard.map(millis),
            })
            .collect(),
    }
}

fn members_wait((height, by): (Seq, Vec<ReplicaId>)) -> v1::MembersWait {
    v1::MembersWait { height: height.get(), by: numbers(&by) }
}

fn number(member: ReplicaId) -> u32 {
    u32::from(member.get())
}

fn numbers(members: &[ReplicaId]) -> Vec<u32> {
    members.iter().copied().map(number).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn step_name(step: SlotStep) -> &'static str {
    match step {
        SlotStep::Proposal => "proposal",
        SlotStep::Body => "body",
        SlotStep::Prepares => "prepares",
        SlotStep::Commits => "commits",
        SlotStep::Execution => "execution",
    }
}

fn suspicion_name(suspicion: Suspicion) -> &'static str {
    match suspicion {
        Suspicion::RequestTimeout => "request-timeout",
        Suspicion::Silence => "silence",
        Suspicion::Misbehaviour => "misbehaviour",
        Suspicion::BadTime => "bad-time",
        Suspicion::Abstention => "abstention",
        Suspicion::Slow => "slow",
    }
}

fn timer_name(timer: WaitTimer) -> &'static str {
    match timer {
        WaitTimer::Request => "request",
        WaitTimer::Order => "order",
        WaitTimer::NewView => "new-view",
        WaitTimer::Fetch => "fetch",
    }
}

/// K4: what a replica says to whoever wants to read from its state.
pub(crate) const QUARANTINED: &str =
    "its ledger contradicts a certificate, so nothing is read from it: see its log";

/// The state of a node in a word, and what it waits for if it does not vote.
pub(crate) fn describe(published: &Published, may_vote: bool) -> (&'static str, String) {
    let status = &published.status;
    match status.phase {
        Phase::Starting => {
            ("starting", format!("waits for {} more HELLO replies before it votes", status.hello_missing))
        }
        Phase::Normal => ("normal", String::new()),
        Phase::ViewChange => ("view-change", format!("waits for the NEW-VIEW of view {}", status.view)),
        Phase::CatchingUp => {
            ("catching-up", format!("executes blocks from {} to {}", status.executed, status.base))
        }
        Phase::Learner if !may_vote => {
            let why = "its store is not the one that the members name: quorate node recover --dir DIR";
            ("learner", why.to_owned())
        }
        Phase::Learner => {
            let text = ErrorCode::Amnesia.text();
            ("learner", format!("{}: {}", text.code, text.why))
        }
        Phase::Halted => ("halted", "its ledger contradicts a certificate: see its log".to_owned()),
    }
}
