//! A signature scheme that costs nothing: a checksum of the signer's public key and the bytes. It goes through the same door
//! as the real one, `verify_all`.

use quorate_crypto::{Claim, Signer, Verifier, sha256};
use quorate_types::{
    Epoch, LedgerId, LedgerTime, Member, Members, Number, Parameters, PublicKey, ReplicaId, SessionId,
    Signature, SignedStatement, SignedTransaction, Statement, Transaction,
};

/// How many replicas there are: n = 4, f = 1.
pub(crate) const N: u16 = 4;

const LEDGER: LedgerId = LedgerId([7; 32]);

/// The key of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(PublicKey);

/// Two lanes of FNV-1a over words, each begun with half of the key. Nobody here looks for collisions.
fn tag(key: &PublicKey, bytes: &[u8]) -> Signature {
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_be_bytes(word)
    };
    let mut lanes = [word(&key.0[..8]), word(&key.0[8..16]) ^ bytes.len() as u64];
    for chunk in bytes.chunks(8) {
        let next = word(chunk);
        lanes[0] = (lanes[0] ^ next).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        lanes[1] = (lanes[1].rotate_left(17) ^ next).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    let mut signature = [0; 64];
    signature[..8].copy_from_slice(&lanes[0].to_be_bytes());
    signature[8..16].copy_from_slice(&lanes[1].to_be_bytes());
    Signature(signature)
}

impl Signer for Key {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        tag(&self.0, bytes)
    }
}

/// Checks signatures of [`Key`].
pub(crate) struct FakeVerifier;

impl Verifier for FakeVerifier {
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        claims.iter().map(|claim| tag(&claim.key, &claim.message) == claim.signature).collect()
    }
}

/// The key that a member votes with.
pub(crate) fn key(member: ReplicaId) -> Key {
    Key(PublicKey(sha256(&[b"vote", &member.get().to_be_bytes()[..]].concat()).0))
}

/// The four members.
pub(crate) fn members() -> Members {
    let member = |id: ReplicaId| Member {
        name: id.get().to_string(),
        vote: key(id).0,
        transport: PublicKey(sha256(&[b"transport", &id.get().to_be_bytes()[..]].concat()).0),
        store: None,
    };
    Members::new(LEDGER, Epoch::ZERO, 1, ReplicaId::all(N).map(member).collect()).expect("3f+1 members")
}

/// One transaction in a batch, so that a primary that takes over proposes slot by slot.
pub(crate) fn parameters(checkpoint_every: u64) -> Parameters {
    Parameters {
        checkpoint_every,
        window: 2 * checkpoint_every,
        depth: 2,
        block_max_transactions: 1,
        ..Parameters::default()
    }
}

/// The transaction that some client wants in a slot.
pub(crate) fn transaction(number: u64) -> SignedTransaction {
    let sender = PublicKey([9; 32]);
    let transaction = Transaction {
        ledger: LEDGER,
        sender,
        session: SessionId::new(1),
        number: Number::new(number),
        valid_until: LedgerTime(u64::MAX),
        app: "kv".into(),
        payload: Vec::new(),
    };
    let signature = tag(&sender, &transaction.signed_bytes());
    SignedTransaction { transaction, signature }
}

/// A statement under a member's key.
pub(crate) fn sign(signer: ReplicaId, statement: Statement) -> SignedStatement {
    let signature = key(signer).sign(&statement.signed_bytes(&LEDGER, Epoch::ZERO));
    SignedStatement { epoch: Epoch::ZERO, signer, statement, signature }
}
