//! Members and clients that lie, as real processes: the adversaries of the simulator with a member's real key, and what only
//! real sockets show. Ways to lie are numbered as in docs/assurance.md. Never part of a release.

mod b40_malformed_frames;
mod b41_lying_lengths;
mod b42_bad_streams;
mod b46_connection_storm;
mod b47_deaf_client;
mod b54_junk_to_peers;
mod client;
mod error;
mod flood;
mod http2;
mod link;
mod member;
mod outgoing;
mod report;

use clap::{Args, Parser, Subcommand};
use error::ByzError;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Members and clients that lie, for tests
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a member that lies until SIGTERM or SIGINT
    Node {
        /// The member's directory, as of `quorate node run`
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Its configuration, if not in the directory
        #[arg(long)]
        config: Option<PathBuf>,
        #[command(flatten)]
        ways: Ways,
    },
    /// Run a client that misbehaves until SIGTERM or SIGINT
    Client {
        /// The gateways to bother, HOST:PORT
        #[arg(long, required = true, value_delimiter = ',')]
        endpoint: Vec<String>,
        /// The genesis of the ledger
        #[arg(long)]
        genesis: PathBuf,
        /// The key that signs its transactions
        #[arg(long)]
        key: PathBuf,
        #[command(flatten)]
        ways: Ways,
    },
}

#[derive(Args)]
struct Ways {
    /// How to lie: numbers of docs/assurance.md
    #[arg(long, required = true, value_delimiter = ',')]
    behaviour: Vec<u16>,
    /// Decides whatever is drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keep a count of the lies in this file
    #[arg(long)]
    report: Option<PathBuf>,
    /// End with this process, the parent
    #[arg(long)]
    with_parent: Option<u32>,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate-byz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), ByzError> {
    let (Command::Node { ways, .. } | Command::Client { ways, .. }) = &command;
    if let Some(parent) = ways.with_parent {
        die_with(parent)?;
    }
    let report = Arc::new(Report::new(ways.report.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async {
        match &command {
            Command::Node { dir, config, ways } => {
                let config = config.clone().unwrap_or_else(|| dir.join("quorate.toml"));
                member::run(&config, &ways.behaviour, ways.seed, &report).await
            }
            Command::Client { endpoint, genesis, key, ways } => {
                let place = client::Place::read(endpoint.clone(), genesis, key)?;
                client::run(place, &ways.behaviour, ways.seed, &report).await
            }
        }
    });
    // Attacks under way hold sockets that nobody waits for.
    runtime.shutdown_background();
    done?;
    report.write()?;
    println!("{}", report.to_json());
    Ok(())
}

/// Asks the kernel for death when the parent's thread dies; the parent may have died before.
fn die_with(parent: u32) -> Result<(), ByzError> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(std::io::Error::from)?;
    if std::os::unix::process::parent_id() == parent { Ok(()) } else { Err(ByzError::ParentIsGone) }
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}
