//! Inputs to begin from: what a cluster really sends and writes, and the inputs that once led to a fault.

use crate::mutate::Random;
use crate::store::samples;
use crate::{member, receipt};
use quorate_codec::{encode, encode_message, encode_record};
use quorate_crypto::{Ed25519Signer, Signer, public_key_to_text};
use quorate_proof::genesis_file;
use quorate_types::operation::{OperationOutput, StoredValue};
use quorate_types::{
    Digest, LedgerTime, Message, Number, Operation, Operations, PublicKey, Record, SessionId, SessionLeaf,
    StateKey, TopicLeaf, TransactionResult,
};
use std::collections::BTreeMap;

/// Target, name of the file, content.
pub type Seed = (&'static str, String, Vec<u8>);

/// Every input to begin from.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    sent_and_stored(&mut seeds);
    fixed_layouts(&mut seeds);
    written_by_people(&mut seeds);
    sequences(&mut seeds);
    found_faults(&mut seeds);
    #[cfg(feature = "transport")]
    around_sockets(&mut seeds);
    seeds
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

fn sent_and_stored(seeds: &mut Vec<Seed>) {
    let (messages, records, blocks) = samples();
    for (number, message) in messages.iter().enumerate() {
        seeds.push(("message", format!("sent-{number:02}"), encode_message(message)));
    }
    let mut kinds: BTreeMap<u8, &Record> = BTreeMap::new();
    for record in records {
        kinds.insert(encode_record(record)[3], record);
    }
    for (kind, record) in kinds {
        seeds.push(("record", format!("logged-{kind:02}"), encode_record(record)));
    }
    let Some(stored) = blocks.last() else { return };
    let block = &stored.block;
    let mut values = vec![encode(stored), encode(block), encode(&block.header)];
    for message in messages {
        match message {
            Message::BlockCertificate(certificate) => values.push(tagged(3, &encode(certificate))),
            Message::Block(certified) => values.push(tagged(4, &encode(certified))),
            Message::Vote(signed) => values.push(tagged(5, &encode(signed))),
            _ => {}
        }
    }
    if let Some(batch) = &block.batch {
        values.push(encode(&batch.transactions[0]));
        values.push(encode(batch));
    }
    let tags = [Some(0), Some(1), Some(2)];
    let last = values.len() - 2;
    for (number, value) in values.into_iter().enumerate() {
        let tag =
            tags.get(number).copied().flatten().or((number >= last).then_some(6 + u8::from(number > last)));
        let bytes = tag.map_or(value.clone(), |tag| tagged(tag, &value));
        seeds.push(("vocabulary", format!("stored-{number:02}"), bytes));
    }
}

fn fixed_layouts(seeds: &mut Vec<Seed>) {
    let signed = member::transaction(0, 5);
    let id = quorate_crypto::transaction_id(&signed.transaction);
    let (key, value) = (b"key".to_vec(), b"value".to_vec());
    let operations = Operations(vec![
        Operation::Put { key: key.clone(), value: value.clone() },
        Operation::Delete { key: key.clone() },
        Operation::Get { key: key.clone() },
        Operation::Cas { key: key.clone(), expected: None, value: value.clone() },
        Operation::Cas { key: key.clone(), expected: Some(value.clone()), value: value.clone() },
        Operation::PutIfAbsent { key: key.clone(), value: value.clone() },
        Operation::Append { topic: key, entry: value.clone() },
    ]);
    let stored = StoredValue { value, height: 3, index: 4 };
    let outputs = [
        OperationOutput::Done { existed: true },
        OperationOutput::Value(None),
        OperationOutput::Value(Some(stored.clone())),
        OperationOutput::Appended { index: 7 },
    ];
    let session = SessionLeaf { low: Number::new(3), last_activity: LedgerTime(4), used: vec![2, 1] };
    let topic = TopicLeaf { length: 2, running_hash: Digest([8; 32]) };
    let committed = TransactionResult::Committed { output: OperationOutput::list_to_bytes(&outputs) };
    let review = StateKey::Review(LedgerTime(9), PublicKey([1; 32]), SessionId::new(2)).to_bytes();
    let layouts = [
        signed.transaction.signed_bytes(),
        operations.to_payload(),
        OperationOutput::list_to_bytes(&outputs),
        stored.to_bytes(),
        session.to_bytes(),
        topic.to_bytes(),
        committed.leaf_bytes(&id),
        review,
    ];
    for (tag, layout) in (0..).zip(layouts) {
        seeds.push(("layouts", format!("layout-{tag}"), tagged(tag, &layout)));
    }
}

fn written_by_people(seeds: &mut Vec<Seed>) {
    let signer = Ed25519Signer::from_seed(&[1; 32]);
    let text = public_key_to_text(&signer.public_key());
    seeds.push(("texts", "public".to_owned(), tagged(0, text.as_bytes())));
    seeds.push(("texts", "capitals".to_owned(), tagged(0, text.to_ascii_uppercase().as_bytes())));
    seeds.push(("texts", "symbols".to_owned(), tagged(1, &[7; 52])));
    seeds.push(("texts", "pem".to_owned(), tagged(2, signer.to_pem().as_bytes())));
    let genesis = genesis_file::print(&receipt::real_genesis());
    seeds.push(("genesis", "four".to_owned(), genesis.into_bytes()));
    let simulated = genesis_file::print(&member::ledger().genesis);
    seeds.push(("genesis", "small".to_owned(), simulated.into_bytes()));
    for (name, receipt) in [("json", receipt::valid_receipt()), ("json-links", receipt::linked_receipt())] {
        seeds.push(("receipt", name.to_owned(), tagged(0, receipt.to_json().as_bytes())));
    }
}

#[cfg(feature = "transport")]
fn around_sockets(seeds: &mut Vec<Seed>) {
    let (ledger, version, name) = (quorate_types::LedgerId([3; 32]), "0.1.0".to_owned(), "alice".to_owned());
    let preface = quorate_network::Preface { format: 1, ledger, version, name };
    seeds.push(("preface", "alice".to_owned(), preface.to_bytes().split_off(4)));
    seeds.push(("wire", "receipt".to_owned(), crate::transport::to_wire(receipt::valid_receipt())));
    let linked = crate::transport::to_wire(receipt::linked_receipt());
    seeds.push(("wire", "receipt-links".to_owned(), linked));
    let config = "[node]\nname = \"alice\"\ndir = \"data\"\ngenesis = \"../genesis.toml\"\nkeys = \".\"\n\
        record = \"recordings\"\nkey-passphrase-file = \"pass\"\n[api]\nlisten = \"127.0.0.1:7238\"\n\
        [peer]\nlisten = \"[::]:7238\"\n[peer.addresses]\nbob = \"10.0.0.2:7238\"\n\
        [log]\nlevel = \"debug\"\nformat = \"json\"\n[threads]\nruntime = 2\nverify = 1\n\
        [testnet]\nfault-injection = true\nslow-log-sync-ms = 5\nfail-log-sync-after = 3\n";
    seeds.push(("config", "everything".to_owned(), config.into()));
    let environment =
        format!("{config}\0QUORATE_API__LISTEN=127.0.0.1:2\nQUORATE_THREADS__VERIFY=3\nHOME=/\n");
    seeds.push(("config", "environment".to_owned(), environment.into_bytes()));
}

/// Sequences of edits and of inputs.
fn sequences(seeds: &mut Vec<Seed>) {
    let mut random = Random::new(1);
    let mut some = |first: u8, count: usize| -> Vec<u8> {
        let more = (0..count).map(|_| u8::try_from(random.below(256)).unwrap_or(0));
        std::iter::once(first).chain(more).collect()
    };
    for number in 0..6 {
        seeds.push(("receipt", format!("edits-{number}"), some(1 + number % 2, 6)));
        seeds.push(("log", format!("edits-{number}"), some(number, 10 + usize::from(number))));
        seeds.push(("store", format!("edits-{number}"), some(number % 3, 12)));
        seeds.push(("core", format!("anything-{number}"), some(number % 4, 300)));
    }
    for image in 0..7 {
        seeds.push(("log", format!("intact-{image}"), vec![image]));
    }
    for image in 0..3 {
        seeds.push(("store", format!("intact-{image}"), vec![image]));
    }
    for me in 0..4 {
        seeds.push(("core", format!("ordered-{me}"), ordered(me)));
    }
}

/// Slots that are decided, attested and checkpointed, a view change, a restart, and more slots.
fn ordered(me: u8) -> Vec<u8> {
    const SLOT: [u8; 3] = [1, 0, 9];
    const ATTEST: [u8; 4] = [5, 1, 0, 1];
    const SUBMIT: [u8; 3] = [11, 1, 0];
    const CHECKPOINT: [u8; 6] = [5, 0, 0, 0, 0, 0];
    const LEAVE: [u8; 12] = [15, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut bytes = vec![me];
    for _ in 0..2 {
        bytes.extend(SUBMIT);
        for _ in 0..5 {
            bytes.extend(SLOT);
            bytes.extend(ATTEST);
        }
        bytes.extend(CHECKPOINT);
        bytes.extend([8, 8]);
        bytes.extend(LEAVE);
        bytes.extend([14, 0]);
    }
    bytes
}

/// What once failed and must not again.
fn found_faults(seeds: &mut Vec<Seed>) {
    let mut signed = member::transaction(0, 5);
    signed.transaction.app = "a".repeat(70_000);
    seeds.push(("message", "forward-long-name".to_owned(), encode_message(&Message::Forward(vec![signed]))));
    let mut lie = encode_message(&Message::Forward(Vec::new()));
    let at = lie.len() - 4;
    lie[at..].copy_from_slice(&2_000_000u32.to_be_bytes());
    seeds.push(("message", "lying-length".to_owned(), lie.clone()));
    lie[3] = 6;
    seeds.push(("record", "lying-length".to_owned(), lie));
    let mut padded = vec![7; 52];
    padded[51] = 15;
    seeds.push(("texts", "padded".to_owned(), tagged(1, &padded)));
}
