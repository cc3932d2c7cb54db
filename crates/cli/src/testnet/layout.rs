//! The files of a testnet: keys, genesis, configuration of each replica.

use crate::failure::{Failure, Outcome};
use quorate_crypto::{Ed25519Signer, Signer};
use quorate_proof::{TrustRoot, genesis_file};
use quorate_types::{
    ErrorCode, Genesis, GenesisMember, LedgerTime, NamedKey, Parameters, Quorums, RegistryMode,
};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

/// testnet.toml.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Testnet {
    pub(crate) format: u32,
    pub(crate) name: String,
    pub(crate) ledger: String,
    pub(crate) node: Vec<Place>,
}

/// Where one replica listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) api: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// What a new testnet is made from.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) n: u16,
    pub(crate) base_port: u16,
    pub(crate) address: IpAddr,
    pub(crate) open: bool,
    pub(crate) faults: Option<u16>,
    pub(crate) allow_crash_only: bool,
    pub(crate) operators: u16,
    pub(crate) checkpoint_every: u64,
}

impl Testnet {
    pub(crate) const FILE: &'static str = "testnet.toml";

    pub(crate) fn load(dir: &Path) -> Outcome<Self> {
        let path = dir.join(Self::FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::new(ErrorCode::NotFound)
                .what(format!("no testnet in {}", dir.display()))
                .why(format!("it has no {}", Self::FILE))
                .fix(format!("quorate testnet new {}", dir.display())),
            _ => Failure::io(&path, &error),
        })?;
        let testnet: Self = toml::from_str(&text).map_err(|error| {
            Failure::input(format!("{} cannot be read", path.display()), error.to_string())
        })?;
        if testnet.format != 1 {
            let what = format!("{} has format {}", path.display(), testnet.format);
            return Err(Failure::new(ErrorCode::StoreTooNew).what(what));
        }
        Ok(testnet)
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.node.iter().map(|place| place.api.to_string()).collect()
    }

    pub(crate) fn node_dir(dir: &Path, index: usize) -> PathBuf {
        dir.join(format!("node{index}"))
    }
}

/// `count` addresses that are free for TCP and UDP now, on consecutive ports from `base`, or on any if it is 0.
fn reserve(address: IpAddr, base: u16, count: u16) -> Outcome<Vec<SocketAddr>> {
    let mut held = Vec::new();
    let mut places = Vec::new();
    for index in 0..count {
        let port = if base == 0 { 0 } else { base.checked_add(index).ok_or_else(out_of_ports)? };
        let (tcp, udp, place) = bind_pair(SocketAddr::new(address, port))?;
        // Held until all are found, so that no two are the same.
        held.push((tcp, udp));
        places.push(place);
    }
    Ok(places)
}

fn out_of_ports() -> Failure {
    Failure::input("the ports do not fit", "the last one would be above 65535")
}

fn bind_pair(address: SocketAddr) -> Outcome<(TcpListener, UdpSocket, SocketAddr)> {
    const TRIES: usize = 64;
    let taken = |protocol: &str| {
        let who = crate::process::holder_of_port(protocol, address.port());
        Failure::new(ErrorCode::PortInUse)
            .what(format!("{} port {} is taken", protocol.to_uppercase(), address.port()))
            .why(who.unwrap_or_else(|| "another process listens on it".to_owned()))
            .fix("stop that process, or choose other ports: --base-port (0 for any), or --port for dev")
    };
    for _ in 0..TRIES {
        let tcp = TcpListener::bind(address).map_err(|_| taken("tcp"))?;
        let found = tcp.local_addr().map_err(|_| taken("tcp"))?;
        match UdpSocket::bind(found) {
            Ok(udp) => return Ok((tcp, udp, found)),
            Err(_) if address.port() != 0 => return Err(taken("udp")),
            Err(_) => {}
        }
    }
    Err(taken("udp"))
}

/// Says that `dev` made a directory: nothing without it is ever removed.
pub(crate) const DEV_MARKER: &str = "quorate-dev-network";

fn is_fresh(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return true };
    entries.flatten().all(|entry| entry.file_name() == DEV_MARKER)
}

/// The keys of one replica.
struct ReplicaKeys {
    vote: Ed25519Signer,
    transport: Ed25519Signer,
}

/// Makes a testnet in a directory that must not exist or be empty. Writes nothing before everything is known to be valid.
pub(crate) fn create(dir: &Path, plan: &Plan) -> Outcome<Testnet> {
    if !is_fresh(dir) {
        return Err(Failure::new(ErrorCode::AlreadyInitialised)
            .what(format!("{} is not empty", dir.display()))
            .fix("choose another directory; nothing is overwritten"));
    }
    let faults = plan.faults.unwrap_or(plan.n.saturating_sub(1) / 3);
    Quorums::declared(plan.n, faults).map_err(|error| {
        Failure::new(ErrorCode::BadGenesis).what("no such cluster").why(error.to_string())
    })?;
    let places = reserve(plan.address, plan.base_port, plan.n)?;
    let client = Ed25519Signer::generate();
    let operators: Vec<Ed25519Signer> = (0..plan.operators).map(|_| Ed25519Signer::generate()).collect();
    let pair = |_| ReplicaKeys { vote: Ed25519Signer::generate(), transport: Ed25519Signer::generate() };
    let replicas: Vec<ReplicaKeys> = places.iter().map(pair).collect();
    let genesis = genesis(plan, faults, &places, &replicas, (&client, &operators));
    let text = genesis_file::print(&genesis);
    let trust = TrustRoot::from_genesis(genesis).map_err(|error| {
        Failure::new(ErrorCode::BadGenesis).what("the genesis is refused").why(error.to_string())
    })?;
    make(&dir.join("keys"))?;
    save_key(&client, &dir.join("keys/client.pem"))?;
    for (number, operator) in (1..).zip(&operators) {
        save_key(operator, &dir.join("keys").join(operator_file(number)))?;
    }
    write(&dir.join("genesis.toml"), &text)?;
    let mut nodes = Vec::new();
    for (index, (place, keys)) in places.into_iter().zip(&replicas).enumerate() {
        let (name, node) = (format!("node{index}"), Testnet::node_dir(dir, index));
        make(&node)?;
        save_key(&keys.vote, &node.join("vote.pem"))?;
        save_key(&keys.transport, &node.join("transport.pem"))?;
        write(&node.join("quorate.toml"), &node_config(&name, place))?;
        init(dir, index)?;
        nodes.push(Place { name, api: place, peer: place });
    }
    let testnet =
        Testnet { format: 1, name: plan.name.clone(), ledger: trust.ledger().to_string(), node: nodes };
    let text = toml::to_string(&testnet).expect("plain fields");
    write(&dir.join(Testnet::FILE), &text)?;
    Ok(testnet)
}

/// The key file of an operator: the first one has no number.
fn operator_file(number: u16) -> String {
    if number == 1 { "operator.pem".to_owned() } else { format!("operator{number}.pem") }
}

fn genesis(
    plan: &Plan,
    faults: u16,
    places: &[SocketAddr],
    replicas: &[ReplicaKeys],
    (client, operators): (&Ed25519Signer, &[Ed25519Signer]),
) -> Genesis {
    let members = places.iter().zip(replicas).enumerate().map(|(index, (place, keys))| GenesisMember {
        name: format!("node{index}"),
        vote: keys.vote.public_key(),
        transport: keys.transport.public_key(),
        peer: place.to_string(),
        api: format!("http://{place}"),
    });
    Genesis {
        name: plan.name.clone(),
        created: LedgerTime(crate::context::wall_ms()),
        app: "kv".to_owned(),
        faults,
        allow_crash_only: plan.allow_crash_only,
        parameters: Parameters {
            checkpoint_every: plan.checkpoint_every,
            window: 2 * plan.checkpoint_every,
            ..Parameters::default()
        },
        members: members.collect(),
        clients: vec![NamedKey { name: "client".to_owned(), key: client.public_key() }],
        operators: (1..)
            .zip(operators)
            .map(|(number, operator)| NamedKey {
                name: operator_file(number).trim_end_matches(".pem").to_owned(),
                key: operator.public_key(),
            })
            .collect(),
        approvals: plan.operators / 2 + 1,
        registry: if plan.open { RegistryMode::Open } else { RegistryMode::Closed },
    }
}

fn make(path: &Path) -> Outcome {
    std::fs::create_dir_all(path).map_err(|error| Failure::io(path, &error))
}

fn init(dir: &Path, index: usize) -> Outcome {
    let path = Testnet::node_dir(dir, index).join("quorate.toml");
    let config = quorate_node::FileConfig::load(&path, std::iter::empty())
        .map_err(|error| Failure::from(quorate_node::NodeError::from(error)))?;
    quorate_node::init(&config)?;
    Ok(())
}

/// One thread each where several nodes share a machine.
fn node_config(name: &str, place: SocketAddr) -> String {
    format!(
        "[node]\nname = \"{name}\"\n\n[api]\nlisten = \"{place}\"\n\n[peer]\nlisten = \"{place}\"\n\n\
         [log]\nformat = \"pretty\"\n\n[threads]\nruntime = 1\nverify = 1\n\n[testnet]\nfault-injection = true\n"
    )
}

fn save_key(key: &Ed25519Signer, path: &Path) -> Outcome {
    key.write_file(path, None).map_err(|error| Failure::new(ErrorCode::BadKey).what(error.to_string()))
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|error| Failure::io(path, &error))
}
