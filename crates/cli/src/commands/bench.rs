//! `quorate tx bench`: throughput and latency from signing to *verified* receipt.

use crate::args::Bench;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use quorate_client::{Client, Operation, Operations, Session, v1};
use quorate_crypto::{Claim, Ed25519Signer, Ed25519Verifier, Rule, Signer, Verifier};
use quorate_types::ErrorCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Transactions of an open loop that may be under way; beyond it the generator itself would be the bottleneck.
const OPEN_LOOP_IN_FLIGHT: usize = 1_000;

/// Clients that share a session, which has room for 1,024 numbers in flight.
const CLIENTS_PER_SESSION: usize = 64;

/// What the clients measured together.
struct Measured {
    /// Microseconds. In an open loop from the moment at which a transaction was due, not from when it could be sent.
    latencies: Mutex<Histogram<u64>>,
    committed: AtomicU64,
    /// What did not commit, by what became of it.
    others: Mutex<BTreeMap<Option<ErrorCode>, u64>>,
    from: Instant,
    until: Instant,
}

impl Measured {
    fn others(&self) -> MutexGuard<'_, BTreeMap<Option<ErrorCode>, u64>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, due: Instant, outcome: Option<&quorate_client::Outcome>) {
        let now = Instant::now();
        if due < self.from || now > self.until {
            return;
        }
        if !matches!(outcome, Some(quorate_client::Outcome::Committed(_))) {
            let code = outcome.and_then(quorate_client::Outcome::code);
            *self.others().entry(code).or_default() += 1;
            return;
        }
        self.committed.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from((now - due).as_micros()).unwrap_or(u64::MAX);
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.saturating_record(micros);
    }
}

/// One client: its own key and session, its own keys in the store.
struct Load {
    client: Client,
    prefix: String,
    size: usize,
    appends: Option<usize>,
}

impl Load {
    async fn one(&self, number: u64) -> Option<quorate_client::Outcome> {
        let value = vec![b'x'; self.size];
        let operations = match self.appends {
            None => {
                let key = format!("{}/{}", self.prefix, number % 64).into_bytes();
                vec![Operation::Put { key, value }]
            }
            Some(count) => {
                let topic = self.prefix.clone().into_bytes();
                vec![Operation::Append { topic, entry: value }; count]
            }
        };
        self.client.execute(&Operations(operations)).await.ok()
    }
}

pub(crate) async fn run(context: &Context, options: &Bench) -> Outcome {
    if options.clients == 0 || options.keys == 0 || options.appends == Some(0) {
        return Err(Failure::new(ErrorCode::Usage).why("there must be at least one client, key and append"));
    }
    let client = context.client(None).await?;
    let before = statuses(&client).await;
    let limits = before.first().and_then(|status| status.limits).unwrap_or_default();
    let floor = if options.floor { Some(floor(options.keys)?) } else { None };
    let loads = loads(context, &client, options)?;
    context.output.note(format!(
        "{} clients, {} keys, {} B values, {}, {} s after {} s of warm-up",
        options.clients,
        options.keys,
        options.size,
        options.rate.map_or("closed loop".to_owned(), |rate| format!("open loop at {rate}/s")),
        options.duration.as_secs(),
        options.warmup.as_secs(),
    ));
    let start = Instant::now();
    let measured = Arc::new(Measured {
        latencies: Mutex::new(
            Histogram::new_with_bounds(1, 600_000_000, 3).expect("microseconds up to ten minutes"),
        ),
        committed: AtomicU64::new(0),
        others: Mutex::default(),
        from: start + options.warmup,
        until: start + options.warmup + options.duration,
    });
    let cpu_start = {
        let (client, from) = (client.clone(), measured.from);
        tokio::spawn(async move {
            tokio::time::sleep_until(from.into()).await;
            statuses(&client).await
        })
    };
    match options.rate {
        None => closed_loop(loads, &measured).await,
        Some(rate) => open_loop(loads, rate, &measured).await?,
    }
    let after = statuses(&client).await;
    let at_start = cpu_start.await.unwrap_or_default();
    report(context, options, &client, (&limits, floor), (&at_start, &after), &measured)
}

async fn statuses(client: &Client) -> Vec<v1::Status> {
    client.status().await.into_iter().filter_map(|(_, answer)| answer.ok()).collect()
}

fn loads(context: &Context, client: &Client, options: &Bench) -> Outcome<Vec<Load>> {
    let own =
        context.global.key.clone().or_else(|| Context::surroundings().map(|dir| dir.join("keys/client.pem")));
    let mut keys = Vec::new();
    if options.keys == 1 {
        let path = own.ok_or_else(|| Failure::new(ErrorCode::BadKey).what("there is no key to sign with"))?;
        keys.push(context.read_key(&path)?);
    } else {
        keys.extend((0..options.keys).map(|_| Ed25519Signer::generate()));
    }
    // A sender may have only so many sessions, and many runs may come: clients of one key share some.
    let sessions = keys.len().max(options.clients.div_ceil(CLIENTS_PER_SESSION));
    let signing = |index: usize| client.signing_as(keys[index % keys.len()].clone(), Session::random());
    let signing: Vec<Client> = (0..sessions).map(signing).collect();
    let load = |index: usize| Load {
        client: signing[index % signing.len()].clone(),
        prefix: format!("bench/{index}"),
        size: options.size,
        appends: options.appends,
    };
    Ok((0..options.clients).map(load).collect())
}

async fn closed_loop(loads: Vec<Load>, measured: &Arc<Measured>) {
    let clients = loads.into_iter().map(|load| {
        let measured = measured.clone();
        tokio::spawn(async move {
            let mut number = 0;
            while Instant::now() < measured.until {
                let start = Instant::now();
                let outcome = load.one(number).await;
                measured.record(start, outcome.as_ref());
                number += 1;
            }
        })
    });
    join_all(clients).await;
}

/// Transactions start when they are due. One that finds too many under way waits, and its wait counts.
async fn open_loop(loads: Vec<Load>, rate: u64, measured: &Arc<Measured>) -> Outcome {
    let interval = 1_000_000_000u64
        .checked_div(rate)
        .map(Duration::from_nanos)
        .ok_or_else(|| Failure::new(ErrorCode::Usage).what("--rate must be at least 1"))?;
    let loads: Vec<Arc<Load>> = loads.into_iter().map(Arc::new).collect();
    let room = Arc::new(tokio::sync::Semaphore::new(OPEN_LOOP_IN_FLIGHT));
    let mut tasks = tokio::task::JoinSet::new();
    let mut due = Instant::now();
    let mut number = 0u64;
    while due < measured.until {
        tokio::time::sleep_until(due.into()).await;
        let Ok(permit) = room.clone().acquire_owned().await else { break };
        let load = loads[usize::try_from(number).unwrap_or(0) % loads.len()].clone();
        let measured = measured.clone();
        tasks.spawn(async move {
            let outcome = load.one(number).await;
            measured.record(due, outcome.as_ref());
            drop(permit);
        });
        while tasks.try_join_next().is_some() {}
        number += 1;
        due += interval;
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// What no protocol can go below: signatures of so many keys that one core verifies in a second, alone and in batches of 400, and
/// syncs of 4 KiB that the disk makes in a second.
#[derive(Clone, Copy)]
struct Floor {
    verify_single: f64,
    verify_batch: f64,
    syncs: f64,
}

fn floor(keys: usize) -> Outcome<Floor> {
    let keys: Vec<Ed25519Signer> = (0..keys.min(1_024)).map(|_| Ed25519Signer::generate()).collect();
    let claim = |index: usize| {
        let key = &keys[index % keys.len()];
        let message = [&index.to_be_bytes()[..], &[7; 200]].concat();
        let signature = key.sign(&message);
        Claim { key: key.public_key(), message, signature, rule: Rule::Zip215 }
    };
    let claims: Vec<Claim> = (0..2_000).map(claim).collect();
    let rate = |chunk: usize| {
        let start = Instant::now();
        for some in claims.chunks(chunk) {
            assert!(Ed25519Verifier.verify(some).into_iter().all(|valid| valid), "own signatures verify");
        }
        claims.len() as f64 / start.elapsed().as_secs_f64()
    };
    Ok(Floor { verify_single: rate(1), verify_batch: rate(400), syncs: sync_rate()? })
}

fn sync_rate() -> Outcome<f64> {
    let dir = Context::surroundings().unwrap_or_else(std::env::temp_dir);
    let path = dir.join(format!("bench-{}.tmp", std::process::id()));
    let io = |error: std::io::Error| Failure::io(&path, &error);
    let mut file = std::fs::File::create(&path).map_err(io)?;
    let start = Instant::now();
    let mut syncs = 0u32;
    while start.elapsed() < Duration::from_secs(1) {
        file.write_all(&[0; 4_096]).and_then(|()| file.sync_data()).map_err(io)?;
        syncs += 1;
    }
    let rate = f64::from(syncs) / start.elapsed().as_secs_f64();
    std::fs::remove_file(&path).map_err(io)?;
    Ok(rate)
}

fn report(
    context: &Context,
    options: &Bench,
    client: &Client,
    (limits, floor): (&v1::Limits, Option<Floor>),
    (before, after): (&[v1::Status], &[v1::Status]),
    measured: &Measured,
) -> Outcome {
    let latencies = measured.latencies.lock().unwrap_or_else(PoisonError::into_inner);
    let committed = measured.committed.load(Ordering::Relaxed);
    let seconds = options.duration.as_secs_f64();
    let throughput = committed as f64 / seconds;
    let millis = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    let spent: f64 = after
        .iter()
        .filter_map(|end| {
            before.iter().find(|start| start.pid == end.pid).map(|start| end.cpu_seconds - start.cpu_seconds)
        })
        .sum();
    let blocks = after.iter().map(|status| status.executed).max().unwrap_or(0)
        - before.iter().map(|status| status.executed).max().unwrap_or(0);
    let per_thousand = if committed == 0 { 0.0 } else { spent * 1_000.0 / committed as f64 };
    let quorums = client.trust().members().quorums();
    let mut document = json!({
        "schema": "quorate.tx.bench.v1",
        "n": quorums.members(), "f": quorums.faults(), "quorum": quorums.strong(),
        "block_max_txs": limits.block_max_txs, "block_max_bytes": limits.block_max_bytes, "window": limits.window,
        "checkpoint_every": limits.checkpoint_every, "depth": limits.depth,
        "clients": options.clients, "keys": options.keys, "size": options.size,
        "operations_per_tx": options.appends.unwrap_or(1),
        "loop": if options.rate.is_some() { "open" } else { "closed" },
        "seconds": seconds,
        "committed": committed, "others": measured.others().values().sum::<u64>(),
        "throughput": throughput, "blocks": blocks,
        "txs_per_block": if blocks == 0 { 0.0 } else { committed as f64 / blocks as f64 },
        "latency_ms": { "p50": millis(0.5), "p90": millis(0.9), "p99": millis(0.99), "p999": millis(0.999),
                        "max": latencies.max() as f64 / 1_000.0 },
        "replica_cpu_seconds_per_1000_txs": per_thousand,
    });
    if let Some(floor) = floor {
        document["floor"] = json!({
            "verify_single_per_core_s": floor.verify_single, "verify_batch_per_core_s": floor.verify_batch,
            "syncs_per_s": floor.syncs,
        });
    }
    if let Some(path) = &options.hdr {
        let lines: String = latencies
            .iter_quantiles(5)
            .map(|step| {
                format!("{:.5} {:.3}\n", step.percentile(), step.value_iterated_to() as f64 / 1_000.0)
            })
            .collect();
        std::fs::write(path, lines).map_err(|error| Failure::io(path, &error))?;
    }
    context.output.data(&document, || text(&document));
    if committed == 0 {
        let most = measured.others().iter().max_by_key(|(_, count)| **count).and_then(|(code, _)| *code);
        return Err(Failure::new(most.unwrap_or(ErrorCode::NoQuorum)).what(format!(
            "nothing was committed in the measured time: {}",
            most.map_or("", |c| c.text().what)
        )));
    }
    Ok(())
}

fn text(document: &Value) -> String {
    let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
    let mut lines = vec![
        format!(
            "cluster     n={} f={} q={}; blocks of at most {} transactions and {} B, depth {}, window {}",
            document["n"],
            document["f"],
            document["quorum"],
            document["block_max_txs"],
            document["block_max_bytes"],
            document["depth"],
            document["window"]
        ),
        format!(
            "throughput  {:.0} tx/s ({} committed in {} s, {} others)",
            number("/throughput"),
            document["committed"],
            document["seconds"],
            document["others"]
        ),
        format!(
            "latency     p50 {:.1} ms  p90 {:.1}  p99 {:.1}  p99.9 {:.1}  max {:.1}  (signing to verified receipt, {} loop)",
            number("/latency_ms/p50"),
            number("/latency_ms/p90"),
            number("/latency_ms/p99"),
            number("/latency_ms/p999"),
            number("/latency_ms/max"),
            document["loop"].as_str().unwrap_or_default()
        ),
        format!("blocks      {} ({:.1} transactions each)", document["blocks"], number("/txs_per_block")),
        format!(
            "cpu         {:.2} s per 1,000 transactions, all replicas together",
            number("/replica_cpu_seconds_per_1000_txs")
        ),
    ];
    if document.get("floor").is_some() {
        lines.push(format!(
            "floor       one core verifies {:.0}/s alone, {:.0}/s in batches; the disk syncs {:.0}/s",
            number("/floor/verify_single_per_core_s"),
            number("/floor/verify_batch_per_core_s"),
            number("/floor/syncs_per_s")
        ));
    }
    lines.join("\n")
}
