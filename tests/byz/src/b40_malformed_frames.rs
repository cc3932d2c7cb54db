//! 40: bytes that are almost a message: with something behind them, cut short, with tags that mean nothing, lists out of
//! order, and signatures that were made over without the key.

use crate::outgoing::FrameLie;
use quorate_codec::encode_message;
use quorate_simulator::Random;
use quorate_types::{Message, Notice, Signature, SignedStatement};

/// The order of the Ed25519 group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Messages that are made worse, of a thousand.
const CHANCE: u64 = 200;

pub(crate) struct MalformedFrames;

/// The signature with the group's order added to its scalar: the same equation, another encoding. Every rule refuses it.
pub(crate) fn malleated(signature: &Signature) -> Signature {
    let mut bytes = signature.0;
    let mut carry = 0;
    for (byte, added) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(added) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    Signature(bytes)
}

/// Of a signature by a point of small order: the neutral element and a zero scalar.
const NEUTRAL: Signature = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    Signature(bytes)
};

/// Every way to make this message worse; none of them may be taken for a message of the signer.
pub(crate) fn worse(message: &Message, honest: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = vec![Vec::new(), [honest, &[0]].concat(), honest[..honest.len() - 1].to_vec()];
    let mut no_kind = honest.to_vec();
    no_kind[0] = 0xff;
    frames.push(no_kind);
    match message {
        Message::Vote(vote) => {
            for signature in [malleated(&vote.signature), NEUTRAL] {
                let vote = SignedStatement { signature, ..vote.clone() };
                frames.push(encode_message(&Message::Vote(vote)));
            }
        }
        Message::CommitCertificate(certificate) => {
            let mut certificate = certificate.clone();
            certificate.commits.reverse();
            frames.push(encode_message(&Message::CommitCertificate(certificate)));
        }
        Message::BlockCertificate(certificate) => {
            let mut certificate = certificate.clone();
            certificate.signatures.reverse();
            frames.push(encode_message(&Message::BlockCertificate(certificate)));
        }
        // Behind the two kinds, epoch and view: whether it is active, then whether it suspects.
        Message::Notice(Notice::Status(_)) => {
            for (place, byte) in [(24, 2), (25, 7)] {
                let mut neither = honest.to_vec();
                neither[place] = byte;
                frames.push(neither);
            }
        }
        _ => {}
    }
    frames
}

impl FrameLie for MalformedFrames {
    fn way(&self) -> u16 {
        40
    }

    fn beside(&mut self, random: &mut Random, message: &Message, honest: &[u8]) -> Vec<Vec<u8>> {
        if !random.permille(CHANCE) {
            return Vec::new();
        }
        let mut all = worse(message, honest);
        vec![all.swap_remove(random.index(all.len()))]
    }
}

#[cfg(test)]
mod tests;
