use super::*;
use crate::{Cache, Ed25519Signer, Ed25519Verifier, Signer, Verified, verify_one};
use quorate_types::StatePart as Part;
use quorate_types::{Block, LedgerId, LedgerTime, Member, Seq, View};

const LEDGER: LedgerId = LedgerId([7; 32]);

fn signer(id: u16) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[u8::try_from(id).expect("small") + 1; 32])
}

fn members() -> Members {
    let member = |id: u16| Member {
        name: format!("node{id}"),
        vote: signer(id).public_key(),
        transport: Ed25519Signer::from_seed(&[u8::try_from(id).expect("small") + 51; 32]).public_key(),
        store: None,
    };
    Members::new(LEDGER, Epoch::ZERO, 1, (0..4).map(member).collect()).expect("legal")
}

fn header(height: u64, parent: Digest) -> Header {
    Header {
        ledger: LEDGER,
        epoch: Epoch::ZERO,
        height: Seq::new(height),
        parent,
        time: LedgerTime(height),
        batch_digest: null_batch_digest(),
        transactions_root: Digest([1; 32]),
        results_root: Digest([2; 32]),
        state_root: Digest([3; 32]),
        members_hash: Digest([4; 32]),
        transaction_count: 0,
    }
}

fn certificate(header: &Header) -> BlockCertificate {
    let mut certificate = BlockCertificate {
        epoch: Epoch::ZERO,
        height: header.height,
        header: header_hash(header),
        kind: CertificateKind::Checkpoint,
        signatures: Vec::new(),
    };
    let bytes = certificate.statement().signed_bytes(&LEDGER, Epoch::ZERO);
    certificate.signatures = (0..3).map(|id| (ReplicaId::new(id), signer(id).sign(&bytes))).collect();
    certificate
}

/// Block 5, which only the certificate of block 8 proves.
fn linked() -> CertifiedBlock {
    let first = header(5, Digest([9; 32]));
    let mut links: Vec<Header> = Vec::new();
    for height in 6..=8 {
        links.push(header(height, header_hash(links.last().unwrap_or(&first))));
    }
    let certificate = certificate(&links[2]);
    CertifiedBlock { block: Block { header: first, batch: None }, links, certificate }
}

fn verified(block: CertifiedBlock) -> Result<Verified<CheckedMessage>, Malformed> {
    verify_one(&members(), &Ed25519Verifier, &Cache::new(16), Message::Block(Arc::new(block)))
}

#[test]
fn m8_headers_link_a_block_to_a_later_certificate() {
    let block = linked();
    let checked = verified(block.clone()).expect("three links and a certificate").into_inner();
    let CheckedMessage::Block(checked) = checked else { panic!("a block stays a block") };
    assert_eq!(checked.own_certificate(), None);
    assert_eq!(checked.header_hash, header_hash(&block.block.header));
    assert_eq!(checked.to_certified_block(), block);
    let own = header(5, Digest([9; 32]));
    let alone = CertifiedBlock { links: Vec::new(), certificate: certificate(&own), ..block };
    let CheckedMessage::Block(checked) = verified(alone).expect("its own certificate").into_inner() else {
        panic!("a block stays a block")
    };
    assert_eq!(checked.own_certificate().map(|certificate| certificate.height), Some(Seq::new(5)));
}

#[test]
fn m8_a_chain_of_headers_with_anything_changed_proves_nothing() {
    type Change = fn(&mut CertifiedBlock);
    let changes: [(&str, Change); 11] = [
        ("no links", |block| block.links.clear()),
        ("the first link missing", |block| block.links = block.links.split_off(1)),
        ("the last link missing", |block| block.links.truncate(2)),
        ("two links swapped", |block| block.links.swap(0, 1)),
        ("a link twice", |block| block.links.insert(1, block.links[1].clone())),
        ("a link's root", |block| block.links[1].state_root = Digest([0; 32])),
        ("a link's parent", |block| block.links[0].parent = Digest([0; 32])),
        ("a link's ledger", |block| block.links[2].ledger = LedgerId([8; 32])),
        ("the block's time", |block| block.block.header.time = LedgerTime(77)),
        ("the certificate's height", |block| block.certificate.height = Seq::new(5)),
        ("a signature", |block| block.certificate.signatures[0].1.0[3] ^= 1),
    ];
    for (what, change) in changes {
        let mut block = linked();
        change(&mut block);
        assert!(verified(block).is_err(), "{what}");
    }
    let mut long = linked();
    let most = usize::try_from(limits::MAX_LINKS).expect("small");
    long.links = vec![long.links[0].clone(); most + 1];
    assert_eq!(verified(long), Err(Malformed::BadList));
}

fn signed_by(signer_id: u16, statement: Statement) -> SignedStatement {
    let signature = signer(signer_id).sign(&statement.signed_bytes(&LEDGER, Epoch::ZERO));
    SignedStatement { epoch: Epoch::ZERO, signer: ReplicaId::new(signer_id), statement, signature }
}

fn accepted(message: Message) -> bool {
    verify_one(&members(), &Ed25519Verifier, &Cache::new(16), message).is_ok()
}

const D: Digest = Digest([5; 32]);

fn pre_prepare(view: u64, seq: u64, digest: Digest) -> Statement {
    Statement::PrePrepare { view: View::new(view), seq: Seq::new(seq), digest }
}

fn prepare(view: u64, seq: u64, digest: Digest) -> Statement {
    Statement::Prepare { view: View::new(view), seq: Seq::new(seq), digest }
}

fn commit(view: u64, seq: u64, digest: Digest) -> Statement {
    Statement::Commit { view: View::new(view), seq: Seq::new(seq), digest }
}

/// A signature that a member made, beside its name.
fn signature_of(by: u16, statement: Statement) -> (ReplicaId, Signature) {
    (ReplicaId::new(by), signed_by(by, statement).signature)
}

#[test]
fn m3_a_vote_in_the_name_of_another_member_is_refused() {
    let header = D;
    let votes = [
        prepare(0, 1, D),
        commit(0, 1, D),
        Statement::Attest { seq: Seq::new(1), header },
        Statement::Checkpoint { seq: Seq::new(1), header },
    ];
    for statement in votes {
        let honest = signed_by(3, statement.clone());
        assert!(accepted(Message::Vote(honest.clone())), "{statement:?}");
        for other in [0, 1, 2, 4, u16::MAX] {
            let forged = SignedStatement { signer: ReplicaId::new(other), ..honest.clone() };
            assert!(!accepted(Message::Vote(forged)), "{statement:?} of 3 as one of {other}");
        }
        let elsewhere = SignedStatement { epoch: Epoch::new(1), ..honest };
        assert!(!accepted(Message::Vote(elsewhere)), "{statement:?} of another epoch");
    }
}

/// Every signature of a certificate is for its one view, slot and digest: votes for anything else complete none.
#[test]
fn m3_a_commit_certificate_of_votes_that_differ_proves_nothing() {
    let of = |commits: Vec<(ReplicaId, Signature)>| {
        let (view, seq) = (View::new(2), Seq::new(7));
        Message::CommitCertificate(CommitCertificate { epoch: Epoch::ZERO, view, seq, digest: D, commits })
    };
    let good = |by| signature_of(by, commit(2, 7, D));
    assert!(accepted(of(vec![good(0), good(1), good(2)])));
    for (what, odd) in [
        ("of another slot", signature_of(2, commit(2, 8, D))),
        ("of another view", signature_of(2, commit(1, 7, D))),
        ("of another digest", signature_of(2, commit(2, 7, Digest([6; 32])))),
        ("that is a PREPARE", signature_of(2, prepare(2, 7, D))),
        ("of another member", (ReplicaId::new(2), good(3).1)),
        ("of who is no member", (ReplicaId::new(4), good(3).1)),
        ("given twice", good(1)),
    ] {
        assert!(!accepted(of(vec![good(0), good(1), odd])), "a COMMIT {what}");
    }
    assert!(!accepted(of(vec![good(0), good(1)])), "too few");
    assert!(!accepted(of(vec![good(1), good(0), good(2)])), "not sorted");
}

/// Slot 7, prepared in view 1 of primary 1.
fn prepared() -> PreparedCertificate {
    PreparedCertificate {
        epoch: Epoch::ZERO,
        view: View::new(1),
        seq: Seq::new(7),
        digest: D,
        proposal: signed_by(1, pre_prepare(1, 7, D)).signature,
        prepares: vec![signature_of(2, prepare(1, 7, D)), signature_of(3, prepare(1, 7, D))],
    }
}

fn view_change(base_proof: BaseProof, prepared: Vec<PreparedCertificate>) -> ViewChange {
    let statement = Statement::ViewChange {
        view: View::new(2),
        base: base_proof.base(),
        base_proof: base_proof_digest(&base_proof),
        prepared: prepared_set_digest(&prepared),
    };
    ViewChange { statement: signed_by(3, statement), base_proof, prepared }
}

#[test]
fn n5_a_prepared_certificate_of_votes_that_differ_proves_nothing() {
    type Change = fn(&mut PreparedCertificate);
    let says = |entry: PreparedCertificate| {
        accepted(Message::ViewChange(Arc::new(view_change(BaseProof::Genesis, vec![entry]))))
    };
    assert!(says(prepared()));
    let changes: [(&str, Change); 10] = [
        ("its view", |entry| entry.view = View::new(5)),
        ("its slot", |entry| entry.seq = Seq::new(8)),
        ("its digest", |entry| entry.digest = Digest([6; 32])),
        ("its epoch", |entry| entry.epoch = Epoch::new(1)),
        ("a proposal by another", |entry| entry.proposal = signed_by(0, pre_prepare(1, 7, D)).signature),
        ("a PREPARE of another slot", |entry| entry.prepares[1] = signature_of(3, prepare(1, 8, D))),
        ("a PREPARE of another view", |entry| entry.prepares[1] = signature_of(3, prepare(0, 7, D))),
        ("the primary's own PREPARE", |entry| entry.prepares[0] = signature_of(1, prepare(1, 7, D))),
        ("one PREPARE twice", |entry| entry.prepares[1] = entry.prepares[0]),
        ("one PREPARE less", |entry| entry.prepares.truncate(1)),
    ];
    for (what, change) in changes {
        let mut entry = prepared();
        change(&mut entry);
        assert!(!says(entry), "{what}");
    }
}

/// M3: what a statement binds by a digest is hashed again by whoever reads it.
#[test]
fn m3_what_a_statement_binds_by_a_digest_is_hashed_again() {
    let proof = BaseProof::Checkpoint(certificate(&header(4, Digest([9; 32]))));
    let honest = view_change(proof.clone(), vec![prepared()]);
    assert!(accepted(Message::ViewChange(Arc::new(honest.clone()))));
    let others = [
        ("P without its entry", ViewChange { prepared: Vec::new(), ..honest.clone() }),
        ("P with an entry twice", ViewChange { prepared: vec![prepared(), prepared()], ..honest.clone() }),
        ("C of the genesis", ViewChange { base_proof: BaseProof::Genesis, ..honest.clone() }),
        ("another view", {
            let mut other = honest.clone();
            if let Statement::ViewChange { view, .. } = &mut other.statement.statement {
                *view = View::new(3);
            }
            other
        }),
        ("a base above its proof", {
            let mut statement = honest.statement.statement.clone();
            if let Statement::ViewChange { base, .. } = &mut statement {
                *base = Seq::new(8);
            }
            ViewChange { statement: signed_by(3, statement), ..honest }
        }),
    ];
    for (what, other) in others {
        assert!(!accepted(Message::ViewChange(Arc::new(other))), "{what}");
    }
    let batch = |time| Arc::new(Batch { time: LedgerTime(time), transactions: Vec::new() });
    let digest = HashedBatch::new(batch(1)).digest();
    let proposal = |batch| Proposal { pre_prepare: signed_by(0, pre_prepare(0, 1, digest)), batch };
    assert!(accepted(Message::Proposal(proposal(batch(1)))));
    assert!(!accepted(Message::Proposal(proposal(batch(2)))), "another body than the digest's");
}

#[test]
fn m3_a_new_view_with_any_field_changed_is_refused() {
    type Change = fn(&mut Statement);
    let statement = Statement::NewView {
        view: View::new(2),
        chosen: (1..4).map(|sender| (ReplicaId::new(sender), D)).collect(),
        min: Seq::new(4),
        proposals: vec![D, null_batch_digest()],
    };
    let signatures = |digests: [Digest; 2]| -> Vec<Signature> {
        (5..).zip(digests).map(|(seq, digest)| signed_by(2, pre_prepare(2, seq, digest)).signature).collect()
    };
    let honest = NewView {
        statement: signed_by(2, statement),
        proposals: signatures([D, null_batch_digest()]),
        view_changes: Vec::new(),
    };
    assert!(accepted(Message::NewView(Arc::new(honest.clone()))));
    let changes: [(&str, Change); 5] = [
        ("its view", |statement| {
            if let Statement::NewView { view, .. } = statement {
                *view = View::new(6);
            }
        }),
        ("a sender", |statement| {
            if let Statement::NewView { chosen, .. } = statement {
                chosen[2] = chosen[1];
            }
        }),
        ("its base", |statement| {
            if let Statement::NewView { min, .. } = statement {
                *min = Seq::new(3);
            }
        }),
        ("a digest of O", |statement| {
            if let Statement::NewView { proposals, .. } = statement {
                proposals[1] = D;
            }
        }),
        ("a slot more", |statement| {
            if let Statement::NewView { proposals, .. } = statement {
                proposals.push(D);
            }
        }),
    ];
    for (what, change) in changes {
        let mut other = honest.clone();
        change(&mut other.statement.statement);
        assert!(!accepted(Message::NewView(Arc::new(other))), "{what}");
    }
    // A slot of O is signed by the primary for that slot, not for another one.
    let swapped = NewView { proposals: signatures([null_batch_digest(), D]), ..honest };
    assert!(!accepted(Message::NewView(Arc::new(swapped))), "the PREPAREs of O would prove nothing");
}

/// E1: an application's name that no layout can hold is refused, whoever forwards it.
#[test]
fn a_name_without_a_layout_is_refused_before_it_is_hashed() {
    let transaction = quorate_types::Transaction {
        ledger: LEDGER,
        sender: signer(0).public_key(),
        session: quorate_types::SessionId::new(1),
        number: quorate_types::Number::ZERO,
        valid_until: LedgerTime(9),
        app: "a".repeat(70_000),
        payload: Vec::new(),
    };
    let signed = SignedTransaction { transaction, signature: Signature([0; 64]) };
    let (members, cache) = (members(), Cache::new(8));
    let forward = verify_one(&members, &Ed25519Verifier, &cache, Message::Forward(vec![signed.clone()]));
    assert_eq!(forward.err(), Some(Malformed::TooLarge));
    let submitted = verify_one(&members, &Ed25519Verifier, &cache, signed);
    assert_eq!(submitted.err(), Some(Malformed::TooLarge));
}

/// Seed 7353: a liar gave the state with which the epoch began, and with it a certificate that nobody could check any more.
#[test]
fn t2_the_certificate_of_the_state_with_which_an_epoch_begins_is_the_known_one() {
    let parts = vec![Part::Empty];
    let header = Header { state_root: root_of(&parts).expect("one part"), ..header(8, Digest([9; 32])) };
    let closing = certificate(&header);
    let seats = members().iter().map(|(_, member)| member.clone()).collect();
    let later = Members::new(LEDGER, Epoch::new(1), 1, seats).expect("legal").opened_after(Seq::new(8));
    let lie = BlockCertificate { signatures: Vec::new(), ..closing.clone() };
    let given = || {
        Message::StateParts(Box::new(StateParts {
            header: header.clone(),
            certificate: lie.clone(),
            parts: parts.clone(),
        }))
    };
    let checked = |members: &Members| verify_one(members, &Ed25519Verifier, &Cache::new(8), given());
    assert!(checked(&later).is_err(), "of an epoch whose keys are not known");
    let known = checked(&later.opened_with(closing.clone())).expect("the block is proven");
    let CheckedMessage::StateParts(state) = known.into_inner() else { panic!("a state") };
    assert_eq!(state.certificate, closing);
}
