//! `explain`, `schema`, `completions`, `man`, `version`.

use crate::args::Cli;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::schema;
use clap::CommandFactory;
use quorate_types::ErrorCode;
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn explain(context: &Context, code: &str) -> Outcome {
    if code == "list" {
        let rows: Vec<Vec<String>> = ErrorCode::ALL
            .iter()
            .map(|code| {
                let text = code.text();
                vec![text.code.to_owned(), text.exit.to_string(), text.what.to_owned()]
            })
            .collect();
        let codes: Vec<Value> = ErrorCode::ALL.iter().map(|code| document(*code)).collect();
        let list = json!({ "schema": "quorate.explain.list.v1", "codes": codes });
        context.output.table(&list, &["CODE", "EXIT", "WHAT"], &rows);
        return Ok(());
    }
    let code: ErrorCode = code.parse().map_err(|()| {
        Failure::new(ErrorCode::NotFound)
            .what(format!("there is no error code {code:?}"))
            .why("codes are Q and four digits")
            .fix("quorate explain list")
    })?;
    let mut explained = document(code);
    explained["schema"] = json!("quorate.explain.v1");
    let text = code.text();
    context.output.data(&explained, || {
        format!(
            "{}: {}\n  why: {}\n  fix: {}\n  exit code {}",
            text.code, text.what, text.why, text.fix, text.exit
        )
    });
    Ok(())
}

fn document(code: ErrorCode) -> Value {
    let text = code.text();
    json!({ "code": text.code, "what": text.what, "why": text.why, "fix": text.fix, "exit": text.exit })
}

pub(crate) fn print_schema(context: &Context, name: Option<&str>) -> Outcome {
    match name {
        None => {
            let names = schema::names();
            let list = json!({ "schema": "quorate.schema.list.v1", "names": names });
            context.output.data(&list, || names.join("\n"));
        }
        Some(name) => {
            let found = schema::find(name).ok_or_else(|| {
                Failure::new(ErrorCode::NotFound)
                    .what(format!("there is no schema {name:?}"))
                    .why("schemas are named noun.verb")
                    .fix("quorate schema")
            })?;
            crate::output::line(&format!("{found:#}"));
        }
    }
    Ok(())
}

pub(crate) fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "quorate", &mut std::io::stdout());
}

pub(crate) fn man(out: Option<&Path>) -> Outcome {
    let command = Cli::command();
    match out {
        None => {
            let io = |error: std::io::Error| Failure::new(ErrorCode::Io).what(error.to_string());
            clap_mangen::Man::new(command).render(&mut std::io::stdout()).map_err(io)
        }
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .map_err(|error| Failure::io(dir, &error)),
    }
}

pub(crate) fn version(context: &Context) {
    let version = env!("CARGO_PKG_VERSION");
    let document = json!({
        "schema": "quorate.version.v1", "version": version, "format": quorate_types::limits::FORMAT,
        "mutants": quorate_types::mutants::BUILT_IN,
        "os": std::env::consts::OS, "arch": std::env::consts::ARCH,
    });
    context.output.data(&document, || format!("quorate {version}"));
}
