//! `quorate kv`.

use crate::args::Kv;
use crate::commands::written::{document, line, revision, write};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output::{bytes, shown, time};
use quorate_client::v1::read_local_request::{KvList, Query};
use quorate_client::{ErrorCode, Operation, OperationOutput, Operations};
use serde_json::json;

pub(crate) async fn run(context: &Context, command: Kv) -> Outcome {
    match command {
        Kv::Put { name, value, if_absent, write: how } => {
            let (key, value) = (name.clone().into_bytes(), value.into_bytes());
            let operation =
                if if_absent { Operation::PutIfAbsent { key, value } } else { Operation::Put { key, value } };
            change(context, &how, "quorate.kv.put.v1", operation).await
        }
        Kv::Delete { name, write: how } => {
            change(context, &how, "quorate.kv.delete.v1", Operation::Delete { key: name.into_bytes() }).await
        }
        Kv::Cas { name, value, expect, expect_absent: _, write: how } => {
            let operation = Operation::Cas {
                key: name.into_bytes(),
                expected: expect.map(String::into_bytes),
                value: value.into_bytes(),
            };
            change(context, &how, "quorate.kv.cas.v1", operation).await
        }
        Kv::Get { name, consistency, write: _ } if consistency == "local" => get_local(context, &name).await,
        Kv::Get { name, consistency: _, write: how } => get_ordered(context, &how, &name).await,
        Kv::List { prefix, limit, keys_only } => list(context, prefix, limit, keys_only).await,
    }
}

async fn change(context: &Context, how: &crate::args::Write, schema: &str, operation: Operation) -> Outcome {
    let committed = write(context, how, Operations(vec![operation])).await?;
    context.output.data(&document(schema, &committed.done), || line(&committed));
    Ok(())
}

fn absent(name: &str, place: &str) -> Failure {
    Failure::new(ErrorCode::NotFound)
        .what(format!("{name:?} is not set"))
        .why(place.to_owned())
        .fix("check the key")
}

/// A read as a transaction: current at its place in the order, and proven.
async fn get_ordered(context: &Context, how: &crate::args::Write, name: &str) -> Outcome {
    let operation = Operation::Get { key: name.as_bytes().to_vec() };
    let committed = write(context, how, Operations(vec![operation])).await?;
    let verified = &committed.done.verified;
    let found = match committed.done.outputs().into_iter().next() {
        Some(OperationOutput::Value(found)) => found,
        _ => return Err(Failure::new(ErrorCode::AnswerInvalid).what("the receipt has no value in it")),
    };
    let Some(found) = found else {
        let place =
            format!("proven absent in block {} by {} members", verified.height, verified.signers.len());
        return Err(absent(name, &place));
    };
    let document = json!({
        "schema": "quorate.kv.get.v1",
        "key": name,
        "value": bytes(&found.value),
        "revision": revision(found.height, found.index),
        "height": verified.height.get(),
        "block_time": time(verified.time.0),
        "consistency": "ordered",
        "proof": { "kind": "receipt", "txid": verified.id.to_string(), "signers": verified.signers.len() },
    });
    context.output.data(&document, || shown(&found.value));
    Ok(())
}

/// What one replica has: labelled.
async fn get_local(context: &Context, name: &str) -> Outcome {
    let client = context.client(None).await?;
    let read = client.read_local(Query::KvGet(name.as_bytes().to_vec())).await?;
    let answer = &read.answer;
    context.output.note(format!(
        "local: as {} had it at block {} of {}; not proven, perhaps not current",
        read.endpoint,
        answer.height,
        time(answer.block_time_ms)
    ));
    let Some(entry) = answer.entries.first() else {
        return Err(absent(name, &format!("{} has no such key at block {}", read.endpoint, answer.height)));
    };
    let document = json!({
        "schema": "quorate.kv.get.v1",
        "key": name,
        "value": bytes(&entry.value),
        "revision": revision(entry.height, entry.index),
        "height": answer.height,
        "block_time": time(answer.block_time_ms),
        "consistency": "local",
        "proof": null,
    });
    context.output.data(&document, || shown(&entry.value));
    Ok(())
}

async fn list(context: &Context, prefix: String, limit: u32, keys_only: bool) -> Outcome {
    let client = context.client(None).await?;
    let query = Query::KvList(KvList { prefix: prefix.into_bytes(), after: Vec::new(), limit });
    let read = client.read_local(query).await?;
    let answer = &read.answer;
    context.output.note(format!(
        "local: as {} had it at block {}; not proven, perhaps not current",
        read.endpoint, answer.height
    ));
    let entries: Vec<_> = answer
        .entries
        .iter()
        .map(|entry| {
            let mut object =
                json!({ "key": bytes(&entry.key), "revision": revision(entry.height, entry.index) });
            if !keys_only {
                object["value"] = bytes(&entry.value);
            }
            object
        })
        .collect();
    let document = json!({
        "schema": "quorate.kv.list.v1", "height": answer.height, "consistency": "local", "entries": entries,
    });
    let rows: Vec<Vec<String>> = answer
        .entries
        .iter()
        .map(|entry| {
            let mut row = vec![shown(&entry.key), revision(entry.height, entry.index)];
            if !keys_only {
                row.push(shown(&entry.value));
            }
            row
        })
        .collect();
    let columns: &[&str] = if keys_only { &["KEY", "REVISION"] } else { &["KEY", "REVISION", "VALUE"] };
    context.output.table(&document, columns, &rows);
    Ok(())
}
