//! What the crates around the sockets decode: the transport's first frame, receipts in protobuf, the node's configuration.

use crate::decoders::canonical;
use crate::memory::bounded;
use crate::receipt::judge;
use prost::Message;
use quorate_api::{receipt_from, receipt_to, v1};
use quorate_network::Preface;
use quorate_node::FileConfig;
use quorate_proof::Receipt;
use std::path::Path;

/// The body of a transport's first frame; the length before it is the transport's to read.
pub fn preface(bytes: &[u8]) {
    canonical(bytes, Preface::from_bytes, |preface| preface.to_bytes().split_off(4));
}

/// A receipt as the API sends it.
pub fn wire(bytes: &[u8]) {
    let read = |bytes: &[u8]| v1::Receipt::decode(bytes).ok().and_then(|wire| receipt_from(wire).ok());
    let Some(receipt) = bounded(bytes, read) else { return };
    assert_eq!(read(&to_wire(&receipt)).as_ref(), Some(&receipt), "what is sent is what is received");
    judge(&receipt);
}

/// The bytes of a receipt as the API sends it.
pub(crate) fn to_wire(receipt: &Receipt) -> Vec<u8> {
    receipt_to(receipt).encode_to_vec()
}

/// A configuration file; after a zero byte, lines `NAME=value` of the environment.
pub fn config(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default());
    let (Ok(file), Ok(environment)) = (text(), text()) else { return };
    let variables = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let read = || FileConfig::from_text(Path::new("node/quorate.toml"), file, variables.clone());
    let first = read();
    if let Err(error) = &first {
        assert!(!error.to_string().is_empty(), "a refusal says why");
    }
    assert_eq!(first.ok(), read().ok(), "the same text is the same configuration");
}
