//! The functions that every transaction passes through, by themselves: what a profile of a node points at, under a glass.

use quorate_codec::{Caps, decode_message, encode_message};
use quorate_crypto::{
    Cache, Ed25519Signer, Ed25519Verifier, HashedBatch, Signer, Verified, genesis_ledger_id, verify_all,
};
use quorate_ledger::{Machine, built_in_applications};
use quorate_storage::index::{Index, IndexEntry, number_key};
use quorate_types::{
    Batch, Genesis, GenesisMember, LedgerId, LedgerTime, Members, Message, Number, Operation, Operations,
    Parameters, PublicKey, RegistryMode, Seq, SessionId, Signature, SignedTransaction, Transaction,
    operation,
};
use std::sync::Arc;

/// Transactions in a block, as 256 clients make them.
pub(crate) const BLOCK: usize = 64;
/// Keys that sign, each with sixteen sessions.
const SIGNERS: u8 = 16;
const CREATED: u64 = 1_000_000;

fn signer(number: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[number; 32])
}

fn genesis() -> Genesis {
    let member = |id: u8| GenesisMember {
        name: format!("r{id}"),
        vote: signer(100 + id).public_key(),
        transport: signer(200 + id).public_key(),
        peer: String::new(),
        api: String::new(),
    };
    Genesis {
        name: "bench".to_owned(),
        created: LedgerTime(CREATED),
        app: operation::APP.to_owned(),
        faults: 1,
        allow_crash_only: false,
        parameters: Parameters::default(),
        members: (0..4).map(member).collect(),
        clients: Vec::new(),
        operators: Vec::new(),
        approvals: 1,
        registry: RegistryMode::Open,
    }
}

/// A client that puts values of 128 bytes under its own keys, from each of its sessions in turn.
struct Load {
    genesis: Genesis,
    ledger: LedgerId,
    keys: Vec<PublicKey>,
    made: u64,
}

impl Load {
    fn new() -> Self {
        let keys = (0..SIGNERS).map(|number| signer(number).public_key()).collect();
        let genesis = genesis();
        Self { ledger: genesis_ledger_id(&genesis), genesis, keys, made: 0 }
    }

    /// The next transaction, not signed.
    fn next(&mut self, key: u64) -> Transaction {
        let (sender, session) = (self.made % u64::from(SIGNERS), self.made / u64::from(SIGNERS) % 16);
        let number = self.made / (u64::from(SIGNERS) * 16);
        self.made += 1;
        let put = Operation::Put { key: format!("bench/{key:08}").into_bytes(), value: vec![7; 128] };
        Transaction {
            ledger: self.ledger,
            sender: self.keys[usize::try_from(sender).expect("few")],
            session: SessionId::new(session),
            number: Number::new(number),
            valid_until: LedgerTime(CREATED + 1_000),
            app: operation::APP.to_owned(),
            payload: Operations(vec![put]).to_payload(),
        }
    }

    fn batch(&mut self, mut key: impl FnMut() -> u64) -> Arc<HashedBatch> {
        let unsigned = |transaction| SignedTransaction { transaction, signature: Signature([0; 64]) };
        let transactions = (0..BLOCK).map(|_| unsigned(self.next(key()))).collect();
        Arc::new(HashedBatch::new(Arc::new(Batch { time: LedgerTime(CREATED), transactions })))
    }
}

/// A machine with a state of some keys, and blocks that overwrite keys far apart.
pub(crate) struct Executing {
    machine: Machine,
    blocks: Vec<Arc<HashedBatch>>,
}

impl Executing {
    pub(crate) fn with(keys: u64, blocks: usize) -> Self {
        let mut load = Load::new();
        let mut machine = Machine::genesis(&load.genesis, built_in_applications()).expect("a legal genesis");
        let mut key = 0;
        while key < keys {
            let batch = load.batch(|| {
                key += 1;
                key
            });
            let seq = machine.height().next();
            machine.execute(seq, Some(batch));
            machine.committed(seq);
        }
        let mut place = 0;
        let blocks = (0..blocks)
            .map(|_| {
                load.batch(|| {
                    place = (place + 7_919) % keys;
                    place
                })
            })
            .collect();
        Self { machine, blocks }
    }

    /// Executes all blocks; what a block changed is forgotten 128 blocks later, as if it were durable.
    pub(crate) fn run(mut self) -> Self {
        for batch in std::mem::take(&mut self.blocks) {
            let seq = self.machine.height().next();
            self.machine.execute(seq, Some(batch));
            if seq.get().is_multiple_of(128) {
                self.machine.committed(seq);
            }
        }
        self
    }
}

/// Signed transactions.
pub(crate) struct Verifying {
    members: Members,
    signed: Vec<SignedTransaction>,
}

impl Verifying {
    pub(crate) fn of(transactions: usize) -> Self {
        let mut load = Load::new();
        let signed = (0..transactions)
            .map(|number| {
                let transaction = load.next(number as u64);
                let number = u8::try_from(number % usize::from(SIGNERS)).expect("few");
                let signature = signer(number).sign(&transaction.signed_bytes());
                SignedTransaction { transaction, signature }
            })
            .collect();
        let members = load.genesis.members_of_epoch_0(load.ledger).expect("a legal genesis");
        Self { members, signed }
    }

    /// Checks all of them in one batch.
    ///
    /// # Panics
    /// If one is refused.
    pub(crate) fn run(&self) -> usize {
        let checked = verify_all(&self.members, &Ed25519Verifier, &Cache::new(1_024), self.signed.clone());
        let checked: Vec<Verified<_>> = checked.into_iter().map(|one| one.expect("it is signed")).collect();
        checked.len()
    }
}

/// The transactions of a block as a message.
pub(crate) struct Encoding {
    message: Message,
    caps: Caps,
}

impl Encoding {
    pub(crate) fn new() -> Self {
        let mut load = Load::new();
        let members = load.genesis.members_of_epoch_0(load.ledger).expect("a legal genesis");
        let caps = Caps::new(&members, &load.genesis.parameters);
        Self { message: Message::Body(load.batch(|| 1).batch().clone()), caps }
    }

    /// To bytes and back.
    ///
    /// # Panics
    /// If the bytes do not read back.
    pub(crate) fn run(&self) -> Message {
        decode_message(&encode_message(&self.message), &self.caps).expect("it was just encoded")
    }
}

/// What a block adds to the indexes in memory.
pub(crate) fn index_entries() -> Vec<IndexEntry> {
    let batch = Load::new().batch(|| 1);
    (0..)
        .zip(batch.transactions())
        .map(|(index, (id, signed))| {
            let transaction = &signed.transaction;
            let number = number_key(&transaction.sender, transaction.session, transaction.number);
            IndexEntry { height: Seq::new(1), index, id, number, appended: Vec::new() }
        })
        .collect()
}

pub(crate) fn indexed(entries: Vec<IndexEntry>) -> Index {
    let mut index = Index::default();
    index.add(Seq::new(1), entries);
    index
}
