//! `quorate receipt`: needs the file and the genesis, and no network.

use crate::args::Receipt as Command;
use crate::commands::tx::operation_text;
use crate::commands::written::document;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output::time;
use quorate_client::{Done, ErrorCode, Operations, Receipt, VerifiedReceipt};
use serde_json::json;
use std::path::Path;

pub(crate) fn run(context: &Context, command: &Command) -> Outcome {
    match command {
        Command::Verify { file } => verify(context, file),
        Command::Show { file } => show(context, file),
    }
}

fn read(path: &Path) -> Outcome<Receipt> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => refused(path, "it is not text"),
        _ => Failure::io(path, &error),
    })?;
    Receipt::from_json(&text).map_err(|error| refused(path, &error.to_string()))
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::new(ErrorCode::ReceiptInvalid).what(format!("{} does not verify", path.display())).why(why)
}

fn verify(context: &Context, path: &Path) -> Outcome {
    let trust = context.trust()?;
    let receipt = read(path)?;
    let verified = receipt.verify(&trust).map_err(|error| refused(path, &error.to_string()))?;
    let members = trust.members();
    let names: Vec<String> = verified
        .signers
        .iter()
        .filter_map(|signer| members.get(*signer))
        .map(|member| member.name.clone())
        .collect();
    let done = Done { receipt, verified };
    let mut found = document("quorate.receipt.verify.v1", &done);
    found["valid"] = json!(true);
    found["ledger"] = json!(trust.ledger().to_string());
    context.output.data(&found, || {
        let word = if done.failure().is_none() { "committed" } else { "failed" };
        format!(
            "valid  {word}  block {} index {}  {}\n  tx       {}\n  ledger   {} {}\n  signed   {} ({} needed)",
            done.verified.height,
            done.verified.index,
            time(done.verified.time.0),
            done.verified.id,
            trust.genesis().name,
            trust.ledger(),
            names.join(", "),
            members.quorums().strong(),
        )
    });
    Ok(())
}

fn show(context: &Context, path: &Path) -> Outcome {
    let receipt = read(path)?;
    let transaction = &receipt.transaction.transaction;
    let claimed = VerifiedReceipt {
        id: quorate_crypto::transaction_id(transaction),
        height: receipt.header.height,
        index: receipt.transaction_path.index,
        time: receipt.header.time,
        result: receipt.result.clone(),
        signers: receipt.certificate.signatures.iter().map(|(signer, _)| *signer).collect(),
    };
    let done = Done { receipt: receipt.clone(), verified: claimed };
    let mut found = document("quorate.receipt.show.v1", &done);
    found["verified"] = json!(false);
    found["ledger"] = json!(receipt.header.ledger.to_string());
    found["links"] = json!(receipt.links.len());
    found["certificate_height"] = json!(receipt.certificate.height.get());
    found["operations"] = crate::commands::tx::operations_document(&transaction.payload);
    context.output.note("not verified: quorate receipt verify checks it against the genesis");
    context.output.data(&found, || {
        let mut lines = vec![
            format!("tx       {}", done.verified.id),
            format!(
                "block    {} index {}  {}",
                done.verified.height,
                done.verified.index,
                time(done.verified.time.0)
            ),
            format!("ledger   {}", receipt.header.ledger),
            format!("sender   {}", quorate_crypto::public_key_to_text(&transaction.sender)),
            format!("signers  {}, of block {}", done.verified.signers.len(), receipt.certificate.height),
        ];
        for operation in Operations::from_payload(&transaction.payload).unwrap_or_default().0 {
            lines.push(format!("op       {}", operation_text(&operation)));
        }
        lines.join("\n")
    });
    Ok(())
}
