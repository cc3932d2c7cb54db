//! How long a ledger pauses when its primary is killed.

use crate::net::Net;
use crate::processes::{Running, kill_at_once};
use quorate_client::{Client, Outcome, Session};
use quorate_crypto::Ed25519Signer;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longer than any run.
const LOAD: &str = "24h";
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills the primary `kills` times under the load of `clients`.
///
/// # Errors
/// If a command fails, a killed member does not come back, or two ledgers differ in the end.
pub(crate) fn run(program: &Path, kills: usize, clients: u32) -> Result<String, String> {
    let net = Net::new(program, 4)?;
    net.run(&["testnet", "up", ".", "--detach"])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| why.to_string())?;
    let probe = runtime.block_on(probe(net.place.path()))?;
    let load =
        net.spawn(&["tx", "bench", "-c", &clients.to_string(), "--keys", "16", "-d", LOAD]).map(Running)?;
    let mut pauses = Vec::new();
    for round in 1..=kills {
        runtime.block_on(put(&probe))?;
        let primary = net.primary()?;
        let pid = net.pids()?.get(primary).copied().flatten().ok_or("the primary does not run")?;
        kill_at_once(pid)?;
        let start = Instant::now();
        runtime.block_on(put(&probe))?;
        let pause = start.elapsed();
        eprintln!("{round}/{kills} member {primary} was killed: {} ms", pause.as_millis());
        pauses.push(pause.as_secs_f64() * 1_000.0);
        net.run(&["testnet", "start", &primary.to_string()])?;
        net.wait_until("all four vote", PATIENCE, |net| net.run(&["status"]).is_ok())?;
    }
    drop(load);
    let members = [0, 1, 2, 3];
    net.wait_until("all stand at one block", PATIENCE, |net| net.stands_equal(&members))?;
    net.judge(&members)?;
    Ok(text(clients, pauses))
}

async fn probe(place: &Path) -> Result<Client, String> {
    let key =
        Ed25519Signer::read_file(&place.join("keys/client.pem"), None).map_err(|why| why.to_string())?;
    let builder =
        Client::builder().genesis_file(place.join("genesis.toml")).map_err(|why| why.to_string())?;
    let client = builder.connect().await.map_err(|why| why.to_string())?;
    Ok(client.signing_as(key, Session::random()))
}

/// One transaction, from signing to a verified receipt.
async fn put(client: &Client) -> Result<(), String> {
    match client.kv().put("probe", "one").await {
        Ok(Outcome::Committed(_)) => Ok(()),
        other => Err(format!("a transaction did not commit: {other:?}")),
    }
}

fn text(clients: u32, mut pauses: Vec<f64>) -> String {
    pauses.sort_by(f64::total_cmp);
    // The nearest rank: of fewer than a hundred the 99th percentile is the longest.
    let at = |percent: usize| {
        let rank = (percent * pauses.len()).div_ceil(100);
        pauses.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    };
    format!(
        "| kills | clients | least, ms | p50, ms | p90, ms | p99, ms | most, ms |\n|---|---|---|---|---|---|---|\n| {} | {clients} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |\n",
        pauses.len(),
        at(0),
        at(50),
        at(90),
        at(99),
        at(100),
    )
}
