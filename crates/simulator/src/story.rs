//! A seed as a text that people can read: who said what and when, who executed what, who crashed.

use crate::cluster::{Cluster, Told};
use crate::draw::Draw;
use crate::seed::Run;
use quorate_types::{Message, Notice};

/// Runs a seed and tells what happens, a line each.
pub fn story(seed: u64, tell: &mut dyn FnMut(&str)) {
    let draw = Draw::of(seed);
    tell(&format!("seed {seed}: {draw:#?}"));
    let mut run = Run::new(seed, &draw);
    run.cluster.story = Some(Vec::new());
    let result = run.all(&mut |cluster| tell_new(cluster, tell));
    for (member, report) in &run.cluster.reports {
        tell(&format!("reported by {member}: {report:?}"));
    }
    match result {
        Ok(report) => tell(&format!("passed at height {}", report.height)),
        Err(failure) => tell(&format!("failed: {}: {}", failure.violation.property, failure.violation.what)),
    }
}

/// Tells what happened since the last call.
pub(crate) fn tell_new(cluster: &mut Cluster, tell: &mut dyn FnMut(&str)) {
    let at = cluster.now() / 1_000;
    for told in cluster.story.iter_mut().flat_map(std::mem::take) {
        if let Some(line) = line(&told) {
            tell(&format!("{at:>8} ms  {line}"));
        }
    }
}

/// What is worth telling; pings and positions are not.
fn line(told: &Told) -> Option<String> {
    match told {
        Told::Executed { member, height, digest } => Some(format!("{member} executes {height} {digest}")),
        Told::Crashed { member } => Some(format!("{member} crashes")),
        Told::Started { member } => Some(format!("{member} starts")),
        Told::Sent {
            message: Message::Notice(Notice::Ping { .. } | Notice::Pong { .. } | Notice::Status(_)),
            ..
        } => None,
        Told::Sent { from, to, message } => Some(format!("{from} to {to}: {}", in_short(message))),
    }
}

fn in_short(message: &Message) -> String {
    match message {
        Message::Vote(signed) => format!("{:?}", signed.statement),
        Message::Proposal(proposal) => {
            format!(
                "{:?}, {} transactions",
                proposal.pre_prepare.statement,
                proposal.batch.transactions.len()
            )
        }
        Message::ViewChange(view_change) => {
            let prepared: Vec<_> =
                view_change.prepared.iter().map(|entry| (entry.seq.get(), entry.view.get())).collect();
            format!("{:?}, P (slot, view) {prepared:?}", view_change.statement.statement)
        }
        Message::NewView(new_view) => format!("{:?}", new_view.statement.statement),
        Message::CommitCertificate(certificate) => {
            format!("commit certificate of {} in view {}", certificate.seq, certificate.view)
        }
        Message::BlockCertificate(certificate) => {
            format!("{:?} certificate of {}", certificate.kind, certificate.height)
        }
        Message::Body(_) => "a body".to_owned(),
        Message::Block(block) => format!("block {}", block.block.header.height),
        Message::Forward(transactions) => format!("{} requests", transactions.len()),
        Message::Evidence(pair) => format!("evidence against {}", pair.0.signer),
        Message::Notice(notice) => format!("{notice:?}"),
        Message::StateParts(state) => {
            format!("{} parts of the state after {}", state.parts.len(), state.header.height)
        }
        Message::StateLeaves(leaves) => format!("part {} of the state after {}", leaves.index, leaves.height),
    }
}
