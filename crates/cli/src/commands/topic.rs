//! `quorate topic`.

use crate::args::Topic;
use crate::commands::written::{document, line, write};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output::{bytes, shown};
use quorate_client::v1::read_local_request::{Query, TopicList, TopicRead};
use quorate_client::{Operation, OperationOutput, Operations};
use serde_json::json;

pub(crate) async fn run(context: &Context, command: Topic) -> Outcome {
    match command {
        Topic::Append { topic, entry, file, write: how } => {
            let entry = match (entry, file) {
                (Some(entry), _) => entry.into_bytes(),
                (None, Some(path)) => std::fs::read(&path).map_err(|error| Failure::io(&path, &error))?,
                (None, None) => Vec::new(),
            };
            let operation = Operation::Append { topic: topic.into_bytes(), entry };
            let committed = write(context, &how, Operations(vec![operation])).await?;
            let index = committed.done.outputs().into_iter().find_map(|output| match output {
                OperationOutput::Appended { index } => Some(index),
                _ => None,
            });
            context.output.data(&document("quorate.topic.append.v1", &committed.done), || {
                format!("{}  entry {}", line(&committed), index.unwrap_or_default())
            });
            Ok(())
        }
        Topic::Read { topic, from, limit } => read(context, topic, from, limit).await,
        Topic::List { prefix, limit } => list(context, prefix, limit).await,
    }
}

async fn read(context: &Context, topic: String, from: u64, limit: u32) -> Outcome {
    let client = context.client(None).await?;
    let query = Query::TopicRead(TopicRead { topic: topic.clone().into_bytes(), from, limit });
    let read = client.read_local(query).await?;
    note(context, &read);
    let found = &read.answer.topic_entries;
    let entries: Vec<_> = found
        .iter()
        .map(|entry| {
            json!({
                "index": entry.index, "entry": bytes(&entry.entry), "txid": hex::encode(&entry.txid),
                "height": entry.height,
            })
        })
        .collect();
    let document = json!({
        "schema": "quorate.topic.read.v1", "topic": topic, "height": read.answer.height, "consistency": "local",
        "entries": entries,
    });
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|entry| vec![entry.index.to_string(), entry.height.to_string(), shown(&entry.entry)])
        .collect();
    context.output.table(&document, &["INDEX", "BLOCK", "ENTRY"], &rows);
    Ok(())
}

async fn list(context: &Context, prefix: String, limit: u32) -> Outcome {
    let client = context.client(None).await?;
    let read = client.read_local(Query::TopicList(TopicList { prefix: prefix.into_bytes(), limit })).await?;
    note(context, &read);
    let found = &read.answer.topics;
    let topics: Vec<_> = found
        .iter()
        .map(|topic| {
            json!({
                "topic": bytes(&topic.topic), "length": topic.length, "running_hash": hex::encode(&topic.hash),
            })
        })
        .collect();
    let document = json!({
        "schema": "quorate.topic.list.v1", "height": read.answer.height, "consistency": "local", "topics": topics,
    });
    let rows: Vec<Vec<String>> =
        found.iter().map(|topic| vec![shown(&topic.topic), topic.length.to_string()]).collect();
    context.output.table(&document, &["TOPIC", "ENTRIES"], &rows);
    Ok(())
}

fn note(context: &Context, read: &quorate_client::LocalRead) {
    context.output.note(format!(
        "local: as {} had it at block {}; an entry is proven by the receipt of its transaction",
        read.endpoint, read.answer.height
    ));
}
