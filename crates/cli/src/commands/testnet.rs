//! `quorate testnet`.

mod chaos;
mod net;

use crate::args::Testnet as Command;
use crate::context::{Context, read_genesis};
use crate::failure::{Failure, Outcome};
use crate::testnet::control::{self, NodeState, Request, ask};
use crate::testnet::links::Rule;
use crate::testnet::supervisor::{Ended, Supervisor};
use crate::testnet::{Plan, Testnet, create};
use quorate_client::{Client, Operations};
use quorate_types::ErrorCode;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Runs a command; the result is the exit code.
pub(crate) fn run(context: &Context, command: Command) -> Outcome<u8> {
    match command {
        Command::New {
            dir,
            n,
            base_port,
            chain_name,
            address,
            open,
            faults,
            allow_crash_only,
            operators,
            checkpoint_every,
        } => {
            let from_dir = || dir.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = chain_name.or_else(from_dir).unwrap_or_else(|| "testnet".to_owned());
            let plan = Plan {
                name,
                n,
                base_port,
                address,
                open,
                faults,
                allow_crash_only,
                operators,
                checkpoint_every,
            };
            new(context, &dir, &plan).map(|()| 0)
        }
        Command::Up { dir, detach, wait, only, links } => {
            up(context, &absolute(&dir)?, detach, wait, (&only, links))
        }
        Command::Down { dir } => {
            ask(&dir, &Request::Down)?;
            wait_until_free(&dir);
            context.output.note("stopped");
            Ok(0)
        }
        Command::Status { dir } => status(context, &dir),
        Command::Logs { nodes, dir, lines } => logs(&dir, &nodes, lines).map(|()| 0),
        Command::Kill { node, signal, dir } => act(context, &dir, &Request::Signal { node, signal }),
        Command::Start(one) => act(context, &one.dir, &Request::Start { node: one.node }),
        Command::Restart(one) => act(context, &one.dir, &Request::Restart { node: one.node }),
        Command::Pause(one) => {
            act(context, &one.dir, &Request::Signal { node: one.node, signal: "STOP".to_owned() })
        }
        Command::Resume(one) => {
            act(context, &one.dir, &Request::Signal { node: one.node, signal: "CONT".to_owned() })
        }
        Command::Net { node, to, delay, jitter, loss, duplicate, rate, dir } => {
            let rule = Rule {
                delay_ms: millis(delay),
                jitter_ms: millis(jitter),
                loss_percent: loss,
                duplicate_percent: duplicate,
                rate,
                cut: false,
            };
            net::worsen(context, &resolve(&dir), node, to, rule)
        }
        Command::Partition { groups, time, dir } => net::partition(context, &resolve(&dir), &groups, time),
        Command::Heal { dir } => net::heal(context, &resolve(&dir)),
        Command::Chaos { time, seed, faults, load, dir } => {
            chaos::run(context, &resolve(&dir), &chaos::Plan { time, seed, faults, load })
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn absolute(dir: &Path) -> Outcome<PathBuf> {
    std::path::absolute(dir).map_err(|error| Failure::io(dir, &error))
}

/// `.` means the nearest testnet upward, or the running dev network.
fn resolve(dir: &Path) -> PathBuf {
    if dir == Path::new(".") && !dir.join(Testnet::FILE).exists() {
        Context::surroundings().unwrap_or_else(|| dir.to_owned())
    } else {
        dir.to_owned()
    }
}

fn new(context: &Context, dir: &Path, plan: &Plan) -> Outcome {
    let testnet = create(dir, plan)?;
    let trust = read_genesis(&dir.join("genesis.toml"))?;
    let arithmetic = trust.members().quorums().explain();
    let document = json!({
        "schema": "quorate.testnet.new.v1", "dir": dir.display().to_string(), "name": testnet.name,
        "ledger": testnet.ledger, "arithmetic": arithmetic, "endpoints": testnet.endpoints(),
    });
    context.output.data(&document, || {
        format!(
            "made {} (ledger {})\n{arithmetic}\nnext: quorate testnet up {}",
            dir.display(),
            testnet.ledger,
            dir.display()
        )
    });
    Ok(())
}

fn up(
    context: &Context,
    dir: &Path,
    detach: bool,
    wait: Duration,
    (only, links): (&[usize], bool),
) -> Outcome<u8> {
    let testnet = Testnet::load(dir)?;
    if detach {
        return up_detached(context, dir, wait, (only, links)).map(|()| 0);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let supervisor = Supervisor::start(dir, &testnet, only, links).await?;
        context.output.note(format!("{} is starting; Ctrl-C stops it", testnet.name));
        let output = context.output;
        let (directory, start) = (dir.to_owned(), Instant::now());
        tokio::spawn(async move {
            match ready(&directory, wait).await {
                Ok(_) => output.note(format!("ready in {:.1} s", start.elapsed().as_secs_f64())),
                Err(failure) => failure.report(output.is_json()),
            }
        });
        match supervisor.serve(std::future::pending::<()>()).await {
            Ok(()) | Err(Ended::Asked | Ended::Signal(_)) => Ok(0),
        }
    })
}

/// The supervisor, in a session of its own.
fn up_detached(context: &Context, dir: &Path, wait: Duration, (only, links): (&[usize], bool)) -> Outcome {
    if control::is_up(dir) {
        return Err(Failure::new(ErrorCode::StoreLocked)
            .what(format!("the testnet in {} is up already", dir.display()))
            .why("its supervisor holds testnet.lock")
            .fix(format!("quorate testnet down {}", dir.display())));
    }
    let log_path = dir.join("supervisor.log");
    let log = std::fs::File::create(&log_path).map_err(|error| Failure::io(&log_path, &error))?;
    let program = std::env::current_exe().map_err(|error| Failure::io(dir, &error))?;
    let mut command = std::process::Command::new("setsid");
    command.arg(program).args(["testnet", "up"]).arg(dir);
    if !only.is_empty() {
        command.arg("--only").arg(only.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    }
    if links {
        command.arg("--links");
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut child =
        command.spawn().map_err(|error| Failure::new(ErrorCode::Io).what(format!("setsid: {error}")))?;
    let deadline = Instant::now() + wait;
    while ask(dir, &Request::Status).is_err() {
        if let Ok(Some(_)) = child.try_wait() {
            let why = std::fs::read_to_string(&log_path).unwrap_or_default();
            return Err(Failure::new(ErrorCode::Io)
                .what("the supervisor ended at once")
                .why(why.trim().to_owned()));
        }
        if Instant::now() > deadline {
            return Err(Failure::new(ErrorCode::NoQuorum).what("the supervisor does not answer"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let quorum = only.is_empty();
    if quorum {
        runtime.block_on(ready(dir, wait))?;
    }
    context.output.note("up");
    Ok(())
}

/// Ready: an empty transaction committed, and its receipt verified here. Returns the client that saw it.
pub(crate) async fn ready(dir: &Path, wait: Duration) -> Outcome<Client> {
    let testnet = Testnet::load(dir)?;
    let deadline = Instant::now() + wait;
    let mut why = String::new();
    loop {
        let builder = Client::builder()
            .endpoints(testnet.endpoints())
            .genesis_file(dir.join("genesis.toml"))?
            .key_file(dir.join("keys/client.pem"))?
            .timeout(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
        match builder.connect().await {
            Ok(client) => match client.execute(&Operations::default()).await? {
                quorate_client::Outcome::Committed(_) => return Ok(client),
                other => why = format!("{other:?}"),
            },
            Err(error) => why = format!("{why}{error}"),
        }
        if Instant::now() >= deadline {
            return Err(not_ready(dir, &testnet, wait, &why));
        }
        why.clear();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn not_ready(dir: &Path, testnet: &Testnet, wait: Duration, why: &str) -> Failure {
    let failure = Failure::new(ErrorCode::NoQuorum)
        .what(format!("{} committed nothing within {wait:?}", testnet.name))
        .fix(format!("quorate testnet logs --dir {}", dir.display()));
    let ended: Vec<String> = ask(dir, &Request::Status)
        .map(|reply| reply.nodes)
        .unwrap_or_default()
        .into_iter()
        .filter(|node| node.state == "down")
        .map(|node| format!("{} is down ({})", node.name, node.ended))
        .collect();
    failure.why(if ended.is_empty() { why.to_owned() } else { ended.join(", ") })
}

fn act(context: &Context, dir: &Path, request: &Request) -> Outcome<u8> {
    let dir = resolve(dir);
    let reply = ask(&dir, request)?;
    if let Request::Signal { node, .. } | Request::Start { node } | Request::Restart { node } = request
        && let Some(state) = reply.nodes.get(*node)
    {
        context.output.note(describe(state));
    }
    Ok(0)
}

fn describe(node: &NodeState) -> String {
    match node.pid {
        Some(pid) => format!("{} {} (pid {pid})", node.name, node.state),
        None => format!("{} {} ({})", node.name, node.state, node.ended),
    }
}

fn status(context: &Context, dir: &Path) -> Outcome<u8> {
    let dir = resolve(dir);
    let reply = ask(&dir, &Request::Status)?;
    let document = json!({
        "schema": "quorate.testnet.status.v1", "dir": dir.display().to_string(),
        "nodes": reply.nodes.iter().map(node_document).collect::<Vec<_>>(),
        "links": reply.links.iter().map(net::document).collect::<Vec<_>>(),
    });
    let dash = || "-".to_owned();
    let rows: Vec<Vec<String>> = reply
        .nodes
        .iter()
        .map(|node| {
            let since = humantime::format_duration(Duration::from_secs(node.since_ms / 1_000)).to_string();
            let pid = node.pid.map_or_else(dash, |pid| pid.to_string());
            vec![node.name.clone(), node.state.clone(), pid, since, node.ended.clone()]
        })
        .collect();
    context.output.table(&document, &["NODE", "PROCESS", "PID", "SINCE", "ENDED"], &rows);
    for link in reply.links.iter().filter(|link| link.rule != Rule::default()) {
        context.output.note(net::describe(link));
    }
    Ok(0)
}

fn node_document(node: &NodeState) -> Value {
    json!({
        "name": node.name, "state": node.state, "pid": node.pid, "since_ms": node.since_ms, "ended": node.ended,
    })
}

fn logs(dir: &Path, nodes: &[usize], lines: usize) -> Outcome {
    let dir = resolve(dir);
    let testnet = Testnet::load(&dir)?;
    let all: Vec<usize> = (0..testnet.node.len()).collect();
    for index in if nodes.is_empty() { &all } else { nodes } {
        let path = Testnet::node_dir(&dir, *index).join("node.log");
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::io(&path, &error))?;
        let found: Vec<&str> = text.lines().collect();
        for line in &found[found.len().saturating_sub(lines)..] {
            crate::output::line(&format!("node{index}  {line}"));
        }
    }
    Ok(())
}

fn wait_until_free(dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while control::is_up(dir) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}
