//! What is measured.

use crate::net::{self, Load};
use crate::{Runs, plot, table};
use std::path::Path;

/// One testnet and one load.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) members: u16,
    pub(crate) load: Load,
}

fn case(members: u16, clients: u32, size: u32, keys: u32) -> Case {
    let name = format!("n={members} clients={clients} B={size} keys={keys}");
    Case { name, members, load: Load { clients, size, keys, appends: None } }
}

/// The standard set.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![case(4, 1, 128, 1)];
    for clients in [64, 256, 1_024] {
        cases.push(case(4, clients, 128, 16));
    }
    cases.push(case(4, 256, 128, 256));
    cases.push(case(4, 256, 512, 16));
    cases.push(case(7, 256, 128, 16));
    cases.push(Case {
        name: "n=4 clients=64 B=128 appends=100".to_owned(),
        members: 4,
        load: Load { clients: 64, size: 128, keys: 16, appends: Some(100) },
    });
    cases
}

/// Every case once in each run, in turn: what else the machine does falls on all of them.
pub(crate) fn run(program: &Path, runs: &Runs, svg: Option<&Path>) -> Result<String, String> {
    let cases: Vec<_> = cases().into_iter().filter(|case| runs.wants(&case.name)).collect();
    let mut samples = vec![Vec::new(); cases.len()];
    for run in 1..=runs.runs {
        for (case, samples) in cases.iter().zip(&mut samples) {
            let sample = net::measure(program, case, runs.duration());
            let sample = sample.map_err(|why| format!("{}: {why}", case.name))?;
            eprintln!("{run}/{} {:<28} {sample}", runs.runs, case.name);
            samples.push(sample);
        }
    }
    if let Some(path) = svg {
        std::fs::write(path, plot::svg(&cases, &samples))
            .map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(table::text(&cases, &samples))
}
