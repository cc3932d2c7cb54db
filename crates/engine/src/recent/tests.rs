use super::*;
use quorate_crypto::HashedBatch;
use quorate_ledger::{Machine, built_in_applications};
use quorate_types::{
    Batch, CertificateKind, Digest, Genesis, GenesisMember, LedgerTime, NamedKey, Operation, Operations,
    Parameters, RegistryMode, Signature, SignedTransaction, Transaction,
};

const CREATED: u64 = 1_000_000;

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn genesis() -> Genesis {
    let member = |id: u8| GenesisMember {
        name: format!("node{id}"),
        vote: key(10 + id),
        transport: key(20 + id),
        peer: String::new(),
        api: String::new(),
    };
    Genesis {
        name: "test".to_owned(),
        created: LedgerTime(CREATED),
        app: "kv".to_owned(),
        faults: 1,
        allow_crash_only: false,
        parameters: Parameters::default(),
        members: (0..4).map(member).collect(),
        clients: vec![NamedKey { name: "client".to_owned(), key: key(1) }],
        operators: Vec::new(),
        approvals: 1,
        registry: RegistryMode::Closed,
    }
}

/// Blocks of a real machine; execution checks no signature.
struct Chain {
    machine: Machine,
    ledger: quorate_types::LedgerId,
}

impl Chain {
    fn new() -> Self {
        let genesis = genesis();
        let ledger = quorate_crypto::genesis_ledger_id(&genesis);
        Self { machine: Machine::genesis(&genesis, built_in_applications()).unwrap(), ledger }
    }

    fn put(&self, sender: u8, number: u64) -> SignedTransaction {
        let put = Operation::Put { key: vec![sender], value: number.to_be_bytes().to_vec() };
        SignedTransaction {
            transaction: Transaction {
                ledger: self.ledger,
                sender: key(sender),
                session: SessionId::new(1),
                number: Number::new(number),
                valid_until: LedgerTime(CREATED + 10_000),
                app: "kv".to_owned(),
                payload: Operations(vec![put]).to_payload(),
            },
            signature: Signature([0; 64]),
        }
    }

    fn block(&mut self, transactions: Vec<SignedTransaction>) -> Arc<SealedBlock> {
        let height = self.machine.height().next();
        let batch = Batch { time: LedgerTime(CREATED + height.get()), transactions };
        self.machine.execute(height, Some(Arc::new(HashedBatch::new(Arc::new(batch))))).sealed.clone()
    }
}

fn certificate(height: Seq) -> BlockCertificate {
    BlockCertificate {
        epoch: quorate_types::Epoch::ZERO,
        height,
        header: Digest::ZERO,
        kind: CertificateKind::Attest,
        signatures: Vec::new(),
    }
}

fn id(signed: &SignedTransaction) -> TransactionId {
    quorate_crypto::transaction_id(&signed.transaction)
}

#[test]
fn c3_an_outcome_is_final_only_with_its_certificate() {
    let (mut chain, mut recent) = (Chain::new(), Recent::default());
    let put = chain.put(1, 0);
    let block = chain.block(vec![put.clone()]);
    recent.certify(certificate(block.header.height));
    assert!(recent.by_id(&id(&put)).is_none(), "a certificate without its block is nothing");
    recent.add(block.clone());
    assert!(matches!(recent.by_id(&id(&put)), Some(None)), "executed, not certified");
    recent.certify(certificate(block.header.height));
    let outcome = recent.by_id(&id(&put)).flatten().expect("certified");
    assert_eq!((outcome.index, outcome.block.header.height), (0, block.header.height));
    let number = (key(1), SessionId::new(1), Number::ZERO);
    assert_eq!(recent.by_number(&number).flatten().expect("by its number").id, id(&put));
    assert_eq!(recent.places_in(block.header.height).len(), 1);
}

#[test]
fn f4_a_void_inclusion_is_no_outcome_and_hides_none() {
    let (mut chain, mut recent) = (Chain::new(), Recent::default());
    let stranger = chain.put(9, 0);
    recent.add(chain.block(vec![stranger.clone()]));
    recent.certify(certificate(Seq::new(1)));
    assert!(recent.by_id(&id(&stranger)).is_none());
    assert!(recent.places_in(Seq::new(1)).is_empty());
}

/// A number above the session's window is void in block 1 and has its outcome in block 3.
#[test]
fn what_is_forgotten_with_an_old_block_is_only_what_stands_there() {
    let (mut chain, mut recent) = (Chain::new(), Recent::default());
    let far = chain.put(1, u64::from(Parameters::default().session_window));
    let near = chain.put(1, 0);
    for transactions in [vec![far.clone()], vec![near.clone()], vec![far.clone()]] {
        recent.add(chain.block(transactions));
    }
    assert_eq!(recent.by_id[&id(&far)], (Seq::new(3), 0));
    for _ in 3..limits::RECENT_BLOCKS + 1 {
        recent.add(chain.block(Vec::new()));
    }
    assert_eq!(*recent.blocks.first_key_value().unwrap().0, Seq::new(2), "block 1 is forgotten");
    assert!(recent.by_id(&id(&far)).is_some() && recent.by_id(&id(&near)).is_some());
    recent.add(chain.block(Vec::new()));
    recent.add(chain.block(Vec::new()));
    assert!(recent.by_id.is_empty() && recent.by_number.is_empty());
    assert_eq!(recent.blocks.len(), limits::RECENT_BLOCKS);
}

#[test]
fn m8_a_later_certificate_proves_what_has_none_of_its_own() {
    let (mut chain, mut recent) = (Chain::new(), Recent::default());
    let put = chain.put(1, 0);
    let lost = chain.block(vec![put.clone()]);
    recent.add(lost.clone());
    for _ in 0..3 {
        recent.add(chain.block(Vec::new()));
    }
    recent.certify(certificate(Seq::new(4)));
    assert_eq!(recent.uncertified_below(Seq::new(4)), [3, 2, 1].map(Seq::new));
    let outcome = recent.by_id(&id(&put)).flatten().expect("proven");
    assert_eq!(outcome.certificate.height, Seq::new(4));
    assert_eq!(outcome.links.iter().map(|link| link.height.get()).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(outcome.links[0].parent, lost.header_hash);
    assert_eq!(recent.outcome(Seq::new(1), 0, id(&put)).expect("proven").links, outcome.links);
    recent.certify(certificate(Seq::new(1)));
    assert!(recent.by_id(&id(&put)).flatten().expect("certified").links.is_empty(), "its own is shorter");
    assert_eq!(recent.uncertified_below(Seq::new(4)), [3, 2].map(Seq::new));
}
