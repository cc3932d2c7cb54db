//! stdout is data, stderr is people. Tables only on a terminal; `-o json` is complete.

use clap::ValueEnum;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: a table on a terminal, tab-separated otherwise.
    Table,
    /// Tab-separated.
    Plain,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// Where a command writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) color: Color,
}

impl Output {
    pub(crate) fn is_json(self) -> bool {
        matches!(self.format, Format::Json | Format::Jsonl)
    }

    /// Data: the document as JSON, or the text.
    pub(crate) fn data(self, document: &Value, text: impl FnOnce() -> String) {
        match self.format {
            Format::Json => line(&format!("{document:#}")),
            Format::Jsonl => line(&document.to_string()),
            Format::Table | Format::Plain => line(&text()),
        }
    }

    /// Rows under column names.
    pub(crate) fn table(self, document: &Value, columns: &[&str], rows: &[Vec<String>]) {
        self.data(document, || match self.format {
            Format::Table if std::io::stdout().is_terminal() => {
                let mut table = comfy_table::Table::new();
                table.load_style(comfy_table::presets::NOTHING).set_header(columns.iter().copied());
                table.add_rows(rows.iter().cloned());
                table.to_string()
            }
            _ => {
                let head = columns.join("\t");
                let rows = rows.iter().map(|row| row.join("\t"));
                std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
            }
        });
    }

    /// A remark for people, on stderr.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("{}", text.as_ref());
        }
    }

    /// A word in bold, if stderr and the user want that.
    pub(crate) fn strong(self, text: &str) -> String {
        let wanted = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
                forced || (std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal())
            }
        };
        if wanted { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// One line on stdout. A reader that closed the pipe ends the program quietly, as `head` expects.
pub(crate) fn line(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Bytes: text if they are UTF-8, else base64 in an object.
pub(crate) fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": hex::encode(bytes) }),
    }
}

/// Bytes for people: text if it is printable, else hex.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("0x{}", hex::encode(bytes)),
    }
}

/// The first and last digits of a hash.
pub(crate) fn short(hash: &str) -> String {
    match (hash.get(..8), hash.get(hash.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if hash.len() > 16 => format!("{head}...{tail}"),
        _ => hash.to_owned(),
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn time(milliseconds: u64) -> String {
    quorate_proof::genesis_file::time_text(quorate_types::LedgerTime(milliseconds))
}
