//! `quorate tx`.

use crate::args::Tx;
use crate::commands::written::{
    Committed, committed, document, fail_text, line, resubmit, save_receipt, to_hex, txid, with_progress,
};
use crate::commands::{bench, operations};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output::{bytes, shown, time};
use quorate_client::{Client, Done, ErrorCode, Operation, Operations, Outcome as Became};
use quorate_types::{Number, SessionId, SignedTransaction, Transaction};
use serde_json::json;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) async fn run(context: &Context, command: Tx) -> Outcome {
    match command {
        Tx::Submit { file, hex, dry_run, write } => {
            let client = context.client(Some(write.valid_for)).await?;
            let signed = match hex {
                Some(text) => from_hex(&text)?,
                None => client.sign(&operations::parse(&read_input(file.as_deref())?)?)?,
            };
            if dry_run {
                return dry(context, &client, &signed);
            }
            let start = Instant::now();
            let outcome = with_progress(context, client.submit(signed)).await?;
            let took = start.elapsed();
            if let (Some(path), Some(done)) = (&write.receipt, outcome.done()) {
                save_receipt(path, done)?;
            }
            let committed = Committed { done: committed(outcome)?, took };
            context.output.data(&document("quorate.tx.submit.v1", &committed.done), || line(&committed));
            Ok(())
        }
        Tx::Status { txid: id, wait, receipt } => status(context, &id, wait, receipt.as_deref()).await,
        Tx::Show { txid: id } => show(context, &id).await,
        Tx::Cancel { target } => cancel(context, &target).await,
        Tx::Bench(options) => bench::run(context, &options).await,
    }
}

fn read_input(file: Option<&Path>) -> Outcome<String> {
    let path = file.unwrap_or(Path::new("-"));
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::io(path, &error))?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(|error| Failure::io(path, &error))
}

fn from_hex(text: &str) -> Outcome<SignedTransaction> {
    let refused = |why: String| Failure::input("--hex is no signed transaction", why);
    let bytes = hex::decode(text.trim()).map_err(|error| refused(error.to_string()))?;
    let split =
        bytes.len().checked_sub(64).ok_or_else(|| refused("it is shorter than a signature".to_owned()))?;
    let (signed, signature) = bytes.split_at(split);
    let transaction = Transaction::from_signed_bytes(signed).map_err(|error| refused(error.to_string()))?;
    let signature = quorate_types::Signature(signature.try_into().expect("64 bytes were split off"));
    Ok(SignedTransaction { transaction, signature })
}

fn dry(context: &Context, client: &Client, signed: &SignedTransaction) -> Outcome {
    if let Some(code) = client.static_fault(signed) {
        return Err(Failure::new(code));
    }
    let transaction = &signed.transaction;
    let id = quorate_crypto::transaction_id(transaction);
    let document = json!({
        "schema": "quorate.tx.dry-run.v1", "txid": id.to_string(), "session": transaction.session.get().to_string(),
        "number": transaction.number.get(), "valid_until": time(transaction.valid_until.0), "hex": to_hex(signed),
    });
    context.output.data(&document, || to_hex(signed));
    Ok(())
}

async fn status(context: &Context, id: &str, wait: bool, receipt: Option<&Path>) -> Outcome {
    let id = txid(id)?;
    let client = context.client(None).await?;
    let patience = if wait { context.global.timeout } else { Duration::ZERO };
    let kept = client.session().pending().and_then(|pending| pending.find(&id));
    let outcome = match kept {
        Some(signed) if wait => resubmit(context, &client, signed).await?,
        _ => with_progress(context, client.outcome(id, patience)).await?,
    };
    if let (Some(path), Some(done)) = (receipt, outcome.done()) {
        save_receipt(path, done)?;
    }
    match &outcome {
        Became::Committed(done) | Became::Failed(done) => {
            context.output.data(&document("quorate.tx.status.v1", done), || {
                let verified = &done.verified;
                let word = match done.failure() {
                    None => "committed".to_owned(),
                    Some((reason, _)) => format!("failed ({})", fail_text(reason)),
                };
                format!(
                    "{word}  block {} index {}  {}",
                    verified.height,
                    verified.index,
                    time(verified.time.0)
                )
            });
            Ok(())
        }
        _ => committed(outcome).map(|_| ()),
    }
}

async fn show(context: &Context, id: &str) -> Outcome {
    let id = txid(id)?;
    let client = context.client(None).await?;
    let outcome = client.outcome(id, Duration::ZERO).await?;
    let Some(done) = outcome.done() else {
        return Err(Failure::new(ErrorCode::NotFound)
            .what(format!("no outcome of transaction {id} is known"))
            .why("no certified block of the gateway has it")
            .fix(format!("quorate tx status {id} --wait")));
    };
    let mut shown_document = document("quorate.tx.show.v1", done);
    let transaction = &done.receipt.transaction.transaction;
    shown_document["sender"] = json!(quorate_crypto::public_key_to_text(&transaction.sender));
    shown_document["session"] = json!(transaction.session.get().to_string());
    shown_document["number"] = json!(transaction.number.get());
    shown_document["valid_until"] = json!(time(transaction.valid_until.0));
    shown_document["app"] = json!(transaction.app);
    shown_document["operations"] = operations_document(&transaction.payload);
    context.output.data(&shown_document, || text(done));
    Ok(())
}

pub(crate) fn operations_document(payload: &[u8]) -> serde_json::Value {
    let Ok(operations) = Operations::from_payload(payload) else { return json!(null) };
    operations.0.iter().map(operation_document).collect()
}

fn operation_document(operation: &Operation) -> serde_json::Value {
    match operation {
        Operation::Put { key, value } => json!({ "put": { "key": bytes(key), "value": bytes(value) } }),
        Operation::PutIfAbsent { key, value } => {
            json!({ "put-if-absent": { "key": bytes(key), "value": bytes(value) } })
        }
        Operation::Get { key } => json!({ "get": { "key": bytes(key) } }),
        Operation::Delete { key } => json!({ "delete": { "key": bytes(key) } }),
        Operation::Cas { key, expected, value } => json!({
            "cas": { "key": bytes(key), "expect": expected.as_deref().map(bytes), "value": bytes(value) }
        }),
        Operation::Append { topic, entry } => {
            json!({ "append": { "topic": bytes(topic), "entry": bytes(entry) } })
        }
    }
}

fn text(done: &Done) -> String {
    let transaction = &done.receipt.transaction.transaction;
    let verified = &done.verified;
    let outcome = done
        .failure()
        .map_or_else(|| "committed".to_owned(), |(why, _)| format!("failed: {}", fail_text(why)));
    let mut lines = vec![
        format!("txid         {}", verified.id),
        format!("outcome      {outcome}"),
        format!("block        {} index {}  {}", verified.height, verified.index, time(verified.time.0)),
        format!("sender       {}", quorate_crypto::public_key_to_text(&transaction.sender)),
        format!("session      {} number {}", transaction.session, transaction.number),
        format!("valid until  {}", time(transaction.valid_until.0)),
        format!("signed by    {} members", verified.signers.len()),
    ];
    for operation in Operations::from_payload(&transaction.payload).unwrap_or_default().0 {
        lines.push(format!("operation    {}", operation_text(&operation)));
    }
    lines.join("\n")
}

pub(crate) fn operation_text(operation: &Operation) -> String {
    match operation {
        Operation::Put { key, value } => format!("put {} = {}", shown(key), shown(value)),
        Operation::PutIfAbsent { key, value } => format!("put-if-absent {} = {}", shown(key), shown(value)),
        Operation::Get { key } => format!("get {}", shown(key)),
        Operation::Delete { key } => format!("delete {}", shown(key)),
        Operation::Cas { key, expected, value } => {
            let expected = expected.as_deref().map_or_else(|| "nothing".to_owned(), shown);
            format!("cas {}: {expected} -> {}", shown(key), shown(value))
        }
        Operation::Append { topic, entry } => format!("append to {}: {}", shown(topic), shown(entry)),
    }
}

/// By id only for what this machine kept: an id does not tell session and number.
async fn cancel(context: &Context, target: &[String]) -> Outcome {
    let client = context.client(None).await?;
    let (session, number) = match target {
        [session, number] => {
            let parse = |text: &String| {
                text.parse::<u64>()
                    .map_err(|error| Failure::input(format!("{text:?} is no number"), error.to_string()))
            };
            (SessionId::new(parse(session)?), Number::new(parse(number)?))
        }
        [id] => {
            let id = txid(id)?;
            let kept = client.session().pending().and_then(|pending| pending.find(&id)).ok_or_else(|| {
                Failure::new(ErrorCode::NotFound)
                    .what(format!("this machine keeps no transaction {id}"))
                    .why("only transactions without an outcome are kept, where they were signed")
                    .fix("quorate tx cancel SESSION NUMBER")
            })?;
            (kept.transaction.session, kept.transaction.number)
        }
        _ => return Err(Failure::new(ErrorCode::Usage)),
    };
    let start = Instant::now();
    let outcome = with_progress(context, client.cancel(session, number)).await?;
    let committed = Committed { done: committed(outcome)?, took: start.elapsed() };
    context.output.data(&document("quorate.tx.cancel.v1", &committed.done), || {
        format!(
            "cancelled  session {session} number {number}: no other transaction can take it\n{}",
            line(&committed)
        )
    });
    Ok(())
}
