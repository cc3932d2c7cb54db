//! `quorate block`.

use crate::args::Block;
use crate::commands::tx::operation_text;
use crate::commands::written::{fail_text, void_text};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output::{short, time};
use quorate_client::{Client, FoundBlock, Operations, TransactionResult};
use serde_json::{Value, json};

pub(crate) async fn run(context: &Context, command: Block) -> Outcome {
    let client = context.client(None).await?;
    match command {
        Block::Show { height } => {
            let height = if height == "latest" { 0 } else { parse(&height)? };
            let block = client.block(height).await?;
            let mut document = document(&client, &block);
            document["schema"] = json!("quorate.block.show.v1");
            context.output.data(&document, || text(&client, &block));
            Ok(())
        }
        Block::List { from, limit } => list(context, &client, from, limit).await,
    }
}

fn parse(text: &str) -> Outcome<u64> {
    match text.parse() {
        Ok(0) | Err(_) => {
            Err(Failure::input(format!("{text:?} is no height"), "heights start at 1; latest is the newest"))
        }
        Ok(height) => Ok(height),
    }
}

async fn list(context: &Context, client: &Client, from: Option<u64>, limit: u64) -> Outcome {
    let newest = match client.block(0).await {
        Ok(block) => block.header.height.get(),
        // A ledger without blocks has an empty list.
        Err(quorate_client::ClientError::NotFound(_)) => 0,
        Err(error) => return Err(error.into()),
    };
    let from = from.unwrap_or_else(|| newest.saturating_sub(limit.saturating_sub(1))).max(1);
    let (mut documents, mut rows) = (Vec::new(), Vec::new());
    for height in (from..=newest).take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let block = client.block(height).await?;
        documents.push(document(client, &block));
        rows.push(vec![
            height.to_string(),
            time(block.header.time.0),
            block.transactions.len().to_string(),
            short(&block.hash.to_string()),
            signers(client, &block).join(","),
        ]);
    }
    let document = json!({ "schema": "quorate.block.list.v1", "blocks": documents });
    context.output.table(&document, &["BLOCK", "TIME", "TXS", "HASH", "SIGNED BY"], &rows);
    Ok(())
}

fn signers(client: &Client, block: &FoundBlock) -> Vec<String> {
    let trust = client.trust();
    let Some((certificate, signers)) = &block.certificate else { return Vec::new() };
    let Some(members) = trust.members_of(certificate.epoch) else { return Vec::new() };
    signers.iter().filter_map(|signer| members.get(*signer)).map(|member| member.name.clone()).collect()
}

fn result_text(result: &TransactionResult) -> String {
    match result {
        TransactionResult::Committed { .. } => "committed".to_owned(),
        TransactionResult::Failed { reason, .. } => format!("failed: {}", fail_text(*reason)),
        TransactionResult::Void { reason } => format!("void: {}", void_text(*reason)),
    }
}

fn document(client: &Client, block: &FoundBlock) -> Value {
    let header = &block.header;
    let transactions: Vec<Value> = block
        .transactions
        .iter()
        .map(|(id, _, result)| json!({ "txid": id.to_string(), "result": result_text(result) }))
        .collect();
    json!({
        "height": header.height.get(),
        "hash": block.hash.to_string(),
        "parent": header.parent.to_string(),
        "time": time(header.time.0),
        "transactions_root": header.transactions_root.to_string(),
        "results_root": header.results_root.to_string(),
        "state_root": header.state_root.to_string(),
        "batch_digest": header.batch_digest.to_string(),
        "epoch": header.epoch.get(),
        "signers": signers(client, block),
        "certified": block.certificate.is_some(),
        "transactions": transactions,
    })
}

fn text(client: &Client, block: &FoundBlock) -> String {
    let header = &block.header;
    let signed = match &block.certificate {
        Some(_) => format!("{} (verified)", signers(client, block).join(", ")),
        None => "no certificate yet: fewer than a quorum have attested it".to_owned(),
    };
    let mut lines = vec![
        format!("block        {}  {}", header.height, time(header.time.0)),
        format!("hash         {}", block.hash),
        format!("parent       {}", header.parent),
        format!("state root   {}", header.state_root),
        format!("signed by    {signed}"),
        format!("transactions {}", block.transactions.len()),
    ];
    for (id, signed, result) in &block.transactions {
        lines.push(format!("  {id}  {}", result_text(result)));
        for operation in
            Operations::from_payload(&signed.transaction.payload).unwrap_or_default().0.iter().take(4)
        {
            lines.push(format!("    {}", operation_text(operation)));
        }
    }
    lines.join("\n")
}
