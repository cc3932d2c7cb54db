//! Submitting, and saying what became of it.

use crate::args::Write;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output::{bytes, short, shown};
use quorate_client::{Client, Done, ErrorCode, OperationOutput, Operations, TransactionResult};
use quorate_types::{FailReason, SignedTransaction, TransactionId, VoidReason};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// A committed transaction and how long it took.
pub(crate) struct Committed {
    pub(crate) done: Done,
    pub(crate) took: Duration,
}

/// Signs operations, submits them, writes the receipt if asked to. Anything but committed is a failure.
pub(crate) async fn write(context: &Context, write: &Write, operations: Operations) -> Outcome<Committed> {
    let client = context.client(Some(write.valid_for)).await?;
    let signed = client.sign(&operations)?;
    let start = Instant::now();
    let outcome = with_progress(context, client.submit(signed)).await?;
    let took = start.elapsed();
    if let (Some(path), Some(done)) = (&write.receipt, outcome.done()) {
        save_receipt(path, done)?;
    }
    committed(outcome).map(|done| Committed { done, took })
}

pub(crate) fn save_receipt(path: &Path, done: &Done) -> Outcome {
    std::fs::write(path, done.receipt.to_json()).map_err(|error| Failure::io(path, &error))
}

/// A line after 300 ms and a reason after 3 s, for whoever waits at a terminal.
pub(crate) async fn with_progress<T>(
    context: &Context,
    work: impl Future<Output = Result<T, quorate_client::ClientError>>,
) -> Outcome<T> {
    use std::io::IsTerminal;
    tokio::pin!(work);
    if context.output.quiet || !std::io::stderr().is_terminal() {
        return Ok(work.await?);
    }
    for (after, text) in [(300, "waiting for a certificate..."), (2_700, "still waiting: see quorate status")]
    {
        tokio::select! {
            done = &mut work => return Ok(done?),
            () = tokio::time::sleep(Duration::from_millis(after)) => eprintln!("{text}"),
        }
    }
    Ok(work.await?)
}

/// The receipt of a committed transaction; every other outcome as the failure it is.
pub(crate) fn committed(outcome: quorate_client::Outcome) -> Outcome<Done> {
    use quorate_client::Outcome as Became;
    let code = outcome.code();
    match outcome {
        Became::Committed(done) => Ok(*done),
        Became::Failed(done) => Err(failed(&done, code.unwrap_or(ErrorCode::NotApplied))),
        Became::Superseded(done) => Err(Failure::new(ErrorCode::Superseded)
            .txid(done.verified.id)
            .why(format!(
                "transaction {} has its number, in block {}",
                done.verified.id, done.verified.height
            ))
            .fix(format!("quorate tx show {}", done.verified.id))),
        Became::Rejected { id, code } => Err(Failure::new(code).txid(id)),
        Became::Refused { id, code, gateways } => Err(Failure::new(code).txid(id).why(format!(
            "{}; so say {}",
            code.text().why,
            gateways.join(", ")
        ))),
        Became::Unknown { id, why } => Err(Failure::new(ErrorCode::Unknown)
            .what("unknown: no certificate came in time")
            .txid(id)
            .why(why)
            .fix(format!(
                "quorate tx status {id} --wait (sending the same transaction again cannot apply it twice)"
            ))),
    }
}

fn failed(done: &Done, code: ErrorCode) -> Failure {
    let operations =
        Operations::from_payload(&done.receipt.transaction.transaction.payload).unwrap_or_default();
    let number = done.failure().map_or(0, |(_, operation)| operation as usize);
    let operation = operations.0.get(number);
    let place = format!("block {} index {}", done.verified.height, done.verified.index);
    let found = match done.outputs().into_iter().next() {
        Some(OperationOutput::Value(Some(found))) => format!("the ledger has {:?}", shown(&found.value)),
        Some(OperationOutput::Value(None)) => "the ledger has nothing there".to_owned(),
        _ => "the ledger holds another value".to_owned(),
    };
    let failure = Failure::new(code).txid(done.verified.id);
    match operation {
        Some(quorate_client::Operation::Cas { key, expected, .. }) => {
            let expected =
                expected.as_ref().map_or_else(|| "nothing".to_owned(), |value| format!("{:?}", shown(value)));
            failure
                .what(format!("compare-and-set on {:?} did not match", shown(key)))
                .why(format!("expected {expected}, {found} (decided in {place})"))
                .fix(format!("read the new value and decide again: quorate kv get {}", shown(key)))
        }
        Some(quorate_client::Operation::PutIfAbsent { key, .. }) => {
            failure.what(format!("{:?} is present", shown(key))).why(format!("{found} (decided in {place})"))
        }
        _ => failure.why(format!("{} (operation {number}, {place})", code.text().why)),
    }
}

/// The outcome as a document.
pub(crate) fn document(schema: &str, done: &Done) -> Value {
    let verified = &done.verified;
    let (outcome, output) = match &verified.result {
        TransactionResult::Committed { output } => ("committed", output),
        TransactionResult::Failed { output, .. } => ("failed", output),
        TransactionResult::Void { .. } => ("void", &Vec::new()),
    };
    let outputs = OperationOutput::list_from_bytes(output).unwrap_or_default();
    let mut document = json!({
        "schema": schema,
        "txid": verified.id.to_string(),
        "outcome": outcome,
        "height": verified.height.get(),
        "index": verified.index,
        "block_time": crate::output::time(verified.time.0),
        "signers": verified.signers.iter().map(|signer| signer.get()).collect::<Vec<_>>(),
        "outputs": outputs.iter().map(output_document).collect::<Vec<_>>(),
    });
    if let Some((reason, operation)) = done.failure() {
        document["reason"] = json!(fail_text(reason));
        document["operation"] = json!(operation);
    }
    document
}

fn output_document(output: &OperationOutput) -> Value {
    match output {
        OperationOutput::Done { existed } => json!({ "done": { "existed": existed } }),
        OperationOutput::Value(None) => json!({ "value": null }),
        OperationOutput::Value(Some(found)) => {
            json!({ "value": bytes(&found.value), "revision": revision(found.height, found.index) })
        }
        OperationOutput::Appended { index } => json!({ "appended": { "index": index } }),
    }
}

/// A revision: height and index of the transaction that wrote it.
pub(crate) fn revision(height: u64, index: u32) -> String {
    format!("{height}.{index}")
}

/// The one-line answer to a write.
pub(crate) fn line(committed: &Committed) -> String {
    let verified = &committed.done.verified;
    format!(
        "committed  block {} index {}  {} ms  tx {}",
        verified.height,
        verified.index,
        committed.took.as_millis(),
        short(&verified.id.to_string())
    )
}

pub(crate) fn fail_text(reason: FailReason) -> &'static str {
    match reason {
        FailReason::Malformed => "malformed operations",
        FailReason::CasMismatch => "compare-and-set did not match",
        FailReason::KeyExists => "key exists",
        FailReason::LimitExceeded => "limit exceeded",
        FailReason::Application => "refused by the application",
    }
}

pub(crate) fn void_text(reason: VoidReason) -> &'static str {
    match reason {
        VoidReason::Unregistered => "sender not registered",
        VoidReason::Expired => "expired",
        VoidReason::ValidTooLong => "valid for too long",
        VoidReason::NumberBelowWindow => "number below the session's window",
        VoidReason::NumberAboveWindow => "number above the session's window",
        VoidReason::NumberUsed => "number used",
        VoidReason::TooManySessions => "too many sessions",
    }
}

/// Reads a transaction id.
pub(crate) fn txid(text: &str) -> Outcome<TransactionId> {
    text.parse()
        .map_err(|_| Failure::input(format!("{text:?} is no transaction id"), "an id has 64 hex digits"))
}

/// `hex(signed bytes ‖ signature)`.
pub(crate) fn to_hex(signed: &SignedTransaction) -> String {
    hex::encode([&signed.transaction.signed_bytes()[..], &signed.signature.0[..]].concat())
}

/// Waits once more for a transaction that this machine kept: the same bytes are sent again.
pub(crate) async fn resubmit(
    context: &Context,
    client: &Client,
    signed: SignedTransaction,
) -> Outcome<quorate_client::Outcome> {
    with_progress(context, client.submit(signed)).await
}
