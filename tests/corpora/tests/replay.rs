//! Replays the committed corpora, and mutations of each file from a fixed seed: what the fuzzers found stays found, and every
//! run tries a little around it.

use quorate_fuzz_targets::mutate::{Random, mutate};
use quorate_fuzz_targets::{TARGETS, seeds};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Decoders measure what the process allocates: one target at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// The files of a target's corpus, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = root().join(target);
    let entries =
        std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("a readable file")))
        .collect();
    files.sort();
    files
}

/// Runs a target, and says on which input it failed.
fn run(name: &str, of: &str, bytes: &[u8]) {
    struct Input<'a>(&'a str, &'a str, &'a [u8]);
    impl Drop for Input<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let Self(name, of, bytes) = self;
                let shown: String = bytes.iter().take(4_096).map(|byte| format!("{byte:02x}")).collect();
                eprintln!("target {name}, from {of}, {} bytes: {shown}", bytes.len());
            }
        }
    }
    let input = Input(name, of, bytes);
    let target = TARGETS.iter().find(|(other, _)| *other == name).expect("a target of this name").1;
    target(input.2);
}

/// Replays a corpus, then `total` mutations spread over its files.
fn replay(name: &str, total: usize) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let files = corpus(name);
    assert!(!files.is_empty(), "{name} has a corpus");
    for (of, bytes) in &files {
        run(name, of, bytes);
    }
    // `QUORATE_FUZZ=50` runs fifty times as many, from other seeds, for those who wait.
    let longer = std::env::var("QUORATE_FUZZ").ok().and_then(|times| times.parse().ok());
    let rounds = (total / files.len()).max(1) * longer.unwrap_or(1);
    for (number, (of, bytes)) in (0u64..).zip(&files) {
        let mut random = Random::new(number + if longer.is_some() { 1_000 } else { 0 });
        for _ in 0..rounds {
            let other = &files[random.below(files.len())].1;
            let most = (2 * bytes.len()).max(4_096);
            run(name, of, &mutate(bytes, other, &mut random, most));
        }
    }
}

macro_rules! targets {
    ($($name:ident: $mutations:literal,)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name), $mutations);
        })*
    };
}

targets! {
    message: 6_000,
    record: 6_000,
    vocabulary: 6_000,
    layouts: 20_000,
    texts: 10_000,
    genesis: 600,
    receipt: 1_500,
    log: 1_500,
    store: 100,
    core: 150,
}

#[cfg(feature = "transport")]
targets! {
    preface: 20_000,
    wire: 1_500,
    config: 2_000,
}

#[cfg(feature = "transport")]
#[test]
fn every_corpus_has_a_target() {
    let kept: BTreeSet<String> = std::fs::read_dir(root())
        .expect("the corpora")
        .map(|entry| entry.expect("a directory").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(kept, TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect());
}

/// The seeds are written by `write-seeds` and committed; they run here from the source as well, so that they stay current
/// when an encoding changes.
#[test]
fn the_seeds_hold() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let seeds = seeds::all();
    let with_seeds: BTreeSet<&str> = seeds.iter().map(|(target, _, _)| *target).collect();
    assert_eq!(with_seeds.len(), TARGETS.len(), "every target has something to begin from");
    for (target, name, bytes) in seeds {
        run(target, &name, &bytes);
    }
}

/// Small enough to be committed.
#[test]
fn corpora_are_small() {
    let mut total = 0;
    for (target, _) in TARGETS {
        let files = corpus(target);
        assert!(files.len() <= 60, "{target}: {} files", files.len());
        total += files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    }
    assert!(total < 1_500_000, "{total} bytes");
}
