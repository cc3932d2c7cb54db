use super::*;
use crate::keys::Ed25519Signer;
use crate::signer::Signer;
use quorate_types::{PublicKey, Signature};

/// The eight points of small order and the six further encodings of them that ZIP-215 accepts.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn vectors() -> Vec<Claim> {
    let points: Vec<[u8; 32]> = SMALL_ORDER
        .iter()
        .map(|text| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes).expect("hex");
            bytes
        })
        .collect();
    let mut claims = Vec::new();
    for key in &points {
        for r in &points {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            let message = b"Zcash".to_vec();
            let (key, signature) = (PublicKey(*key), Signature(signature));
            claims.push(Claim { key, message, signature, rule: Rule::Zip215 });
        }
    }
    claims
}

#[test]
fn the_196_zip215_vectors_are_valid_single_and_in_a_batch() {
    let claims = vectors();
    assert_eq!(claims.len(), 196);
    assert!(claims.iter().all(verify_zip215));
    assert!(verify_batch(&claims.iter().collect::<Vec<_>>()));
    let strict = claims.iter().filter(|claim| verify_strict(claim, &mut BTreeMap::new())).count();
    assert_eq!(strict, 0, "strict RFC 8032 accepts no key of small order");
}

#[test]
fn one_bad_signature_in_a_batch_is_found_and_the_others_stand() {
    let key = Ed25519Signer::from_seed(&[1; 32]);
    let mut claims: Vec<Claim> = (0..20u8)
        .map(|number| Claim {
            key: key.public_key(),
            message: vec![number],
            signature: key.sign(&[number]),
            rule: if number % 5 == 0 { Rule::Strict } else { Rule::Zip215 },
        })
        .collect();
    assert!(Ed25519Verifier.verify(&claims).iter().all(|valid| *valid));
    claims[3].signature.0[40] ^= 1;
    claims[5].message = vec![99];
    let verdicts = Ed25519Verifier.verify(&claims);
    let bad: Vec<usize> = (0..20).filter(|at| !verdicts[*at]).collect();
    assert_eq!(bad, vec![3, 5]);
}

/// Signatures mixed from honest and small-order parts: single and batch verification must agree on every one.
#[test]
fn single_and_batch_agree_on_crafted_signatures() {
    let mut claims = vectors();
    for (at, claim) in claims.iter_mut().enumerate() {
        claim.signature.0[32] = u8::try_from(at % 3).expect("small");
        claim.message = vec![u8::try_from(at).expect("under 256")];
    }
    for pair in claims.chunks(2) {
        let single = pair.iter().all(verify_zip215);
        assert_eq!(verify_batch(&pair.iter().collect::<Vec<_>>()), single);
    }
}
