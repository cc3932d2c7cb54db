//! A ledger as four operators set it up from docs/operating.md, with encrypted keys.

use crate::harness::{Place, until};
use serde_json::Value;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// Replicas; killed when the test ends.
pub(crate) struct Nodes(pub(crate) Vec<Child>);

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that nobody uses, for TCP and UDP on this address.
pub(crate) fn free_port(address: &str) -> u16 {
    loop {
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        if UdpSocket::bind((address, port)).is_ok() {
            return port;
        }
    }
}

#[test]
fn four_operators_set_up_a_ledger() {
    let place = Place::new(23);
    let words = place.path("words");
    std::fs::write(&words, "open sesame\n").unwrap();
    std::fs::set_permissions(&words, std::fs::Permissions::from_mode(0o600)).unwrap();
    let secret = ["--passphrase-file", "words"];
    let with_secret = |arguments: &[&str]| place.succeed(&[arguments, &secret].concat());
    let client = with_secret(&["key", "new", "--out", "client.pem"]);
    let addresses: Vec<String> = (1..=4u8)
        .map(|host| {
            let address = format!("127.77.23.{host}");
            format!("{address}:{}", free_port(&address))
        })
        .collect();
    let mut genesis = vec!["genesis", "new", "--name", "trade", "--client", client.trim()];
    let mut members = Vec::new();
    for (name, address) in NAMES.iter().zip(&addresses) {
        with_secret(&["key", "new", "--role", "replica", "--name", name, "--out", name]);
        members.push(format!("{name}/member.toml@{address}"));
    }
    for member in &members {
        genesis.extend(["--member", member.as_str()]);
    }
    place.succeed(&genesis);
    place.succeed(&["genesis", "check", "genesis.toml"]);
    for (name, address) in NAMES.iter().zip(&addresses) {
        let config = format!(
            "[node]\ngenesis = \"../genesis.toml\"\nkey-passphrase-file = \"../words\"\n\n\
             [api]\nlisten = \"{address}\"\n\n[peer]\nlisten = \"{address}\"\n"
        );
        std::fs::write(place.path(name).join("quorate.toml"), config).unwrap();
        place.succeed(&["node", "init", "--dir", name]);
    }
    let run = |name: &&str| {
        let log = std::fs::File::create(place.path(name).join("log")).unwrap();
        place.command(&["node", "run", "--dir", name]).stderr(log).stdout(Stdio::null()).spawn().unwrap()
    };
    let _nodes = Nodes(NAMES.iter().map(run).collect());
    let endpoints = addresses.join(",");
    let on_ledger = ["--genesis", "genesis.toml", "-e", &endpoints];
    let signing = [&on_ledger[..], &["-k", "client.pem"]].concat();
    let status = [&["-q", "status"][..], &on_ledger].concat();
    until("all four vote", || place.run(&status).status.success());
    let put = ["-o", "json", "kv", "put", "deal", "sealed"];
    let done: Value = serde_json::from_str(&with_secret(&[&put[..], &signing].concat())).unwrap();
    assert_eq!(done["outcome"], "committed", "{done}");
    let locked = place.fail(&[&["kv", "put", "deal", "broken"][..], &signing].concat(), 8);
    assert!(locked["what"].as_str().unwrap().contains("encrypted"), "{locked}");
    place.succeed(&["node", "status", "--dir", "alice"]);
}
