//! `/metrics` of a testnet's replicas, as a scraper gets them. Shared with `tests/bench`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// `/metrics` of each replica in turn.
pub(crate) fn scrapes(net: &Path) -> impl Iterator<Item = String> {
    let testnet = std::fs::read_to_string(net.join("testnet.toml")).unwrap();
    let testnet: toml::Table = testnet.parse().unwrap();
    let nodes = testnet["node"].as_array().unwrap().clone();
    nodes.into_iter().map(|node| scrape(node["api"].as_str().unwrap()))
}

fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

/// The sum of a metric's samples whose labels contain `label`; of all of them if it is empty.
///
/// # Panics
/// If there is none.
pub(crate) fn value(text: &str, name: &str, label: &str) -> f64 {
    let of_it = |line: &&str| {
        let labels = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']));
        labels.is_some_and(|labels| labels.contains(label))
    };
    let samples: Vec<f64> = text
        .lines()
        .filter(of_it)
        .map(|line| line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a sample"))
        .collect();
    assert!(!samples.is_empty(), "no {name} with {label:?} in {text}");
    samples.iter().sum()
}

/// The same of all replicas together.
pub(crate) fn total(net: &Path, name: &str, label: &str) -> f64 {
    scrapes(net).map(|metrics| value(&metrics, name, label)).sum()
}
