//! Table D: when a statement leaves, the disk as a crash would leave it at that moment holds what it promises.

use super::Violation;
use quorate_storage::{SegmentedLog, SimulatedDisk};
use quorate_types::{Members, Message, Record, ReplicaId, SignedStatement, Statement};

/// Whether the member could keep its word after losing everything that is not durable now.
pub(crate) fn holds(
    members: &Members,
    from: ReplicaId,
    message: &Message,
    disk: &SimulatedDisk,
) -> Result<(), Violation> {
    let signed = match message {
        Message::Vote(signed) => signed,
        Message::Proposal(proposal) => &proposal.pre_prepare,
        Message::ViewChange(view_change) => &view_change.statement,
        Message::NewView(new_view) => &new_view.statement,
        _ => return Ok(()),
    };
    // Repair sends others' statements on; they promise nothing of the sender.
    if signed.signer != from {
        return Ok(());
    }
    disk.crash(|_| 0);
    let violation = |what: String| Err(Violation { property: "D durable before sent", what });
    let records = match SegmentedLog::open_with(disk.clone(), *members.ledger(), 64 * 1024) {
        Ok((_, found)) => found.records,
        Err(error) => return violation(format!("{from} could not read its log after a crash: {error}")),
    };
    if records.iter().any(|record| promises(record, signed)) {
        return Ok(());
    }
    let kinds: Vec<String> = records.iter().map(kind).collect();
    violation(format!(
        "{from} sent {:?}, which its log would not hold after a crash; it has {}",
        signed.statement,
        kinds.join(", ")
    ))
}

/// A record in a few words.
fn kind(record: &Record) -> String {
    match record {
        Record::Anchor { view, stable, .. } => format!("anchor(view {view}, stable {})", stable.base()),
        Record::Proposal(proposal) => format!("{:?}", proposal.pre_prepare.statement),
        Record::Body(_) => "body".to_owned(),
        Record::Vote(vote) => format!("vote {:?}", vote.statement),
        Record::Prepared(certificate) => format!("prepared({}, view {})", certificate.seq, certificate.view),
        Record::Committed(certificate) => format!("committed({})", certificate.seq),
        Record::Block(block) => format!("block({})", block.block.header.height),
        Record::ViewChange(view_change) => format!("view-change({})", view_change.view()),
        Record::NewView(new_view) => format!("new-view({})", new_view.view()),
        Record::Base(certificate) => format!("base({})", certificate.height),
        Record::Stable(certificate) => format!("stable({})", certificate.height),
    }
}

/// Whether a record keeps what the statement promises.
fn promises(record: &Record, signed: &SignedStatement) -> bool {
    match (&signed.statement, record) {
        (Statement::PrePrepare { .. }, Record::Proposal(proposal)) => proposal.pre_prepare == *signed,
        // A primary's proposals of O stand in its NEW-VIEW.
        (Statement::PrePrepare { view, .. }, Record::NewView(new_view)) => new_view.view() == *view,
        (
            Statement::Prepare { .. } | Statement::Commit { .. } | Statement::Checkpoint { .. },
            Record::Vote(vote),
        ) => vote == signed,
        // A stable checkpoint covers what was said of the slots up to it.
        (Statement::Prepare { seq, .. } | Statement::Commit { seq, .. }, Record::Stable(stable)) => {
            *seq <= stable.height
        }
        (Statement::Attest { seq, .. }, record) => covers(record, *seq),
        (Statement::Checkpoint { seq, .. }, record) => stable(record) >= Some(seq.get()),
        (Statement::ViewChange { .. }, Record::ViewChange(view_change)) => view_change.statement == *signed,
        // Whoever entered the view, or left it for a higher one, cannot say another VIEW-CHANGE for it (V2).
        (Statement::ViewChange { view, .. }, Record::NewView(new_view)) => new_view.view() >= *view,
        (Statement::ViewChange { view, .. }, Record::Anchor { view: at, active, .. }) => {
            at > view || (at == view && *active)
        }
        (Statement::NewView { .. }, Record::NewView(new_view)) => new_view.statement == *signed,
        (
            Statement::PrePrepare { seq, .. }
            | Statement::Prepare { seq, .. }
            | Statement::Commit { seq, .. },
            other,
        ) => stable(other) >= Some(seq.get()),
        _ => false,
    }
}

fn stable(record: &Record) -> Option<u64> {
    match record {
        Record::Anchor { stable, .. } => Some(stable.base().get()),
        Record::Stable(certificate) => Some(certificate.height.get()),
        _ => None,
    }
}

/// Table D: an ATTEST needs the slot's own prepared certificate, or its commit or block certificate.
fn covers(record: &Record, seq: quorate_types::Seq) -> bool {
    match record {
        Record::Prepared(certificate) => certificate.seq == seq,
        Record::Committed(certificate) => certificate.seq == seq,
        Record::Block(block) => block.block.header.height == seq,
        other => stable(other) >= Some(seq.get()),
    }
}
