use super::*;
use crate::TrustRoot;
use quorate_crypto::{Ed25519Signer, Signer, genesis_ledger_id};

pub(crate) fn example(n: u8) -> Genesis {
    let key = |seed: u8| Ed25519Signer::from_seed(&[seed; 32]).public_key();
    Genesis {
        name: "example".to_owned(),
        created: LedgerTime(1_790_000_000_123),
        app: "kv".to_owned(),
        faults: (u16::from(n) - 1) / 3,
        allow_crash_only: n < 4,
        parameters: Parameters::default(),
        members: (0..n)
            .map(|id| GenesisMember {
                name: format!("node{id}"),
                vote: key(id + 1),
                transport: key(id + 101),
                peer: format!("127.0.0.1:{id}"),
                api: String::new(),
            })
            .collect(),
        clients: vec![NamedKey { name: "client".to_owned(), key: key(201) }],
        operators: vec![NamedKey { name: "op0".to_owned(), key: key(202) }],
        approvals: 1,
        registry: RegistryMode::Closed,
    }
}

#[test]
fn a_genesis_round_trips_through_its_text() {
    let genesis = example(4);
    let text = print(&genesis);
    assert_eq!(parse(&text).expect("reads back"), genesis, "{text}");
}

#[test]
fn m1_the_ledger_id_covers_everything_but_addresses() {
    let genesis = example(4);
    let id = genesis_ledger_id(&genesis);
    let mut moved = genesis.clone();
    moved.members[0].peer = "10.0.0.1:7238".to_owned();
    assert_eq!(genesis_ledger_id(&moved), id);
    let mut renamed = genesis.clone();
    renamed.name = "another".to_owned();
    assert_ne!(genesis_ledger_id(&renamed), id);
    let mut slower = genesis;
    slower.parameters.depth = 7;
    assert_ne!(genesis_ledger_id(&slower), id);
}

#[test]
fn mistakes_are_named() {
    let text = print(&example(4));
    let error = parse(&text.replace("depth = 8", "dept = 8")).expect_err("unknown").to_string();
    assert!(error.contains("dept"), "{error}");
    let error = parse(&text.replace("1MiB", "1 megabyte")).expect_err("size").to_string();
    assert!(error.contains("block-max-bytes"), "{error}");
    let error = parse(&text.replace("qpk1", "qpk2")).expect_err("key").to_string();
    assert!(error.contains("member.vote"), "{error}");
}

#[test]
fn q6_a_crash_only_cluster_must_be_asked_for() {
    assert!(TrustRoot::from_genesis(example(3)).is_ok());
    let genesis = Genesis { allow_crash_only: false, ..example(3) };
    assert!(TrustRoot::from_genesis(genesis).expect_err("refused").to_string().contains("allow-crash-only"));
}
