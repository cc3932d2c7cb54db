//! `quorate node`.

use crate::args::NodeFile;
use crate::commands::member;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use quorate_node::{FileConfig, NodeError};
use quorate_types::ErrorCode;
use serde_json::json;
use std::io::IsTerminal;
use std::net::SocketAddr;

pub(crate) fn load(file: &NodeFile) -> Outcome<FileConfig> {
    let path = file.config.clone().unwrap_or_else(|| file.dir.join("quorate.toml"));
    let config = FileConfig::load(&path, std::env::vars()).map_err(NodeError::from)?;
    Ok(config)
}

pub(crate) fn init(context: &Context, file: &NodeFile, join: bool) -> Outcome {
    let config = load(file)?;
    let store = if join { quorate_node::init_recovered(&config)? } else { quorate_node::init(&config)? };
    let dir = config.node.dir.display().to_string();
    let document = json!({ "schema": "quorate.node.init.v1", "dir": dir, "store": store.to_string() });
    context.output.data(&document, || format!("made {dir}"));
    Ok(())
}

/// L2: first a store that does not vote, then the members' agreement that it is the member's.
pub(crate) async fn recover(context: &Context, file: &NodeFile) -> Outcome {
    let config = load(file)?;
    let dir = config.node.dir.display().to_string();
    if !quorate_node::is_initialised(&config.node.dir) {
        let store = quorate_node::init_recovered(&config)?;
        let document = json!({ "schema": "quorate.node.recover.v1", "step": "store", "dir": dir, "store": store.to_string() });
        context.output.data(&document, || format!("made {dir}, which follows without voting"));
        context.output.note(
            "start the node; once it follows, run this command again with the key of a client or operator",
        );
        return Ok(());
    }
    member::recover(context, &config).await
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(
    file: &NodeFile,
    listen: Option<SocketAddr>,
    peer_listen: Option<SocketAddr>,
    with_parent: Option<u32>,
) -> Outcome {
    if let Some(parent) = with_parent {
        die_with(parent)?;
    }
    let mut config = load(file)?;
    config.api.listen = listen.unwrap_or(config.api.listen);
    config.peer.listen = peer_listen.unwrap_or(config.peer.listen);
    quorate_node::init_logging(&config, std::io::stderr().is_terminal())
        .map_err(|why| Failure::new(ErrorCode::BadConfig).what("log.level is not understood").why(why))?;
    if !quorate_node::is_initialised(&config.node.dir) {
        return Err(Failure::new(ErrorCode::NotInitialised)
            .what(format!("{} is not initialised", config.node.dir.display())));
    }
    let runtime = runtime(config.threads.runtime)?;
    runtime.block_on(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let io = |error: std::io::Error| Failure::new(ErrorCode::Io).what(error.to_string());
        let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
        let stop = async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        };
        quorate_node::run(config, |_| {}, stop).await?;
        Ok(())
    })
}

fn runtime(threads: usize) -> Outcome<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.build().map_err(|error| Failure::new(ErrorCode::Io).what(error.to_string()))
}

/// Asks the kernel for death when the parent's thread dies; the parent may have died before.
fn die_with(parent: u32) -> Outcome {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| Failure::new(ErrorCode::Io).what(format!("prctl: {error}")))?;
    if std::os::unix::process::parent_id() == parent {
        Ok(())
    } else {
        Err(Failure::new(ErrorCode::NotRunning).what("the supervisor is gone"))
    }
}

/// Asks the node of a configuration file alone.
pub(crate) async fn status(context: &Context, file: &NodeFile) -> Outcome {
    let config = load(file)?;
    let mut context = context.clone();
    context.global.endpoint = vec![config.api.listen.to_string()];
    context.global.genesis = Some(config.node.genesis.display().to_string());
    crate::commands::status::run(&context).await.map(|_| ())
}
