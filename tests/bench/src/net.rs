//! One measurement: a fresh testnet, a load, a judge.

use crate::judge::judge_of;
use crate::standard::Case;
use serde_json::Value;
use std::fmt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What one run of a case came to.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Transactions a second.
    pub(crate) throughput: f64,
    /// Milliseconds from signing to a verified receipt.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// CPU-seconds of all replicas for 1,000 transactions.
    pub(crate) cpu: f64,
    /// The same for nothing but checking each client's signature once in each replica, in large batches.
    pub(crate) floor: f64,
    /// Transactions in a block.
    pub(crate) per_block: f64,
    /// Syncs of 4 KiB that the disk makes in a second.
    pub(crate) syncs: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { throughput, p50, p99, cpu, floor, .. } = self;
        write!(f, "{throughput:>7.0} tx/s  p50 {p50:.1} ms  p99 {p99:.1} ms  cpu {cpu:.3} (floor {floor:.3})")
    }
}

/// What clients ask of a testnet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: u32,
    /// Bytes of a value.
    pub(crate) size: u32,
    /// Keys that sign.
    pub(crate) keys: u32,
    /// Operations in a transaction: one put, or so many appends to a topic.
    pub(crate) appends: Option<u32>,
}

/// The directory of a testnet whose replicas end with it.
pub(crate) struct Net<'p> {
    program: &'p Path,
    members: u16,
    pub(crate) place: tempfile::TempDir,
}

impl<'p> Net<'p> {
    /// A testnet that does not run yet.
    pub(crate) fn new(program: &'p Path, members: u16) -> Result<Self, String> {
        let place = tempfile::tempdir().map_err(|why| why.to_string())?;
        let net = Self { program, members, place };
        net.run(&["testnet", "new", ".", "-n", &members.to_string(), "--base-port", "0", "--open"])?;
        Ok(net)
    }
}

impl Net<'_> {
    /// Runs a command in the testnet's directory.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    }

    fn output(&self, arguments: &[&str]) -> Result<Output, String> {
        self.command(arguments).output().map_err(|why| why.to_string())
    }

    /// Starts a command in the testnet's directory.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Result<Child, String> {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|why| why.to_string())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command
            .current_dir(self.place.path())
            .stdin(Stdio::null())
            .args(["-o", "json", "-q"])
            .args(arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUORATE_")) {
            command.env_remove(name);
        }
        command
    }

    /// The process of each member, if it runs.
    pub(crate) fn pids(&self) -> Result<Vec<Option<u32>>, String> {
        let status = self.run(&["testnet", "status", "."])?;
        let nodes = status["nodes"].as_array().ok_or("the testnet has no members")?;
        Ok(nodes.iter().map(|node| node["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())).collect())
    }

    /// The status of all members, whatever the command's exit code: it fails while a member does not vote.
    fn status(&self) -> Result<Value, String> {
        let output = self.output(&["status"])?;
        serde_json::from_slice(&output.stdout).map_err(|why| why.to_string())
    }

    /// What members say of themselves, those that answer.
    fn members(&self) -> Result<Vec<Value>, String> {
        let status = self.status()?;
        let nodes = status["nodes"].as_array().ok_or("the status has no members")?;
        Ok(nodes.iter().filter(|node| node["view"].is_u64()).cloned().collect())
    }

    /// The highest view that a member is in.
    pub(crate) fn view(&self) -> Result<u64, String> {
        Ok(self.members()?.iter().filter_map(|node| node["view"].as_u64()).max().unwrap_or(0))
    }

    /// The primary of the highest view.
    pub(crate) fn primary(&self) -> Result<usize, String> {
        let members = self.members()?;
        let highest = members.iter().max_by_key(|node| node["view"].as_u64());
        let primary = highest.and_then(|node| node["primary"].as_u64()).ok_or("nobody names a primary")?;
        usize::try_from(primary).map_err(|why| why.to_string())
    }

    /// Waits for a condition.
    pub(crate) fn wait_until(
        &self,
        what: &str,
        patience: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let start = Instant::now();
        while !condition(self) {
            if start.elapsed() > patience {
                return Err(format!("it did not come to pass that {what}"));
            }
        }
        Ok(())
    }

    /// Whether these members have executed the same number of blocks.
    pub(crate) fn stands_equal(&self, members: &[usize]) -> bool {
        let Ok(status) = self.status() else { return false };
        let executed = |member: &usize| status["nodes"][*member]["executed"].as_u64();
        let heights: Vec<_> = members.iter().map(executed).collect();
        heights.iter().all(|height| height.is_some() && *height == heights[0])
    }

    /// Stops it, and judges what these members stored: each by its own program against the genesis alone, then all together.
    pub(crate) fn judge(&self, members: &[usize]) -> Result<(), String> {
        self.run(&["testnet", "down", "."])?;
        for member in members {
            self.verify(*member, &[])?;
        }
        judge_of(self.place.path(), members, &[]).map(|_| ())
    }

    /// What `quorate verify` says of a member's directory.
    pub(crate) fn verify(&self, member: usize, options: &[&str]) -> Result<Value, String> {
        let node = format!("node{member}");
        self.run(&[&["--genesis", "genesis.toml", "verify", &node], options].concat())
    }

    /// Puts a load on it, and measures.
    pub(crate) fn measure(&self, load: &Load, duration: Duration) -> Result<Sample, String> {
        let (clients, size, keys) = (load.clients.to_string(), load.size.to_string(), load.keys.to_string());
        let duration = format!("{}s", duration.as_secs());
        let appends = load.appends.map(|count| count.to_string());
        let mut bench =
            vec!["tx", "bench", "--floor", "-c", &clients, "--size", &size, "--keys", &keys, "-d", &duration];
        bench.extend(appends.iter().flat_map(|count| ["--appends", count]));
        let report = self.run(&bench)?;
        let number = |pointer: &str| {
            let found = report.pointer(pointer).and_then(Value::as_f64);
            found.ok_or_else(|| format!("the report has no {pointer}"))
        };
        Ok(Sample {
            throughput: number("/throughput")?,
            p50: number("/latency_ms/p50")?,
            p99: number("/latency_ms/p99")?,
            cpu: number("/replica_cpu_seconds_per_1000_txs")?,
            floor: f64::from(self.members) * 1_000.0 / number("/floor/verify_batch_per_core_s")?,
            per_block: number("/txs_per_block")?,
            syncs: number("/floor/syncs_per_s")?,
        })
    }
}

impl Drop for Net<'_> {
    fn drop(&mut self) {
        let _ = self.run(&["testnet", "down", "."]);
    }
}

/// Measures a case once.
///
/// # Errors
/// If a command fails, a receipt does not verify, or two ledgers differ.
pub(crate) fn measure(program: &Path, case: &Case, duration: Duration) -> Result<Sample, String> {
    let net = Net::new(program, case.members)?;
    net.run(&["testnet", "up", ".", "--detach"])?;
    let sample = net.measure(&case.load, duration)?;
    net.run(&["kv", "put", "last", "one", "--receipt", "receipt.json"])?;
    net.run(&["--genesis", "genesis.toml", "receipt", "verify", "receipt.json"])?;
    let members: Vec<usize> = (0..usize::from(case.members)).collect();
    net.judge(&members)?;
    Ok(sample)
}
