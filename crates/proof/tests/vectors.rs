//! The byte layouts of docs/formats.md as vectors for other implementations: `docs/vectors/*.json`. With QUORATE_REWRITE=1 the
//! files are written anew; without it, any difference is a change of format that nobody announced.

use quorate_crypto::{
    Ed25519Signer, MerkleTree, Signer, base_proof_digest, genesis_ledger_id, header_hash, members_hash,
    null_batch_digest, prepared_set_digest, sha256, sparse, transaction_id, view_change_digest,
};
use quorate_proof::genesis_file;
use quorate_types::operation::StoredValue;
use quorate_types::{
    BaseProof, Batch, BlockCertificate, CertificateKind, Digest, Epoch, FailReason, Genesis, GenesisMember,
    Header, LedgerId, LedgerTime, NamedKey, Number, Operation, OperationOutput, Operations, Parameters,
    PreparedCertificate, PublicKey, RegistryMode, ReplicaId, Seq, SessionId, SessionLeaf, Signature,
    SignedStatement, SignedTransaction, StateKey, Statement, TopicLeaf, Transaction, TransactionId,
    TransactionResult, View, ViewChange, VoidReason,
};
use serde_json::{Value, json};
use std::path::Path;

const LEDGER: LedgerId = LedgerId([0x11; 32]);

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

/// The key whose 32-byte seed repeats this byte.
fn key(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[seed; 32])
}

/// Compares one file with what the code makes now.
fn compare(name: &str, vectors: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors").join(name);
    let text = serde_json::to_string_pretty(vectors).unwrap() + "\n";
    if std::env::var_os("QUORATE_REWRITE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == text, "{name} is not what the code makes: a format changed");
}

fn bytes(what: &str, bytes: &[u8]) -> Value {
    json!({ "what": what, "bytes": hex::encode(bytes), "sha256": sha256(bytes).to_string() })
}

fn statements() -> Vec<Statement> {
    let (view, seq) = (View::new(3), Seq::new(258));
    vec![
        Statement::PrePrepare { view, seq, digest: digest(0xa1) },
        Statement::Prepare { view, seq, digest: digest(0xa1) },
        Statement::Commit { view, seq, digest: digest(0xa1) },
        Statement::Attest { seq, header: digest(0xa2) },
        Statement::Checkpoint { seq: Seq::new(256), header: digest(0xa3) },
        Statement::ViewChange { view, base: Seq::new(256), base_proof: digest(0xa4), prepared: digest(0xa5) },
        Statement::NewView {
            view,
            chosen: vec![(ReplicaId::new(0), digest(0xa6)), (ReplicaId::new(2), digest(0xa7))],
            min: Seq::new(256),
            proposals: vec![digest(0xa8)],
        },
    ]
}

#[test]
fn m1_statements() {
    let vectors = statements().into_iter().map(|statement| {
        let signed = statement.signed_bytes(&LEDGER, Epoch::new(5));
        json!({
            "tag": statement.kind().tag(),
            "fields": format!("{statement:?}"),
            "signed_bytes": hex::encode(&signed),
            "signature": hex::encode(key(1).sign(&signed).0),
        })
    });
    let vectors: Vec<Value> = vectors.collect();
    compare(
        "statements.json",
        &json!({
            "ledger": LEDGER.to_string(),
            "epoch": 5,
            "seed": hex::encode([1; 32]),
            "public_key": hex::encode(key(1).public_key().0),
            "statements": vectors,
        }),
    );
}

fn operations() -> Vec<(&'static str, Operation)> {
    let (key, value, old) = (b"k".to_vec(), b"value".to_vec(), Some(b"old".to_vec()));
    vec![
        ("put k value", Operation::Put { key: key.clone(), value: value.clone() }),
        ("delete k", Operation::Delete { key: key.clone() }),
        ("get k", Operation::Get { key: key.clone() }),
        ("cas k old value", Operation::Cas { key: key.clone(), expected: old, value: value.clone() }),
        ("cas k absent value", Operation::Cas { key: key.clone(), expected: None, value: value.clone() }),
        ("put-if-absent k value", Operation::PutIfAbsent { key, value }),
        ("append t entry", Operation::Append { topic: b"t".to_vec(), entry: b"entry".to_vec() }),
    ]
}

fn transaction(operations: Vec<Operation>) -> SignedTransaction {
    let transaction = Transaction {
        ledger: LEDGER,
        sender: key(2).public_key(),
        session: SessionId::new(7),
        number: Number::new(9),
        valid_until: LedgerTime(1_700_000_000_000),
        app: "kv".to_owned(),
        payload: Operations(operations).to_payload(),
    };
    let signature = key(2).sign(&transaction.signed_bytes());
    SignedTransaction { transaction, signature }
}

#[test]
fn m6_transactions() {
    let mut cases: Vec<(&str, Vec<Operation>)> =
        operations().into_iter().map(|(what, operation)| (what, vec![operation])).collect();
    cases.push(("nothing: what tx cancel commits", Vec::new()));
    cases.push(("all of them", operations().into_iter().map(|(_, operation)| operation).collect()));
    let vectors = cases.into_iter().map(|(what, operations)| {
        let signed = transaction(operations);
        json!({
            "what": what,
            "payload": hex::encode(&signed.transaction.payload),
            "signed_bytes": hex::encode(signed.transaction.signed_bytes()),
            "id": transaction_id(&signed.transaction).to_string(),
            "signature": hex::encode(signed.signature.0),
        })
    });
    let vectors: Vec<Value> = vectors.collect();
    compare(
        "transactions.json",
        &json!({
            "ledger": LEDGER.to_string(),
            "seed": hex::encode([2; 32]),
            "sender": hex::encode(key(2).public_key().0),
            "session": 7,
            "number": 9,
            "valid_until_ms": 1_700_000_000_000u64,
            "app": "kv",
            "transactions": vectors,
        }),
    );
}

#[test]
fn m7_results() {
    let id = TransactionId([0xb1; 32]);
    let value = StoredValue { value: b"value".to_vec(), height: 12, index: 3 };
    let outputs = OperationOutput::list_to_bytes(&[
        OperationOutput::Done { existed: false },
        OperationOutput::Done { existed: true },
        OperationOutput::Value(None),
        OperationOutput::Value(Some(value.clone())),
        OperationOutput::Appended { index: 4 },
    ]);
    let found = OperationOutput::list_to_bytes(&[OperationOutput::Value(Some(value))]);
    let committed = |output: &[u8]| TransactionResult::Committed { output: output.to_vec() }.leaf_bytes(&id);
    let mut leaves = vec![
        bytes("committed with one output of each kind", &committed(&outputs)),
        bytes("committed without output", &committed(&[])),
    ];
    for reason in (1..=5).filter_map(FailReason::from_code) {
        let result = TransactionResult::Failed { reason, operation: 1, output: found.clone() };
        leaves.push(bytes(&format!("failed: {reason:?}, operation 1"), &result.leaf_bytes(&id)));
    }
    for reason in (1..=7).filter_map(VoidReason::from_code) {
        leaves.push(bytes(&format!("void: {reason:?}"), &TransactionResult::Void { reason }.leaf_bytes(&id)));
    }
    let vectors = json!({ "id": id.to_string(), "outputs": hex::encode(outputs), "leaves": leaves });
    compare("results.json", &vectors);
}

fn header() -> Header {
    Header {
        ledger: LEDGER,
        epoch: Epoch::ZERO,
        height: Seq::new(2),
        parent: digest(0xc1),
        time: LedgerTime(1_700_000_000_000),
        batch_digest: digest(0xc2),
        transactions_root: digest(0xc3),
        results_root: digest(0xc4),
        state_root: digest(0xc5),
        members_hash: digest(0xc6),
        transaction_count: 2,
    }
}

#[test]
fn m5_m7_blocks() {
    let transactions: Vec<SignedTransaction> =
        operations().into_iter().take(2).map(|(_, one)| transaction(vec![one])).collect();
    let ids: Vec<TransactionId> =
        transactions.iter().map(|signed| transaction_id(&signed.transaction)).collect();
    let time = LedgerTime(1_700_000_000_000);
    let batch = Batch { time, transactions };
    let leaf = |(id, signed): (&TransactionId, &SignedTransaction)| [&id.0[..], &signed.signature.0].concat();
    let leaves: Vec<Vec<u8>> = ids.iter().zip(&batch.transactions).map(leaf).collect();
    let empty = Batch { time, transactions: Vec::new() };
    compare(
        "blocks.json",
        &json!({
            "null_batch_digest": null_batch_digest().to_string(),
            "empty_batch": bytes("a batch without transactions", &empty.digest_bytes(&[])),
            "batch": {
                "what": "the first two transactions of transactions.json",
                "time_ms": time.0,
                "bytes": hex::encode(batch.digest_bytes(&ids)),
                "digest": sha256(&batch.digest_bytes(&ids)).to_string(),
                "leaves": leaves.iter().map(hex::encode).collect::<Vec<_>>(),
                "transactions_root": MerkleTree::new(&leaves).root().to_string(),
            },
            "header": {
                "fields": format!("{:?}", header()),
                "bytes": hex::encode(header().hashed_bytes()),
                "hash": header_hash(&header()).to_string(),
            },
        }),
    );
}

#[test]
fn m7_merkle_trees() {
    let vectors = (0..9u8).map(|count| {
        let leaves: Vec<Vec<u8>> = (0..count).map(|leaf| vec![leaf; usize::from(leaf)]).collect();
        let tree = MerkleTree::new(&leaves);
        let paths = (0..u32::from(count)).map(|index| {
            let path = tree.path(index).unwrap();
            path.siblings.iter().map(ToString::to_string).collect::<Vec<_>>()
        });
        json!({
            "leaves": leaves.iter().map(hex::encode).collect::<Vec<_>>(),
            "root": tree.root().to_string(),
            "paths": paths.collect::<Vec<_>>(),
        })
    });
    compare("merkle.json", &Value::Array(vectors.collect()));
}

fn signatures(count: u8) -> Vec<(ReplicaId, Signature)> {
    (0..count).map(|id| (ReplicaId::new(id.into()), Signature([0xd0 + id; 64]))).collect()
}

#[test]
fn v2_view_changes() {
    let base_proof = BaseProof::Checkpoint(BlockCertificate {
        epoch: Epoch::ZERO,
        height: Seq::new(256),
        header: digest(0xd8),
        kind: CertificateKind::Checkpoint,
        signatures: signatures(3),
    });
    let prepared = vec![PreparedCertificate {
        epoch: Epoch::ZERO,
        view: View::new(1),
        seq: Seq::new(257),
        digest: digest(0xd9),
        proposal: Signature([0xda; 64]),
        prepares: signatures(2),
    }];
    let statement = Statement::ViewChange {
        view: View::new(2),
        base: Seq::new(256),
        base_proof: base_proof_digest(&base_proof),
        prepared: prepared_set_digest(&prepared),
    };
    let signature = key(1).sign(&statement.signed_bytes(&LEDGER, Epoch::ZERO));
    let signer = ReplicaId::new(1);
    let statement = SignedStatement { epoch: Epoch::ZERO, signer, statement, signature };
    let view_change = ViewChange { statement, base_proof: base_proof.clone(), prepared: prepared.clone() };
    compare(
        "view-changes.json",
        &json!({
            "genesis_base_proof": bytes("H(C) before the first checkpoint", &BaseProof::Genesis.hashed_bytes()),
            "base_proof": bytes("H(C): a checkpoint with three signatures", &base_proof.hashed_bytes()),
            "no_prepared": bytes("H(P) of nothing", &ViewChange::prepared_bytes(&[])),
            "prepared": bytes("H(P) of one certificate", &ViewChange::prepared_bytes(&prepared)),
            "name": bytes("what a NEW-VIEW names it by", &view_change.digest_bytes(&LEDGER)),
            "name_again": view_change_digest(&view_change, &LEDGER).to_string(),
        }),
    );
}

#[test]
fn x5_state_keys_and_leaves() {
    let client = PublicKey([0xe1; 32]);
    let session = SessionId::new(7);
    let keys = [
        ("a client", StateKey::Client(client)),
        ("an operator", StateKey::Operator(client)),
        ("a session", StateKey::Session(client, session)),
        ("a sender's number of sessions", StateKey::SessionCount(client)),
        ("a session's review", StateKey::Review(LedgerTime(99), client, session)),
        ("the key k of kv", StateKey::Kv(b"k")),
        ("the topic t of kv", StateKey::Topic(b"t")),
    ];
    let keys = keys.map(|(what, key)| {
        let key = key.to_bytes();
        json!({ "what": what, "bytes": hex::encode(&key), "place": sparse::key_hash(&key).to_string() })
    });
    let leaf = SessionLeaf { low: Number::new(3), last_activity: LedgerTime(44), used: vec![0b10, 0b1] };
    let entry = TopicLeaf::EMPTY.entry_bytes(&sha256(b"entry"));
    let after = TopicLeaf { length: 1, running_hash: sha256(&entry) };
    let stored = StoredValue { value: b"value".to_vec(), height: 12, index: 3 };
    let (left, right) =
        (sparse::leaf_hash(&digest(0xe2), &digest(0xe3)), sparse::leaf_hash(&digest(0xe4), &digest(0xe5)));
    let tree_leaf = |key_hash: u8, hash: &Digest| {
        json!({
            "key_hash": digest(key_hash).to_string(),
            "value_hash": digest(key_hash + 1).to_string(),
            "hash": hash.to_string(),
        })
    };
    compare(
        "state.json",
        &json!({
            "keys": keys,
            "session": hex::encode(leaf.to_bytes()),
            "topic_entry": bytes("the first entry of a topic: entry", &entry),
            "topic": hex::encode(after.to_bytes()),
            "stored_value": hex::encode(stored.to_bytes()),
            "leaves": [tree_leaf(0xe2, &left), tree_leaf(0xe4, &right)],
            "node_of_both": sparse::node_hash(&left, &right).to_string(),
            "empty": sparse::EMPTY.to_string(),
        }),
    );
}

fn genesis() -> Genesis {
    let member = |id: u8| GenesisMember {
        name: format!("node{id}"),
        vote: key(id + 10).public_key(),
        transport: key(id + 20).public_key(),
        peer: format!("192.0.2.{id}:7237"),
        api: format!("192.0.2.{id}:7238"),
    };
    Genesis {
        name: "example".to_owned(),
        created: LedgerTime(1_700_000_000_123),
        app: "kv".to_owned(),
        faults: 1,
        allow_crash_only: false,
        parameters: Parameters::default(),
        members: (0..4).map(member).collect(),
        clients: vec![NamedKey { name: "client".to_owned(), key: key(30).public_key() }],
        operators: vec![NamedKey { name: "operator".to_owned(), key: key(31).public_key() }],
        approvals: 1,
        registry: RegistryMode::Closed,
    }
}

#[test]
fn m1_genesis() {
    let genesis = genesis();
    let ledger = genesis_ledger_id(&genesis);
    let members = genesis.members_of_epoch_0(ledger).unwrap();
    let file = genesis_file::print(&genesis);
    assert_eq!(genesis_file::parse(&file).unwrap(), genesis);
    compare(
        "genesis.json",
        &json!({
            "file": file,
            "canonical_bytes": hex::encode(genesis.canonical_bytes()),
            "ledger": ledger.to_string(),
            "members_bytes": hex::encode(members.hashed_bytes()),
            "members_hash": members_hash(&members).to_string(),
        }),
    );
}
