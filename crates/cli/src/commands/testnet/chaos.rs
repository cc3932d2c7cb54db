//! `quorate testnet chaos`: clients work while replicas die, stop and lose their links; then everything is checked.

mod disturbance;
mod history;

use super::millis;
use crate::context::{Context, read_genesis};
use crate::failure::{Failure, Outcome};
use crate::testnet::Testnet;
use crate::testnet::control::{Request, ask};
use disturbance::{Disturbance, Kind};
use history::{History, Operation, Workers};
use quorate_client::{Client, v1};
use quorate_types::ErrorCode;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Everything is undone: after so long all replicas must stand at one height.
const RECOVERY: Duration = Duration::from_secs(90);
/// How often replicas are asked where they stand.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Plan {
    pub(super) time: Duration,
    pub(super) seed: Option<u64>,
    pub(super) faults: Option<usize>,
    pub(super) load: u32,
}

/// What was done to one replica, and what came of it.
struct Event {
    at: Duration,
    disturbance: Disturbance,
    /// What shows that it was done: packets lost, the process gone.
    effect: String,
    had_effect: bool,
    /// Transactions that were acknowledged meanwhile.
    meanwhile: usize,
    /// From its end until the replica stood where the others did.
    recovered: Duration,
}

pub(super) fn run(context: &Context, dir: &Path, plan: &Plan) -> Outcome<u8> {
    let testnet = Testnet::load(dir)?;
    if ask(dir, &Request::Status)?.links.is_empty() {
        return Err(Failure::new(ErrorCode::Usage)
            .what("the testnet's links cannot be made worse")
            .why("it was started without --links")
            .fix(format!("quorate testnet down {0}; quorate testnet up {0} --links", dir.display())));
    }
    let trust = read_genesis(&dir.join("genesis.toml"))?;
    let quorums = trust.members().quorums();
    let tolerated = usize::from(trust.members().count()) - quorums.strong();
    let faults = plan.faults.unwrap_or(tolerated).max(1);
    if faults > tolerated {
        context.output.note(format!(
            "note: {faults} disturbed replicas are more than the ledger tolerates ({tolerated}): it will stand still at times"
        ));
    }
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| Failure::new(ErrorCode::Internal).what(error.to_string()))?;
    let seed = plan.seed.unwrap_or(u64::from_le_bytes(seed) >> 32);
    context.output.note(format!(
        "seed {seed}: {} s, {} transactions a second",
        plan.time.as_secs(),
        plan.load
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let (events, history) = runtime.block_on(async {
        let client = super::ready(dir, Duration::from_secs(30)).await?;
        let workers = Workers::start(&client, dir, plan.load)?;
        let chaos = Chaos { context, dir, testnet: &testnet, client: &client, workers: &workers };
        let events = chaos.disturb(plan.time, seed, faults).await;
        // Whatever happened, nothing is left behind.
        let healed = chaos.undo_all().await;
        let history = workers.stop().await;
        healed?;
        chaos.settle(RECOVERY).await?;
        Ok::<_, Failure>((events?, history))
    })?;
    let checks = checks(dir, &testnet, &trust, &history)?;
    report(context, seed, &events, &history, &checks);
    match events.iter().any(|event| event.had_effect) {
        true => Ok(0),
        false => Err(Failure::new(ErrorCode::Usage)
            .what("nothing that was done had an effect")
            .why("a run that disturbs nothing shows nothing")
            .fix("a longer time: --for 60s")),
    }
}

struct Chaos<'a> {
    context: &'a Context,
    dir: &'a Path,
    testnet: &'a Testnet,
    client: &'a Client,
    workers: &'a Workers,
}

impl Chaos<'_> {
    /// One round after the other: some replicas are disturbed for a while, each in its own way, and have time to recover.
    async fn disturb(&self, time: Duration, seed: u64, faults: usize) -> Outcome<Vec<Event>> {
        let mut random = fastrand::Rng::with_seed(seed);
        let (begin, count) = (Instant::now(), self.testnet.node.len());
        let mut events = Vec::new();
        while begin.elapsed() < time {
            let mut victims: Vec<usize> = (0..count).collect();
            random.shuffle(&mut victims);
            victims.truncate(random.usize(1..=faults));
            let lasts = Duration::from_millis(random.u64(300..4_000));
            let done: Vec<Disturbance> =
                victims.into_iter().map(|node| Disturbance::draw(node, count, &mut random)).collect();
            let (at, before, acknowledged) =
                (begin.elapsed(), ask(self.dir, &Request::Status)?, self.workers.acknowledged());
            for disturbance in &done {
                for request in disturbance.begin() {
                    ask(self.dir, &request)?;
                }
            }
            tokio::time::sleep(lasts).await;
            let during = ask(self.dir, &Request::Status)?;
            let meanwhile = self.workers.acknowledged() - acknowledged;
            for disturbance in &done {
                for request in disturbance.end() {
                    ask(self.dir, &request)?;
                }
            }
            let recovered = self.recovered().await?;
            for disturbance in done {
                let (effect, had_effect) = disturbance.effect(&before, &during);
                let event = Event { at, disturbance, effect, had_effect, meanwhile, recovered };
                self.context.output.note(event.line(lasts));
                events.push(event);
            }
            tokio::time::sleep(Duration::from_millis(random.u64(100..1_000))).await;
        }
        Ok(events)
    }

    async fn undo_all(&self) -> Outcome {
        ask(self.dir, &Request::Heal)?;
        for (index, node) in ask(self.dir, &Request::Status)?.nodes.iter().enumerate() {
            match node.state.as_str() {
                "down" => drop(ask(self.dir, &Request::Start { node: index })?),
                "paused" => {
                    ask(self.dir, &Request::Signal { node: index, signal: "CONT".to_owned() })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where all replicas stand, if all answer and are ready.
    async fn heights(&self) -> Option<Vec<v1::Status>> {
        let answers = self.client.status().await;
        let all: Option<Vec<v1::Status>> = answers.into_iter().map(|(_, answer)| answer.ok()).collect();
        all.filter(|all| all.iter().all(|status| status.state == "normal"))
    }

    /// Until every replica votes again and is no further behind than the blocks that are under way.
    async fn recovered(&self) -> Outcome<Duration> {
        const UNDER_WAY: u64 = 32;
        self.until("all replicas keep up", RECOVERY, |all| {
            let executed = || all.iter().map(|status| status.executed);
            executed().max().unwrap_or(0) - executed().min().unwrap_or(0) <= UNDER_WAY
        })
        .await
    }

    /// Nobody submits any more: until all stand at one height, certified.
    async fn settle(&self, patience: Duration) -> Outcome<Duration> {
        self.until("all replicas stand at one height", patience, |all| {
            all.windows(2).all(|pair| pair[0].executed == pair[1].executed)
                && all.iter().all(|status| status.certified == status.executed)
        })
        .await
    }

    async fn until(
        &self,
        what: &str,
        patience: Duration,
        done: impl Fn(&[v1::Status]) -> bool,
    ) -> Outcome<Duration> {
        let begin = Instant::now();
        loop {
            let found = self.heights().await;
            if found.as_ref().is_some_and(|all| done(all)) {
                return Ok(begin.elapsed());
            }
            if begin.elapsed() > patience {
                let stand: Vec<String> = self
                    .client
                    .status()
                    .await
                    .into_iter()
                    .map(|(url, answer)| match answer {
                        Ok(status) => format!("{} {} at {}", status.node, status.state, status.executed),
                        Err(why) => format!("{url}: {why}"),
                    })
                    .collect();
                return Err(Failure::new(ErrorCode::NoQuorum)
                    .what(format!("not within {patience:?}: {what}"))
                    .why(stand.join("; "))
                    .fix("quorate why"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Event {
    fn line(&self, lasts: Duration) -> String {
        format!(
            "{:6.1} s  {} for {:.1} s: {}; {} acknowledged meanwhile; back after {:.1} s",
            self.at.as_secs_f64(),
            self.disturbance,
            lasts.as_secs_f64(),
            self.effect,
            self.meanwhile,
            self.recovered.as_secs_f64()
        )
    }

    fn document(&self) -> Value {
        json!({
            "at_ms": millis(self.at), "node": self.disturbance.node, "what": self.disturbance.kind.name(),
            "effect": self.effect, "had_effect": self.had_effect, "acknowledged": self.meanwhile,
            "recovered_ms": millis(self.recovered),
        })
    }
}

/// What is checked, and what was found; the first thing that does not hold ends it.
fn checks(
    dir: &Path,
    testnet: &Testnet,
    trust: &quorate_proof::TrustRoot,
    history: &History,
) -> Outcome<Vec<String>> {
    let wrong = |what: String| Failure::new(ErrorCode::LedgerInvalid).what(what);
    let mut found = Vec::new();
    history.positions_are_unique().map_err(wrong)?;
    found.push(format!("{} acknowledged, each at a place of its own", history.acknowledged()));
    history.real_time_is_kept().map_err(wrong)?;
    found.push("whoever was answered before another asked comes before it".to_owned());
    let blocks = history::stored_headers(&Testnet::node_dir(dir, 0), trust)?;
    history.nothing_is_lost(&blocks).map_err(wrong)?;
    found.push(format!("every acknowledged transaction is in the ledger of {} blocks", blocks.len()));
    let program = std::env::current_exe().map_err(|error| Failure::io(dir, &error))?;
    let verify = |arguments: &[&str]| -> Outcome {
        let mut command = std::process::Command::new(&program);
        command.args(["-q", "--genesis"]).arg(dir.join("genesis.toml")).arg("verify").args(arguments);
        let output = command.output().map_err(|error| Failure::io(dir, &error))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(wrong(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    };
    let node = |index: usize| Testnet::node_dir(dir, index).display().to_string();
    let pruned = blocks.first_key_value().is_some_and(|(first, _)| first.get() > 1);
    for index in 0..testnet.node.len() {
        // Results are executed again once: the ledgers are compared.
        let replay: &[&str] = if index == 0 && !pruned { &["--replay"] } else { &[] };
        verify(&[&[node(index).as_str()], replay].concat())?;
        if index > 0 {
            verify(&["compare", &node(0), &node(index)])?;
        }
    }
    let again = if pruned { "" } else { ", and executing it again leads to the same results" };
    found.push(format!("the ledgers of all {} replicas verify and are equal{again}", testnet.node.len()));
    Ok(found)
}

fn report(context: &Context, seed: u64, events: &[Event], history: &History, checks: &[String]) {
    let unknown = history.unknown();
    let document = json!({
        "schema": "quorate.testnet.chaos.v1", "seed": seed,
        "events": events.iter().map(Event::document).collect::<Vec<_>>(),
        "acknowledged": history.acknowledged(), "unknown": unknown, "longest_wait_ms": millis(history.longest_wait()),
        "checks": checks,
    });
    context.output.data(&document, || {
        let mut lines = vec![format!(
            "{} disturbances; {} transactions acknowledged, {unknown} without an answer; the longest wait was {:.1} s",
            events.len(),
            history.acknowledged(),
            history.longest_wait().as_secs_f64()
        )];
        for kind in Kind::ALL {
            let of_kind: Vec<&Event> = events.iter().filter(|event| event.disturbance.kind == *kind).collect();
            if !of_kind.is_empty() {
                let without = of_kind.iter().filter(|event| !event.had_effect).count();
                let slowest = of_kind.iter().map(|event| event.recovered).max().unwrap_or_default();
                lines.push(format!(
                    "  {:<9} {:>3} times, {without} without effect; back within {:.1} s",
                    kind.name(),
                    of_kind.len(),
                    slowest.as_secs_f64()
                ));
            }
        }
        lines.extend(checks.iter().map(|check| format!("holds: {check}")));
        lines.join("\n")
    });
}

/// What the clients do: reads and writes of a few keys that all share, so that the order shows in the results.
fn operation(random: &mut fastrand::Rng, number: u64) -> Operation {
    const KEYS: usize = 8;
    let key = format!("chaos/{}", random.usize(0..KEYS)).into_bytes();
    match random.u8(0..10) {
        0..4 => Operation::Put { key, value: number.to_be_bytes().to_vec() },
        4..7 => Operation::Get { key },
        7..9 => Operation::Append { topic: b"chaos".to_vec(), entry: number.to_be_bytes().to_vec() },
        _ => Operation::Delete { key },
    }
}
