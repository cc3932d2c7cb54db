//! `quorate debug`.

use crate::args::Debug;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use quorate_node::recording::show::{ShownInput, name_of, show};
use quorate_node::recording::{ReplayError, replay};
use quorate_types::ErrorCode;
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn run(context: &Context, command: &Debug) -> Outcome {
    match command {
        Debug::Replay { file } => run_again(context, file),
        Debug::Show { file, from } => tell(context, file, *from),
    }
}

fn failed(error: ReplayError) -> Failure {
    let code = match error {
        ReplayError::Read(..) => ErrorCode::Io,
        ReplayError::Malformed(..) => ErrorCode::BadInput,
        ReplayError::Differs { .. } => ErrorCode::ReplayDiffers,
    };
    Failure::new(code).what(error.to_string())
}

/// Tells what came to a replica.
fn tell(context: &Context, file: &Path, from: Option<u16>) -> Outcome {
    let mut shown = show(file).map_err(failed)?;
    shown.inputs.retain(|input| from.is_none_or(|from| input.from.is_some_and(|peer| peer.get() == from)));
    let document = json!({
        "schema": "quorate.debug.show.v1",
        "member": shown.member.get(),
        "started_ms": shown.started.wall.0,
        "inputs": shown.inputs.iter().map(described).collect::<Vec<_>>(),
    });
    let line = |input: &ShownInput| {
        let from = input.from.map(|from| format!("member {from}")).unwrap_or_default();
        format!("{}  {from:9}  {}", input.at.wall.0, input.what)
    };
    context.output.data(&document, || shown.inputs.iter().map(line).collect::<Vec<_>>().join("\n"));
    Ok(())
}

fn described(input: &ShownInput) -> Value {
    json!({
        "at_ms": input.at.wall.0,
        "what": input.what,
        "from": input.from.map(|from| from.get()),
        "statement": input.statement.map(|statement| json!({
            "kind": name_of(statement.kind),
            "signer": statement.signer.get(),
            "view": statement.view.map(|view| view.get()),
            "slot": statement.seq.map(|seq| seq.get()),
        })),
        "signed": input.signed,
    })
}

/// Runs the core again from a recording and compares everything that it did.
fn run_again(context: &Context, file: &Path) -> Outcome {
    let replayed = replay(file).map_err(failed)?;
    let status = &replayed.status;
    let document = json!({
        "schema": "quorate.debug.replay.v1",
        "inputs": replayed.inputs,
        "signatures": replayed.signatures,
        "member": status.me.get(),
        "view": status.view.get(),
        "executed": status.executed.get(),
        "cut_bytes": replayed.cut_bytes,
    });
    context.output.data(&document, || {
        let cut = match replayed.cut_bytes {
            0 => String::new(),
            bytes => format!("; {bytes} bytes of a last, unfinished entry were left out"),
        };
        format!(
            "{} inputs of member {} replayed: the same records, messages and {} signatures; at the end view {}, executed {}{cut}",
            replayed.inputs, status.me, replayed.signatures, status.view, status.executed
        )
    });
    Ok(())
}
