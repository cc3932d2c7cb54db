//! `quorate dev`: a network that is gone when it stops.

use crate::args::Dev;
use crate::commands::testnet::ready;
use crate::context::{Context, cache_dir};
use crate::failure::{Failure, Outcome};
use crate::testnet::layout::DEV_MARKER;
use crate::testnet::supervisor::{Ended, Supervisor};
use crate::testnet::{Plan, Testnet, control, create};
use quorate_crypto::{Ed25519Signer, Signer, public_key_to_text};
use quorate_types::ErrorCode;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(30);

/// Runs until Ctrl-C, or until the command given ends; the result is the exit code.
pub(crate) fn run(context: &Context, options: &Dev) -> Outcome<u8> {
    let start = Instant::now();
    let cache = cache_dir()?;
    remove_stale(&cache);
    let dir = make_dir(&cache)?;
    let done = run_in(context, options, &dir, start);
    remove(&dir);
    done
}

fn run_in(context: &Context, options: &Dev, dir: &Path, start: Instant) -> Outcome<u8> {
    let plan = Plan {
        name: "dev".to_owned(),
        n: options.n,
        base_port: options.port,
        address: options.address,
        open: true,
        faults: None,
        allow_crash_only: options.allow_crash_only,
        operators: 1,
        checkpoint_every: 128,
    };
    let testnet = create(dir, &plan)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let supervisor = Supervisor::start(dir, &testnet, &[], false).await?;
        match supervisor.serve(session(context, options, dir, &testnet, start)).await {
            Ok(done) => done,
            Err(Ended::Asked | Ended::Signal(2)) => Ok(0),
            Err(Ended::Signal(number)) => Ok(128 + u8::try_from(number).unwrap_or(0)),
        }
    })
}

/// What happens while the replicas run.
async fn session(
    context: &Context,
    options: &Dev,
    dir: &Path,
    testnet: &Testnet,
    start: Instant,
) -> Outcome<u8> {
    let client = ready(dir, WAIT).await?;
    if !context.output.quiet {
        announce(context, dir, testnet, client.trust().members().quorums());
    }
    context.output.note(format!("\nready in {:.1} s", start.elapsed().as_secs_f64()));
    if let Some(path) = &options.ready_file {
        let text = format!("{}\n", dir.display());
        std::fs::write(path, text).map_err(|error| Failure::io(path, &error))?;
    }
    let Some((program, arguments)) = options.command.split_first() else {
        return std::future::pending().await;
    };
    let status = tokio::process::Command::new(program)
        .args(arguments)
        .env("QUORATE_ENDPOINTS", testnet.endpoints().join(","))
        .env("QUORATE_GENESIS", dir.join("genesis.toml"))
        .env("QUORATE_KEY", dir.join("keys/client.pem"))
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| Failure::input(format!("{program} cannot be run"), error.to_string()))?;
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}

fn announce(context: &Context, dir: &Path, testnet: &Testnet, quorums: quorate_types::Quorums) {
    let output = context.output;
    let replicas: Vec<String> = testnet
        .node
        .iter()
        .enumerate()
        .map(|(index, place)| format!("{}{} {}", place.name, if index == 0 { "*" } else { "" }, place.api))
        .collect();
    let key = dir.join("keys/client.pem");
    let public = Ed25519Signer::read_file(&key, None)
        .map(|key| public_key_to_text(&key.public_key()))
        .unwrap_or_default();
    output.note(format!(
        "{} dev network (ephemeral: do not store anything real)\n",
        output.strong(&format!("quorate {}", env!("CARGO_PKG_VERSION")))
    ));
    output.note(format!("  replicas   {}   * primary of view 0", replicas.join("   ")));
    output.note(format!("  quorum     {}", quorums.explain()));
    output.note(format!("  grpc       {} and the others", testnet.node[0].api));
    output.note(format!("  metrics    http://{}/metrics", testnet.node[0].api));
    output.note(format!("  client key {}   {}", key.display(), crate::output::short(&public)));
    output.note("  try        quorate kv put hello world          quorate testnet kill 0");
    output.note(format!("  stop       Ctrl-C (removes {})", dir.display()));
}

fn make_dir(cache: &Path) -> Outcome<PathBuf> {
    std::fs::create_dir_all(cache).map_err(|error| Failure::io(cache, &error))?;
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| Failure::new(ErrorCode::Io).what(error.to_string()))?;
    let dir = cache.join(format!("dev-{}", hex::encode(random)));
    std::fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|error| Failure::io(&dir, &error))?;
    let marker = dir.join(DEV_MARKER);
    std::fs::write(&marker, "made by quorate dev, which removes this directory\n")
        .map_err(|error| Failure::io(&marker, &error))?;
    Ok(dir)
}

/// Removes what a dev network made, and only that.
fn remove(dir: &Path) {
    if dir.join(DEV_MARKER).exists()
        && let Err(error) = std::fs::remove_dir_all(dir)
    {
        eprintln!("warning: {} could not be removed: {error}", dir.display());
    }
}

/// Networks whose supervisor was killed.
fn remove_stale(cache: &Path) {
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let path = entry.path();
        let young = entry
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age < Duration::from_secs(2)));
        // A young one may be about to take its lock.
        if path.join(DEV_MARKER).exists() && !control::is_up(&path) && !young {
            remove(&path);
        }
    }
}
