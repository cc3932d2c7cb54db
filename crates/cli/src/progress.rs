//! How far a long command is: a bar on a terminal, else a line now and then.

use crate::output::Output;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a line tells of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines { output: Output, total: u64, said: Cell<Instant> },
}

impl Progress {
    /// Of so many bytes that are to be read.
    pub(crate) fn bytes(output: Output, total: u64) -> Self {
        if output.quiet || output.is_json() || !std::io::stderr().is_terminal() {
            return Self::Lines { output, total, said: Cell::new(Instant::now()) };
        }
        let style = ProgressStyle::with_template(
            "  {bar:30} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left",
        );
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(total).with_style(style))
    }

    /// So many are done.
    pub(crate) fn at(&self, done: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(done),
            Self::Lines { output, total, said } if said.get().elapsed() >= LINE_EVERY => {
                said.set(Instant::now());
                output.note(format!("  {} of {}", HumanBytes(done), HumanBytes(*total)));
            }
            Self::Lines { .. } => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
