//! The command line. A command stands here when it works.

mod testnet;

use crate::output::{Color, Format};
use clap::{Args, Parser, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
pub(crate) use testnet::Testnet;

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

fn size(text: &str) -> Result<usize, String> {
    text.parse::<usize>().map_err(|_| format!("{text:?} is no number of bytes"))
}

#[derive(Debug, Parser)]
#[command(
    name = "quorate",
    version,
    about = "A Byzantine fault-tolerant ledger: n = 3f + 1 replicas keep one signed order, though f of them lie",
    long_about = "A Byzantine fault-tolerant ledger: n = 3f + 1 replicas that need not trust each other keep one ordered, \
                  signed ledger; up to f may crash, lie or be hacked.\n\nStart here:  quorate dev",
    after_help = "Start here: dev, testnet.  Use the ledger: tx, kv, topic, block, receipt.  Operate: key, genesis, node, \
                  status, debug.  Tools: explain, schema, completions, man, version.\n\nNo telemetry: the program talks to the \
                  addresses that it is given and to nobody else.",
    infer_subcommands = false,
    propagate_version = false,
    disable_help_subcommand = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Gateways, HOST:PORT or http://HOST:PORT, separated by commas
    #[arg(short, long, global = true, env = "QUORATE_ENDPOINTS", value_delimiter = ',', value_name = "URL")]
    pub(crate) endpoint: Vec<String>,
    /// What answers are checked against: a genesis file, or the ledger id (64 hex digits)
    #[arg(long, global = true, env = "QUORATE_GENESIS", value_name = "FILE|HASH")]
    pub(crate) genesis: Option<String>,
    /// The key file that signs transactions
    #[arg(short, long, global = true, env = "QUORATE_KEY", value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// A file whose first line opens the key file, if it is encrypted; `key new` encrypts with it
    #[arg(long, global = true, env = "QUORATE_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// How to write data to stdout
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub(crate) output: Format,
    /// No remarks on stderr
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Colours on stderr
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) color: Color,
    /// How long to wait for an outcome
    #[arg(long, global = true, value_parser = duration, default_value = "10s", value_name = "TIME")]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Four replicas on this machine, gone when you stop them
    #[command(
        after_help = "Examples:\n  quorate dev\n  quorate dev -n 7\n  quorate dev -- quorate kv put hello world"
    )]
    Dev(Dev),
    /// A network of replica processes in a directory
    #[command(subcommand, alias = "testnets")]
    Testnet(Testnet),
    /// Transactions: submit, ask for, cancel, measure
    #[command(subcommand, alias = "txs")]
    Tx(Tx),
    /// Keys and values
    #[command(subcommand)]
    Kv(Kv),
    /// Replicated logs
    #[command(subcommand, alias = "topics")]
    Topic(Topic),
    /// Blocks and their certificates
    #[command(subcommand, alias = "blocks")]
    Block(Block),
    /// Look into what a replica did
    #[command(subcommand)]
    Debug(Debug),
    /// Receipts: proofs of an outcome that need the genesis and nothing else
    #[command(subcommand, alias = "receipts")]
    Receipt(Receipt),
    /// Check the ledger that a replica stored against the genesis; needs no node and no network
    #[command(after_help = "Exit codes: 0 valid, 6 not what the members signed")]
    Verify(Verify),
    /// Copies of a ledger, from which a replica can be made again
    #[command(subcommand)]
    Backup(Backup),
    /// Key files
    #[command(subcommand, alias = "keys")]
    Key(Key),
    /// What the members agree on before block 1
    #[command(subcommand)]
    Genesis(Genesis),
    /// Who the members are, and changes of them
    #[command(subcommand, alias = "members")]
    Member(Member),
    /// One replica
    #[command(subcommand, alias = "nodes")]
    Node(Node),
    /// Whether the ledger can commit, and where every replica stands
    #[command(after_help = "Exit codes: 0 normal, 10 works but tolerates no further fault, 7 no quorum")]
    Status,
    /// Whether a replica takes transactions; with --deep, whether the ledger commits and its replicas agree
    #[command(
        after_help = "Exit codes: 0 healthy, 7 not, 6 replicas contradict each other. --deep submits an empty transaction."
    )]
    Health {
        /// Commit an empty transaction, and compare the replicas' blocks
        #[arg(long)]
        deep: bool,
    },
    /// Why nothing commits, or what is not as it should be: which replica, in which phase, and what to do
    #[command(
        after_help = "Exit codes: 0 nothing is wrong, 10 works but something is, 7 nothing commits or could"
    )]
    Why,
    /// What an error code means and what to do
    Explain {
        /// A code such as Q0412, or `list`
        code: String,
    },
    /// JSON Schemas of everything that -o json writes
    Schema {
        /// The name of one; all names without it
        name: Option<String>,
    },
    /// Completions for a shell, on stdout
    Completions { shell: clap_complete::Shell },
    /// Manual pages
    Man {
        /// Write one file per command here instead of the main page to stdout
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// The version of this program
    Version,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Dev {
    /// Replicas
    #[arg(short, default_value_t = 4)]
    pub(crate) n: u16,
    /// The port of the first replica; the others follow. 0 for any
    #[arg(long, default_value_t = 7238)]
    pub(crate) port: u16,
    /// The loopback address of all replicas
    #[arg(long, default_value = "127.0.0.1", hide = true)]
    pub(crate) address: IpAddr,
    /// Allow n = 1, 2 or 3: such a cluster tolerates crashes but no faulty member
    #[arg(long)]
    pub(crate) allow_crash_only: bool,
    /// Write the path of the network's directory here once it is ready
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Run this against the network, then stop everything
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Write {
    /// How long, in ledger time, the transaction may be executed
    #[arg(long, value_parser = duration, default_value = "60s", value_name = "TIME")]
    pub(crate) valid_for: Duration,
    /// Write the receipt here
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Tx {
    /// Submit operations as one transaction: all take effect, or none
    #[command(
        after_help = "The file: {\"operations\":[{\"put\":{\"key\":\"a\",\"value\":\"1\"}}]}; quorate schema transaction prints its form"
    )]
    Submit {
        /// Operations as JSON; - for stdin
        #[arg(long, value_name = "FILE", required_unless_present = "hex")]
        file: Option<PathBuf>,
        /// Signed bytes and signature, as `tx submit --dry-run` prints them
        #[arg(long, conflicts_with = "file")]
        hex: Option<String>,
        /// Sign and print, but do not send
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        write: Write,
    },
    /// The outcome of a transaction
    Status {
        txid: String,
        /// Wait for it up to --timeout; signed bytes that this machine kept are sent again
        #[arg(long)]
        wait: bool,
        #[arg(long, value_name = "FILE")]
        receipt: Option<PathBuf>,
    },
    /// A transaction, its result and its place
    Show { txid: String },
    /// Close a number with a transaction that does nothing
    Cancel {
        /// A transaction that this machine submitted, or SESSION NUMBER
        #[arg(required = true, num_args = 1..=2)]
        target: Vec<String>,
    },
    /// Measure throughput and latency, from signing to verified receipt
    Bench(Bench),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Bench {
    /// Clients, each with one transaction at a time
    #[arg(short, long, default_value_t = 32)]
    pub(crate) clients: usize,
    /// Open loop: transactions per second, whatever comes back
    #[arg(short, long)]
    pub(crate) rate: Option<u64>,
    #[arg(short, long, value_parser = duration, default_value = "10s")]
    pub(crate) duration: Duration,
    /// Bytes of the value that each transaction puts
    #[arg(long, value_parser = size, default_value = "128")]
    pub(crate) size: usize,
    /// Append so many values to a topic in each transaction, instead of one put
    #[arg(long, value_name = "COUNT")]
    pub(crate) appends: Option<usize>,
    /// Keys that sign; more than one needs an open registry
    #[arg(long, default_value_t = 1)]
    pub(crate) keys: usize,
    /// Not measured, first
    #[arg(long, value_parser = duration, default_value = "1s")]
    pub(crate) warmup: Duration,
    /// Measure the floor in the same run: what one core verifies, and what the disk syncs
    #[arg(long)]
    pub(crate) floor: bool,
    /// Write the latencies here: one `percentile milliseconds` line each
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Kv {
    /// Set a key
    Put {
        name: String,
        value: String,
        /// Only if it is absent
        #[arg(long)]
        if_absent: bool,
        #[command(flatten)]
        write: Write,
    },
    /// Read a key: ordered with all writes, and proven by a receipt
    Get {
        name: String,
        /// `ordered`: as a transaction; `local`: what one replica has, labelled so
        #[arg(long, value_parser = ["ordered", "local"], default_value = "ordered")]
        consistency: String,
        #[command(flatten)]
        write: Write,
    },
    /// Set a key if it holds what is expected
    Cas {
        name: String,
        value: String,
        /// The value it must hold
        #[arg(long, required_unless_present = "expect_absent", conflicts_with = "expect_absent")]
        expect: Option<String>,
        /// It must be absent
        #[arg(long)]
        expect_absent: bool,
        #[command(flatten)]
        write: Write,
    },
    /// Remove a key
    Delete {
        name: String,
        #[command(flatten)]
        write: Write,
    },
    /// Keys in order, as one replica has them
    List {
        #[arg(default_value = "")]
        prefix: String,
        #[arg(long, default_value_t = 100)]
        limit: u32,
        #[arg(long)]
        keys_only: bool,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Topic {
    /// Append an entry; the answer is its index
    Append {
        topic: String,
        #[arg(required_unless_present = "file")]
        entry: Option<String>,
        #[arg(long, conflicts_with = "entry")]
        file: Option<PathBuf>,
        #[command(flatten)]
        write: Write,
    },
    /// Entries in order, as one replica has them
    Read {
        topic: String,
        /// The index of the first
        #[arg(long, default_value_t = 0)]
        from: u64,
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Topics, as one replica has them
    List {
        #[arg(default_value = "")]
        prefix: String,
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Block {
    /// A block, checked against the genesis
    Show {
        /// A height, or `latest`
        #[arg(default_value = "latest")]
        height: String,
    },
    /// Blocks, oldest first
    List {
        /// The height of the first; without it, the newest ones
        #[arg(long)]
        from: Option<u64>,
        #[arg(long, default_value_t = 10)]
        limit: u64,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Debug {
    /// Run the core of a replica again from a recording, and compare everything that it did
    #[command(
        after_help = "A node records every input of its core if node.record names a directory:\n  QUORATE_NODE__RECORD=/tmp/recordings quorate testnet up\n  quorate debug replay /tmp/recordings/FILE"
    )]
    Replay { file: PathBuf },
    /// What came to a replica, from a recording: when, from whom, and whose statement it was
    #[command(
        after_help = "What member 2 was heard to say:\n  quorate debug show /tmp/recordings/FILE --from 2\n\nA message that its sender repeats comes once: a node drops it before its core sees it."
    )]
    Show {
        file: PathBuf,
        /// Only what this member sent
        #[arg(long, value_name = "MEMBER")]
        from: Option<u16>,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Receipt {
    /// Check a receipt against the genesis; needs no network
    Verify { file: PathBuf },
    /// What a receipt says, unverified
    Show { file: PathBuf },
}

#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Verify {
    #[command(subcommand)]
    pub(crate) what: Option<VerifyWhat>,
    /// A node's directory, its data directory, or a directory of block files; the node may be running
    #[arg(required = true)]
    pub(crate) path: Option<PathBuf>,
    /// Execute every block again as well, and compare the state that it gives
    #[arg(long)]
    pub(crate) replay: bool,
    /// Threads that check; by default one for each core
    #[arg(short, long)]
    pub(crate) jobs: Option<u8>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum VerifyWhat {
    /// Where two stored ledgers part: the first block, transaction and key that differ, and which of them the members signed
    Compare { a: PathBuf, b: PathBuf },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Backup {
    /// Copy a node's ledger into a directory, or add what is new to a backup that is there; the node may be running
    Create {
        /// The directory of the backup
        out: PathBuf,
        #[command(flatten)]
        file: NodeFile,
    },
    /// Check everything in a backup against the genesis, as quorate verify does
    Verify {
        backup: PathBuf,
        /// Execute every block again as well, and compare the state that it gives
        #[arg(long)]
        replay: bool,
    },
    /// Make the data directory of a node from a backup
    #[command(
        after_help = "The node then follows the ledger without voting, since a backup does not tell what it said: once it runs, quorate node recover lets it vote."
    )]
    Restore {
        backup: PathBuf,
        #[command(flatten)]
        file: NodeFile,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key
    New {
        /// The key file; with --role replica, a directory
        #[arg(long)]
        out: PathBuf,
        /// `client` and `operator` make one key, `replica` the two of a member and its member.toml
        #[arg(long, value_parser = ["client", "operator", "replica"], default_value = "client")]
        role: String,
        /// The member's name in member.toml
        #[arg(long)]
        name: Option<String>,
    },
    /// The public key of a key file
    Show { file: PathBuf },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Genesis {
    /// Put a genesis together from the public keys of its members
    New {
        /// The name of the ledger
        #[arg(long)]
        name: String,
        /// A member: its member.toml and the address of its peers' port
        #[arg(long = "member", required = true, value_name = "MEMBER.toml@HOST:PORT")]
        members: Vec<String>,
        /// A registered client: its public key
        #[arg(long = "client", value_name = "qpk1...")]
        clients: Vec<String>,
        /// An operator: its public key
        #[arg(long = "operator", value_name = "qpk1...")]
        operators: Vec<String>,
        /// Accept transactions of any key
        #[arg(long)]
        open: bool,
        #[arg(long, value_name = "F")]
        faults: Option<u16>,
        #[arg(long)]
        allow_crash_only: bool,
        #[arg(long, default_value = "genesis.toml")]
        out: PathBuf,
    },
    /// A genesis with its arithmetic
    Show { file: Option<PathBuf> },
    /// The ledger id: the hash of the genesis without addresses
    Hash { file: Option<PathBuf> },
    /// Whether a genesis keeps every rule
    Check { file: PathBuf },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct NodeFile {
    /// The directory with quorate.toml, vote.pem and transport.pem
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
    /// The configuration file; quorate.toml in the directory without it
    #[arg(short, long, env = "QUORATE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Member {
    /// The members of the epoch, what they tolerate, and the changes that are proposed
    List,
    /// Give the member of a node's directory new keys; run this where the node is, as an operator
    #[command(
        after_help = "The node takes the new keys into use by itself when the next epoch begins, and erases those before."
    )]
    Rotate {
        #[command(flatten)]
        file: NodeFile,
    },
    /// Propose that the node of a directory joins; run this where the node is, as an operator
    #[command(
        after_help = "Example, beside vote.pem, transport.pem and quorate.toml:\n  quorate node init --dir eve --join\n  quorate node run --dir eve &\n  quorate member add --dir eve --peer 10.0.0.5:7238 --key operator.pem"
    )]
    Add {
        #[command(flatten)]
        file: NodeFile,
        /// Where peers connect to it
        #[arg(long, value_name = "HOST:PORT")]
        peer: String,
        /// The URL of its client API; http:// and the peers' address if not given
        #[arg(long, value_name = "URL")]
        api: Option<String>,
        /// The member whose place it takes
        #[arg(long, value_name = "NAME")]
        replace: Option<String>,
        /// How many of the members may be faulty afterwards; as many as now if not given
        #[arg(long)]
        faults: Option<u16>,
    },
    /// Say that the node of a directory follows the ledger, for who approves last: `member approve --ready`
    Ready {
        #[command(flatten)]
        file: NodeFile,
    },
    /// Propose that a member leaves
    Remove {
        /// The member's name
        name: String,
        /// How many of the members may be faulty afterwards; as many as now if not given
        #[arg(long)]
        faults: Option<u16>,
    },
    /// Approve a change that another operator has proposed
    Approve {
        /// The id of the proposal
        id: String,
        /// What `member ready` says where the node is that joins; asked of it if not given
        #[arg(long, value_name = "TEXT")]
        ready: Option<String>,
    },
    /// Take back a change that you have proposed
    Withdraw {
        /// The id of the proposal
        id: String,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Node {
    /// Make the data directory of a new member
    Init {
        #[command(flatten)]
        file: NodeFile,
        /// It is no member of the genesis, and is to become one: quorate member add
        #[arg(long)]
        join: bool,
    },
    /// Run a member until SIGTERM
    Run {
        #[command(flatten)]
        file: NodeFile,
        /// Where the client API listens
        #[arg(long)]
        listen: Option<SocketAddr>,
        /// Where peers connect
        #[arg(long)]
        peer_listen: Option<SocketAddr>,
        /// Die when the process with this pid does
        #[arg(long, hide = true)]
        with_parent: Option<u32>,
    },
    /// Bring a member back whose disk was lost: makes a new store, or, once the node runs with it, has the members name it
    #[command(
        after_help = "Run it twice:\n  1. where the disk was lost, with the node stopped: makes an empty store that never votes by itself\n  2. once the node runs and follows, with a client's or operator's key: asks the members to name the store"
    )]
    Recover {
        #[command(flatten)]
        file: NodeFile,
    },
    /// Where one node stands
    Status {
        #[command(flatten)]
        file: NodeFile,
    },
}
