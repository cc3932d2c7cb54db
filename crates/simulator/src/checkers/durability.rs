//! Table D: when a statement leaves, what it promises is durable; and whoever starts from that stands by it (D1).

use super::{Violation, own_statement};
use crate::scheme::SimSigner;
use quorate_crypto::{HashedBatch, null_batch_digest};
use quorate_engine::Host;
use quorate_types::{Batch, Digest, Message, Record, ReplicaId, Seq, SignedStatement, Statement, View};
use std::sync::Arc;

const PROPERTY: &str = "D durable before sent";

/// Whether the durable records keep what a message promises.
pub(crate) fn holds(from: ReplicaId, message: &Message, records: &[Record]) -> Result<(), Violation> {
    let Some(signed) = own_statement(from, message) else { return Ok(()) };
    // A process that starts from this log votes on nothing up to base any more, nor does its VIEW-CHANGE tell of it (N2, V2).
    let behind =
        |seq: Seq| records.iter().any(|record| proven(record).max(stable(record)) >= Some(seq.get()));
    let vote = !matches!(signed.statement, Statement::Attest { .. });
    let over = vote && signed.statement.seq().is_some_and(behind);
    if over || records.iter().rev().any(|record| promises(record, signed)) {
        return Ok(());
    }
    let kinds: Vec<String> = records.iter().map(kind).collect();
    let what = format!(
        "{from} sent {:?}, which its log would not hold after a crash; it has {}",
        signed.statement,
        kinds.join(", ")
    );
    Err(Violation { property: PROPERTY, what })
}

/// Table D, rows PRE-PREPARE, PREPARE and COMMIT, and V7 for each slot of O: the body is durable too, unless it is null or
/// the slot is behind, or beyond the end of the epoch: that one is never executed (G2).
pub(crate) fn holds_body(
    from: ReplicaId,
    message: &Message,
    records: &[Record],
    end: Seq,
) -> Result<(), Violation> {
    let Some(signed) = own_statement(from, message) else { return Ok(()) };
    match &signed.statement {
        Statement::PrePrepare { seq, digest, .. }
        | Statement::Prepare { seq, digest, .. }
        | Statement::Commit { seq, digest, .. } => body_of(from, signed, (*seq, *digest), records),
        Statement::NewView { min, proposals, .. } => {
            let slots = (1..).map(|offset| min.plus(offset)).zip(proposals.iter().copied());
            let mut slots = slots.into_iter().take_while(|(seq, _)| *seq <= end);
            slots.try_for_each(|slot| body_of(from, signed, slot, records))
        }
        _ => Ok(()),
    }
}

fn body_of(
    from: ReplicaId,
    signed: &SignedStatement,
    (seq, digest): (Seq, Digest),
    records: &[Record],
) -> Result<(), Violation> {
    let is_it = |batch: &Arc<Batch>| HashedBatch::new(batch.clone()).digest() == digest;
    let held = records.iter().rev().any(|record| match record {
        Record::Proposal(proposal) => is_it(&proposal.batch),
        Record::Body(batch) => is_it(batch),
        Record::Block(block) => block.block.header.batch_digest == digest,
        Record::Reserved(reservation) => reservation.covers(signed),
        // What q members have a durable state of comes as blocks (V7, T1).
        other => proven(other).max(stable(other)) >= Some(seq.get()),
    });
    if held || digest == null_batch_digest() {
        return Ok(());
    }
    let what = format!("{from} sent {:?} without the durable body of {seq}", signed.statement);
    Err(Violation { property: PROPERTY, what })
}

/// The statement with another digest, which contradicts it; `None` if it says too little to be contradicted.
fn contradiction(statement: &Statement) -> Option<Statement> {
    let other = |digest: Digest| {
        let mut other = digest;
        other.0[0] ^= 1;
        other
    };
    match statement.clone() {
        Statement::PrePrepare { view, seq, digest } => {
            Some(Statement::PrePrepare { view, seq, digest: other(digest) })
        }
        Statement::Prepare { view, seq, digest } => {
            Some(Statement::Prepare { view, seq, digest: other(digest) })
        }
        Statement::Commit { view, seq, digest } => {
            Some(Statement::Commit { view, seq, digest: other(digest) })
        }
        Statement::Checkpoint { seq, header } => Some(Statement::Checkpoint { seq, header: other(header) }),
        Statement::ViewChange { view, base, base_proof, prepared } => {
            Some(Statement::ViewChange { view, base, base_proof, prepared: other(prepared) })
        }
        // An ATTEST is what execution says, recorded or not (table D); a NEW-VIEW follows from what it names.
        _ => None,
    }
}

/// Whether a process that has started from the durable disk would refuse to contradict a message. One that starts in a later epoch
/// cannot: there nothing that was said before binds anybody (M1, G2).
pub(crate) fn stands_by(
    from: ReplicaId,
    message: &Message,
    restarted: Option<&Host<SimSigner>>,
) -> Result<(), Violation> {
    let (Some(signed), Some(host)) = (own_statement(from, message), restarted) else { return Ok(()) };
    match contradiction(&signed.statement) {
        Some(other) if host.status().epoch <= signed.epoch && host.objection(&other).is_none() => {
            let what = format!("{from} sent {:?}; after a crash it would say {other:?}", signed.statement);
            Err(Violation { property: PROPERTY, what })
        }
        _ => Ok(()),
    }
}

/// A crash at this moment would leave disks from which nothing starts.
pub(crate) fn not_restarted(from: ReplicaId, why: &str) -> Result<(), Violation> {
    Err(Violation { property: PROPERTY, what: format!("{from} would not start after a crash: {why}") })
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
        Record::Reserved(reservation) => {
            format!("reserved({}, view {})", reservation.up_to, reservation.view)
        }
    }
}

/// Whether a record keeps what the statement promises.
fn promises(record: &Record, signed: &SignedStatement) -> bool {
    if let Statement::PrePrepare { view, .. }
    | Statement::Prepare { view, .. }
    | Statement::NewView { view, .. } = signed.statement
        && view_of(record) > Some(view)
    {
        // Whoever starts in a higher view proposes and prepares nothing in this one, and opens no lower one (N10, V7).
        return true;
    }
    match (&signed.statement, record) {
        // It may leave before it is durable (D7).
        (_, Record::Reserved(reservation)) => reservation.covers(signed),
        (Statement::PrePrepare { .. }, Record::Proposal(proposal)) => proposal.pre_prepare == *signed,
        // A primary's proposals of O stand in its NEW-VIEW.
        (Statement::PrePrepare { view, .. }, Record::NewView(new_view)) => new_view.view() == *view,
        (
            Statement::Prepare { .. } | Statement::Commit { .. } | Statement::Checkpoint { .. },
            Record::Vote(vote),
        ) => vote == signed,
        // It prepared the slot again in a higher view, in which it starts: that VIEW-CHANGEs tell of it (V2, N10).
        (Statement::Commit { view, seq, .. }, Record::Prepared(later)) => {
            later.seq == *seq && later.view > *view
        }
        (Statement::Attest { seq, .. }, record) => covers(record, *seq),
        (Statement::ViewChange { .. }, Record::ViewChange(view_change)) => view_change.statement == *signed,
        // Whoever entered the view, or left it for a higher one, cannot say another VIEW-CHANGE for it (V2).
        (Statement::ViewChange { view, .. }, Record::NewView(new_view)) => new_view.view() >= *view,
        (Statement::ViewChange { view, .. }, Record::Anchor { view: at, active, .. }) => {
            at > view || (at == view && *active)
        }
        (Statement::NewView { .. }, Record::NewView(new_view)) => new_view.statement == *signed,
        _ => false,
    }
}

/// The view in which a process starts that finds this record.
fn view_of(record: &Record) -> Option<View> {
    match record {
        Record::Anchor { view, .. } => Some(*view),
        Record::ViewChange(view_change) => Some(view_change.view()),
        Record::NewView(new_view) => Some(new_view.view()),
        _ => None,
    }
}

fn proven(record: &Record) -> Option<u64> {
    match record {
        Record::Anchor { base, .. } => Some(base.base().get()),
        Record::Base(certificate) => Some(certificate.height.get()),
        _ => None,
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
fn covers(record: &Record, seq: Seq) -> bool {
    match record {
        Record::Prepared(certificate) => certificate.seq == seq,
        Record::Committed(certificate) => certificate.seq == seq,
        Record::Block(block) => block.block.header.height == seq,
        other => stable(other) >= Some(seq.get()),
    }
}
