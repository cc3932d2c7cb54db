//! The quorate command line: testnets, nodes, transactions, receipts.

mod args;
mod commands;
mod context;
mod failure;
mod output;
mod process;
mod progress;
mod schema;
mod testnet;

use args::{Backup, Cli, Command, Node};
use clap::Parser;
use context::Context;
use failure::Outcome;
use output::Output;
use std::io::Write;
use std::process::ExitCode;

/// With the allocator of the system, a tenth of a loaded replica's time was spent in it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    install_panic_report();
    let cli = Cli::parse();
    let global = cli.global;
    let output = Output { format: global.output, quiet: global.quiet, color: global.color };
    let context = Context { global, output };
    match run(&context, cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.report(output.is_json());
            ExitCode::from(failure.exit())
        }
    }
}

fn run(context: &Context, command: Command) -> Outcome<u8> {
    match command {
        // These start processes, and stay on the main thread: children die with the thread that made them.
        Command::Dev(options) => commands::dev::run(context, &options),
        Command::Testnet(command) => commands::testnet::run(context, command),
        Command::Node(Node::Run { file, listen, peer_listen, with_parent }) => {
            commands::node::run(&file, listen, peer_listen, with_parent).map(|()| 0)
        }
        Command::Node(Node::Init { file, join }) => commands::node::init(context, &file, join).map(|()| 0),
        Command::Receipt(command) => commands::receipt::run(context, &command).map(|()| 0),
        Command::Verify(command) => commands::verify::run(context, &command).map(|()| 0),
        Command::Backup(Backup::Verify { backup, replay }) => {
            commands::backup::verify(context, backup, replay).map(|()| 0)
        }
        Command::Backup(Backup::Restore { backup, file }) => {
            commands::backup::restore(context, &backup, &file).map(|()| 0)
        }
        Command::Key(command) => commands::key::run(context, &command).map(|()| 0),
        Command::Genesis(command) => commands::genesis::run(context, command).map(|()| 0),
        Command::Debug(command) => commands::debug::run(context, &command).map(|()| 0),
        Command::Explain { code } => commands::tools::explain(context, &code).map(|()| 0),
        Command::Schema { name } => commands::tools::print_schema(context, name.as_deref()).map(|()| 0),
        Command::Completions { shell } => {
            commands::tools::completions(shell);
            Ok(0)
        }
        Command::Man { out } => commands::tools::man(out.as_deref()).map(|()| 0),
        Command::Version => {
            commands::tools::version(context);
            Ok(0)
        }
        asking => ask(context, asking),
    }
}

/// Commands that talk to gateways.
#[tokio::main]
async fn ask(context: &Context, command: Command) -> Outcome<u8> {
    match command {
        Command::Tx(command) => commands::tx::run(context, command).await.map(|()| 0),
        Command::Kv(command) => commands::kv::run(context, command).await.map(|()| 0),
        Command::Topic(command) => commands::topic::run(context, command).await.map(|()| 0),
        Command::Block(command) => commands::block::run(context, command).await.map(|()| 0),
        Command::Status => commands::status::run(context).await,
        Command::Health { deep } => commands::health::run(context, deep).await,
        Command::Why => commands::why::run(context).await,
        Command::Member(command) => commands::member::run(context, command).await.map(|()| 0),
        Command::Node(Node::Recover { file }) => commands::node::recover(context, &file).await.map(|()| 0),
        Command::Node(Node::Status { file }) => commands::node::status(context, &file).await.map(|()| 0),
        Command::Backup(Backup::Create { out, file }) => {
            commands::backup::create(context, &out, &file).await.map(|()| 0)
        }
        _ => unreachable!("every other command was handled before"),
    }
}

/// A panic is a bug: say so, keep the evidence, exit 70.
fn install_panic_report() {
    std::panic::set_hook(Box::new(|panic| {
        if quorate_storage::state::panic_is_caught() {
            return;
        }
        let backtrace = std::backtrace::Backtrace::force_capture();
        let path = std::env::temp_dir().join(format!("quorate-panic-{}.txt", std::process::id()));
        let command: Vec<String> = std::env::args().collect();
        let version = env!("CARGO_PKG_VERSION");
        let report = format!("quorate {version}\n{}\n{panic}\n\n{backtrace}\n", command.join(" "));
        let written = std::fs::File::create(&path).and_then(|mut file| file.write_all(report.as_bytes()));
        let text = quorate_types::ErrorCode::Internal.text();
        eprintln!("error[{}]: {}: {panic}", text.code, text.what);
        match written {
            Ok(()) => eprintln!("  why: {}\n  fix: {}: {}", text.why, text.fix, path.display()),
            Err(error) => eprintln!("  why: the report could not be written: {error}\n{backtrace}"),
        }
        std::process::exit(i32::from(text.exit));
    }));
}
