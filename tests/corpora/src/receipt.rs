//! Receipts: nothing is accepted that says anything else than what was signed.

use crate::cursor::Cursor;
use crate::memory::bounded;
use quorate_crypto::{Ed25519Signer, MerkleTree, Signer, header_hash, members_hash, transaction_id};
use quorate_proof::{Receipt, TrustRoot};
use quorate_types::{
    BlockCertificate, CertificateKind, Digest, Epoch, FailReason, Genesis, GenesisMember, Header, LedgerId,
    LedgerTime, NamedKey, Number, Operation, Operations, Parameters, PublicKey, RegistryMode, ReplicaId, Seq,
    SessionId, Signature, SignedTransaction, Transaction, TransactionResult, VoidReason,
};
use std::sync::OnceLock;

/// A genesis of four members with real keys.
pub(crate) fn real_genesis() -> Genesis {
    let key = |seed: u8| Ed25519Signer::from_seed(&[seed; 32]).public_key();
    Genesis {
        name: "fuzzed".to_owned(),
        created: LedgerTime(1_790_000_000_123),
        app: "kv".to_owned(),
        faults: 1,
        allow_crash_only: false,
        parameters: Parameters::default(),
        members: (0..4)
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

/// The root of trust, and the two receipts of one transaction whose certificates all four members signed: of its block, and of the
/// second block above it, to which headers lead.
struct World {
    trust: TrustRoot,
    valid: Receipt,
    linked: Receipt,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let trust = TrustRoot::from_genesis(real_genesis()).expect("a good genesis");
        let valid = valid(&trust);
        let linked = linked(&trust, &valid);
        World { trust, valid, linked }
    })
}

fn signed_transaction(trust: &TrustRoot) -> SignedTransaction {
    let client = Ed25519Signer::from_seed(&[201; 32]);
    let put = Operation::Put { key: b"key".to_vec(), value: b"value".to_vec() };
    let transaction = Transaction {
        ledger: trust.ledger(),
        sender: client.public_key(),
        session: SessionId::new(3),
        number: Number::new(4),
        valid_until: LedgerTime(9),
        app: "kv".to_owned(),
        payload: Operations(vec![put]).to_payload(),
    };
    let signature = client.sign(&transaction.signed_bytes());
    SignedTransaction { transaction, signature }
}

/// The third of five transactions of block 7.
fn valid(trust: &TrustRoot) -> Receipt {
    let transaction = signed_transaction(trust);
    let id = transaction_id(&transaction.transaction);
    let result = TransactionResult::Committed { output: vec![0, 0, 0, 1, 0, 0] };
    let leaf = [&id.0[..], &transaction.signature.0].concat();
    let around = |leaf: Vec<u8>| MerkleTree::new([vec![1], vec![2], leaf, vec![3], vec![4]]);
    let (transactions, results) = (around(leaf), around(result.leaf_bytes(&id)));
    let header = Header {
        ledger: trust.ledger(),
        epoch: Epoch::ZERO,
        height: Seq::new(7),
        parent: Digest([1; 32]),
        time: LedgerTime(5),
        batch_digest: Digest([2; 32]),
        transactions_root: transactions.root(),
        results_root: results.root(),
        state_root: Digest([3; 32]),
        members_hash: members_hash(trust.members()),
        transaction_count: 5,
    };
    Receipt {
        transaction,
        transaction_path: transactions.path(2).expect("in range"),
        result,
        result_path: results.path(2).expect("in range"),
        links: Vec::new(),
        handovers: Vec::new(),
        certificate: certificate(trust, &header),
        header,
    }
}

fn linked(trust: &TrustRoot, valid: &Receipt) -> Receipt {
    let above = |below: &Header| Header {
        height: below.height.next(),
        parent: header_hash(below),
        transaction_count: 0,
        ..below.clone()
    };
    let first = above(&valid.header);
    let second = above(&first);
    let certificate = certificate(trust, &second);
    Receipt { links: vec![first, second], certificate, ..valid.clone() }
}

fn certificate(trust: &TrustRoot, header: &Header) -> BlockCertificate {
    let mut certificate = BlockCertificate {
        epoch: Epoch::ZERO,
        height: header.height,
        header: header_hash(header),
        kind: CertificateKind::Attest,
        signatures: Vec::new(),
    };
    let bytes = certificate.statement().signed_bytes(&trust.ledger(), Epoch::ZERO);
    certificate.signatures = (0u8..4)
        .map(|id| {
            let signer = Ed25519Signer::from_seed(&[id + 1; 32]);
            (ReplicaId::new(u16::from(id)), signer.sign(&bytes))
        })
        .collect();
    certificate
}

/// The valid receipt, to begin from.
pub(crate) fn valid_receipt() -> &'static Receipt {
    &world().valid
}

/// The valid receipt whose certificate is of a later block.
pub(crate) fn linked_receipt() -> &'static Receipt {
    &world().linked
}

/// A receipt: the first byte says whether the rest is its JSON or a list of edits of a valid one.
pub fn receipt(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if let Ok(receipt) = bounded(bytes, |_| Receipt::from_json(text)) {
                assert_eq!(receipt.to_json(), text, "a receipt has one text");
                judge(&receipt);
            }
        }
        kind => {
            let mut cursor = Cursor::new(bytes);
            let mut receipt = if kind == 1 { valid_receipt() } else { linked_receipt() }.clone();
            while !cursor.is_empty() {
                edit(&mut receipt, &mut cursor);
            }
            judge(&receipt);
            if let Ok(read) = Receipt::from_json(&receipt.to_json()) {
                judge(&read);
            }
        }
    }
}

/// Whatever verifies says what the valid receipt says, on the word of members who signed that.
pub(crate) fn judge(receipt: &Receipt) {
    let World { trust, valid, linked } = world();
    let Ok(verified) = receipt.verify(trust) else { return };
    let valid = if receipt.links.is_empty() { valid } else { linked };
    let same = Receipt { certificate: valid.certificate.clone(), ..receipt.clone() };
    assert_eq!(&same, valid, "a receipt that nobody signed is accepted");
    assert_eq!(verified.id, transaction_id(&valid.transaction.transaction));
    assert_eq!((verified.height, verified.index, verified.time), (Seq::new(7), 2, LedgerTime(5)));
    assert_eq!(verified.result, valid.result);
    let real = |signer: &ReplicaId| {
        let by = |certificate: &BlockCertificate| {
            certificate.signatures.iter().find(|(other, _)| other == signer).map(|(_, signature)| *signature)
        };
        by(&receipt.certificate) == by(&valid.certificate)
    };
    assert!(verified.signers.len() >= 3 && verified.signers.iter().all(real), "{:?}", verified.signers);
}

fn number(cursor: &mut Cursor<'_>, now: u64) -> u64 {
    cursor.one_of(&[0, 1, now.wrapping_add(1), now.wrapping_sub(1), 5, 7, u64::from(u32::MAX), u64::MAX])
}

fn small(cursor: &mut Cursor<'_>, now: u32) -> u32 {
    u32::try_from(number(cursor, u64::from(now)) & 0xFFFF_FFFF).expect("masked")
}

fn digest(cursor: &mut Cursor<'_>, mut now: Digest) -> Digest {
    match cursor.u8() {
        0 => Digest::ZERO,
        1 => world().valid.header.transactions_root,
        2 => world().valid.header.results_root,
        other => {
            now.0[usize::from(other) % 32] ^= 1 << (other >> 5);
            now
        }
    }
}

/// Changes one field.
fn edit(receipt: &mut Receipt, cursor: &mut Cursor<'_>) {
    let transaction = &mut receipt.transaction.transaction;
    match cursor.below(43) {
        0 => transaction.session = SessionId::new(number(cursor, transaction.session.get())),
        1 => transaction.number = Number::new(number(cursor, transaction.number.get())),
        2 => transaction.valid_until = LedgerTime(number(cursor, transaction.valid_until.0)),
        3 => transaction.app = cursor.one_of(&["kv", "", "kw"]).to_owned(),
        4 => transaction.payload = cursor.bytes(16),
        5 => transaction.sender = PublicKey(digest(cursor, Digest(transaction.sender.0)).0),
        6 => transaction.ledger = LedgerId(digest(cursor, Digest(transaction.ledger.0)).0),
        7 => receipt.transaction.signature = signature(cursor, receipt.transaction.signature),
        8 => receipt.transaction_path.index = small(cursor, receipt.transaction_path.index),
        9 => receipt.transaction_path.count = small(cursor, receipt.transaction_path.count),
        10 => siblings(cursor, &mut receipt.transaction_path.siblings),
        11 => receipt.result_path.index = small(cursor, receipt.result_path.index),
        12 => receipt.result_path.count = small(cursor, receipt.result_path.count),
        13 => siblings(cursor, &mut receipt.result_path.siblings),
        14 => receipt.result = result(cursor),
        which @ 15..=25 => edit_header(&mut receipt.header, which - 15, cursor),
        // What the header says now, without the members' word on it.
        26 => receipt.certificate.header = header_hash(receipt.links.last().unwrap_or(&receipt.header)),
        36 => drop(receipt.links.pop()),
        37 => receipt.links.push(receipt.links.last().unwrap_or(&receipt.header).clone()),
        38 => receipt.links.reverse(),
        39 => receipt.links.clear(),
        40 => receipt.links.extend(world().linked.links.clone()),
        41 | 42 if !receipt.links.is_empty() => {
            let at = cursor.below(receipt.links.len());
            edit_header(&mut receipt.links[at], cursor.below(11), cursor);
        }
        other => edit_certificate(&mut receipt.certificate, other, cursor),
    }
}

/// Changes the field of this number, of eleven.
fn edit_header(header: &mut Header, which: usize, cursor: &mut Cursor<'_>) {
    match which {
        0 => header.ledger = LedgerId(digest(cursor, Digest(header.ledger.0)).0),
        1 => header.epoch = Epoch::new(number(cursor, header.epoch.get())),
        2 => header.height = Seq::new(number(cursor, header.height.get())),
        3 => header.parent = digest(cursor, header.parent),
        4 => header.time = LedgerTime(number(cursor, header.time.0)),
        5 => header.batch_digest = digest(cursor, header.batch_digest),
        6 => header.transactions_root = digest(cursor, header.transactions_root),
        7 => header.results_root = digest(cursor, header.results_root),
        8 => header.state_root = digest(cursor, header.state_root),
        9 => header.members_hash = digest(cursor, header.members_hash),
        _ => header.transaction_count = small(cursor, header.transaction_count),
    }
}

fn edit_certificate(certificate: &mut BlockCertificate, which: usize, cursor: &mut Cursor<'_>) {
    let signatures = &mut certificate.signatures;
    match which {
        27 => certificate.epoch = Epoch::new(number(cursor, certificate.epoch.get())),
        28 => certificate.height = Seq::new(number(cursor, certificate.height.get())),
        29 => certificate.header = digest(cursor, certificate.header),
        30 => certificate.kind = cursor.one_of(&[CertificateKind::Attest, CertificateKind::Checkpoint]),
        31 if !signatures.is_empty() => drop(signatures.remove(cursor.below(signatures.len()))),
        32 if !signatures.is_empty() => {
            let (from, to) = (cursor.below(signatures.len()), cursor.below(signatures.len()));
            signatures.insert(to, signatures[from]);
        }
        33 if !signatures.is_empty() => {
            let at = cursor.below(signatures.len());
            signatures[at].0 = ReplicaId::new(cursor.one_of(&[0, 1, 2, 3, 4, u16::MAX]));
        }
        34 if !signatures.is_empty() => {
            let at = cursor.below(signatures.len());
            signatures[at].1 = signature(cursor, signatures[at].1);
        }
        _ => signatures.reverse(),
    }
}

fn signature(cursor: &mut Cursor<'_>, mut now: Signature) -> Signature {
    let at = cursor.below(64);
    now.0[at] ^= cursor.u8();
    now
}

fn siblings(cursor: &mut Cursor<'_>, siblings: &mut Vec<Digest>) {
    match cursor.below(4) {
        0 => drop(siblings.pop()),
        1 => siblings.push(digest(cursor, Digest::ZERO)),
        2 => siblings.reverse(),
        _ => {
            if !siblings.is_empty() {
                let at = cursor.below(siblings.len());
                siblings[at] = digest(cursor, siblings[at]);
            }
        }
    }
}

fn result(cursor: &mut Cursor<'_>) -> TransactionResult {
    match cursor.below(3) {
        0 => TransactionResult::Committed { output: cursor.bytes(8) },
        1 => TransactionResult::Failed {
            reason: cursor.one_of(&[FailReason::Malformed, FailReason::CasMismatch]),
            operation: u32::from(cursor.u8()),
            output: cursor.bytes(8),
        },
        _ => TransactionResult::Void { reason: VoidReason::NumberUsed },
    }
}
