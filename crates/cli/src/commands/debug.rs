//! `quorate debug`.

use crate::args::Debug;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use quorate_node::recording::{ReplayError, replay};
use quorate_types::ErrorCode;
use serde_json::json;
use std::path::Path;

pub(crate) fn run(context: &Context, command: &Debug) -> Outcome {
    match command {
        Debug::Replay { file } => run_again(context, file),
    }
}

/// Runs the core again from a recording and compares everything that it did.
fn run_again(context: &Context, file: &Path) -> Outcome {
    let replayed = replay(file).map_err(|error| match error {
        ReplayError::Read(..) => Failure::new(ErrorCode::Io).what(error.to_string()),
        ReplayError::Malformed(..) => Failure::new(ErrorCode::BadInput).what(error.to_string()),
        ReplayError::Differs { .. } => Failure::new(ErrorCode::ReplayDiffers).what(error.to_string()),
    })?;
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
