//! Measures testnets of real processes on this machine; every ledger is executed again in the end.

mod attack;
mod failover;
mod functions;
mod hot;
#[path = "../../cluster/judge.rs"]
mod judge;
mod net;
mod plot;
mod processes;
mod scale;
#[path = "../../cluster/scrape.rs"]
mod scrape;
mod soak;
mod standard;
mod table;
mod verify;

use clap::{Args, Parser, Subcommand};
use quorate_simulator::campaign::publish;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Measure testnets of real processes.
#[derive(Debug, Parser)]
struct Options {
    /// The program to measure; by default the one beside this one
    #[arg(long, global = true)]
    quorate: Option<PathBuf>,
    /// Put the table into this file, between the lines `<!-- begin NAME -->` and `<!-- end NAME -->`, of which NAME is the command
    #[arg(long, global = true)]
    into: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The standard set: clients, sizes, keys and members, each with the floor in the same run
    Standard {
        #[command(flatten)]
        runs: Runs,
        /// Draw the figures into this file
        #[arg(long)]
        svg: Option<PathBuf>,
    },
    /// What one liar, or one client that floods, leaves of the throughput; needs `quorate-byz` beside `quorate`
    Attack {
        #[command(flatten)]
        runs: Runs,
    },
    /// The hot functions by themselves, without a testnet
    Functions,
    /// Kill the primary under load, again and again: how long until a transaction commits that was submitted after the kill
    Failover {
        #[arg(long, default_value_t = 50)]
        kills: usize,
        /// Clients of the load beside it
        #[arg(long, default_value_t = 32)]
        clients: u32,
    },
    /// How fast a stored ledger is verified, on one core and on all
    Verify {
        /// Seconds of load that make the ledger
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// How often it is verified
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// What more members cost, in the simulator with an estimated cost of each step
    Scale,
    /// Long load at a rate: memory and disk over time, and no view change
    Soak {
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// Transactions a second, in an open loop
        #[arg(long, default_value_t = 1_000)]
        rate: u32,
        /// Keep one core busy with something else all the while
        #[arg(long)]
        busy: bool,
    },
}

/// How often and how long.
#[derive(Debug, Args)]
struct Runs {
    /// How often each case is measured
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds of each measurement, after one of warm-up
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only cases whose name contains this
    #[arg(long)]
    only: Option<String>,
}

impl Runs {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|part| name.contains(part))
    }
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), String> {
    let (name, text) = match &options.what {
        What::Functions => {
            functions::print();
            return Ok(());
        }
        What::Standard { runs, svg } => {
            ("standard", standard::run(&program(options)?, runs, svg.as_deref())?)
        }
        What::Attack { runs } => ("attack", attack::run(&program(options)?, runs)?),
        What::Scale => ("scale", scale::run(&program(options)?)?),
        What::Failover { kills, clients } => {
            ("failover", failover::run(&program(options)?, *kills, *clients)?)
        }
        What::Verify { seconds, runs } => {
            ("verify", verify::run(&program(options)?, Duration::from_secs(*seconds), *runs)?)
        }
        What::Soak { seconds, rate, busy } => {
            ("soak", soak::run(&program(options)?, Duration::from_secs(*seconds), *rate, *busy)?)
        }
    };
    print!("{text}");
    match &options.into {
        Some(path) => publish(path, name, &text).map_err(|why| format!("{}: {why}", path.display())),
        None => Ok(()),
    }
}

fn program(options: &Options) -> Result<PathBuf, String> {
    let beside = || std::env::current_exe().ok().map(|own| own.with_file_name("quorate"));
    let named = options.quorate.clone().or_else(beside);
    named.filter(|path: &PathBuf| Path::is_file(path)).ok_or_else(|| {
        "no quorate beside this program: build it in the same profile, or name one with --quorate".to_owned()
    })
}
