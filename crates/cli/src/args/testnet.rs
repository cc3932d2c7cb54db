//! `quorate testnet`: its arguments.

use super::duration;
use clap::{Args, Subcommand};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `2%`, or `2`.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err(format!("{text:?} is no percentage from 0% to 100%")),
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Testnet {
    /// Make keys, genesis and configuration of a network
    New {
        dir: PathBuf,
        /// Replicas
        #[arg(short, default_value_t = 4)]
        n: u16,
        /// The port of the first replica; the others follow. 0 for any
        #[arg(long, default_value_t = 7238)]
        base_port: u16,
        /// The name of the ledger; the directory's name without it
        #[arg(long, value_name = "NAME")]
        chain_name: Option<String>,
        /// The loopback address of all replicas
        #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
        address: IpAddr,
        /// Accept transactions of any key, not of registered clients only
        #[arg(long)]
        open: bool,
        /// Declare fewer Byzantine members than n allows
        #[arg(long, value_name = "F")]
        faults: Option<u16>,
        /// Allow f = 0: crashes are tolerated, a faulty member is not
        #[arg(long)]
        allow_crash_only: bool,
        /// Operators; more than half of them must approve a change of the members
        #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
        operators: u16,
        /// Slots between checkpoints
        #[arg(long, hide = true, default_value_t = 128)]
        checkpoint_every: u64,
    },
    /// Run the replicas; this process supervises them
    Up {
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Supervise in the background
        #[arg(short, long)]
        detach: bool,
        /// How long to wait until a transaction commits
        #[arg(long, value_parser = duration, default_value = "30s")]
        wait: Duration,
        /// Start these replicas only
        #[arg(long, value_delimiter = ',')]
        only: Vec<usize>,
        /// Links that can be made worse: testnet net, partition and chaos
        #[arg(long)]
        links: bool,
    },
    /// Stop the replicas
    Down {
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Which replicas run, and where they stand
    Status {
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// The log lines of replicas
    Logs {
        /// Replicas; all without it
        nodes: Vec<usize>,
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// The last lines of each
        #[arg(short, long, default_value_t = 20)]
        lines: usize,
    },
    /// Send a replica a signal, KILL unless told otherwise
    Kill {
        node: usize,
        #[arg(long, default_value = "KILL", value_parser = ["KILL", "TERM", "INT", "STOP", "CONT"])]
        signal: String,
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Start a replica that is down
    Start(OneNode),
    /// Stop a replica gracefully and start it again
    Restart(OneNode),
    /// Stop a replica's clock: SIGSTOP
    Pause(OneNode),
    /// Let a paused replica go on: SIGCONT
    Resume(OneNode),
    /// Make what a replica sends late, lost or slow
    #[command(
        after_help = "The testnet must have been started with --links. Each call replaces what was said of these links before."
    )]
    Net {
        /// Whose packets
        node: usize,
        /// To this replica only; to all without it
        #[arg(long, value_name = "NODE")]
        to: Option<usize>,
        #[arg(long, value_parser = duration, default_value = "0ms", value_name = "TIME")]
        delay: Duration,
        /// Up to so much more, for each packet anew
        #[arg(long, value_parser = duration, default_value = "0ms", value_name = "TIME")]
        jitter: Duration,
        #[arg(long, value_parser = percent, default_value = "0%", value_name = "PERCENT")]
        loss: f64,
        #[arg(long, value_parser = percent, default_value = "0%", value_name = "PERCENT")]
        duplicate: f64,
        /// Bytes a second; 0 for no limit
        #[arg(long, default_value_t = 0, value_name = "BYTES")]
        rate: u64,
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Cut the links between groups of replicas
    #[command(
        after_help = "'0,1|2,3': nothing passes between the groups. '0>1,2': nothing passes from 0 to 1 and 2."
    )]
    Partition {
        groups: String,
        /// Heal after so long; without it, until testnet heal
        #[arg(long = "for", value_parser = duration, value_name = "TIME")]
        time: Option<Duration>,
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Let all links pass everything again
    Heal {
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Load the ledger while replicas die and links fail, then check everything
    #[command(
        after_help = "At most --faults replicas are disturbed at a time. Ends when all have recovered; fails if an answer was wrong, the                             replicas' ledgers differ, an acknowledged transaction is missing, or nothing that was done had an effect.                             The same seed does the same things, at times that the machine decides."
    )]
    Chaos {
        #[arg(long = "for", value_parser = duration, default_value = "60s", value_name = "TIME")]
        time: Duration,
        /// What is done; a random one without it
        #[arg(long)]
        seed: Option<u64>,
        /// Replicas disturbed at a time; what the ledger tolerates without it
        #[arg(long)]
        faults: Option<usize>,
        /// Transactions a second
        #[arg(long, default_value_t = 200)]
        load: u32,
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct OneNode {
    pub(crate) node: usize,
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
}
