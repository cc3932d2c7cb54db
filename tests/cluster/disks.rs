//! A replica whose files were damaged while it was down: it mends itself, or says which file keeps it from starting, and never says what
//! contradicts its word. The others go on all the while.

use crate::by_hand::Nodes;
use crate::harness::{Net, Place, copy, until};
use crate::judge::trust;
use crate::load::Load;
use quorate_crypto::sha256;
use quorate_types::LedgerId;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const CHECKPOINT_EVERY: u64 = 16;

/// What becomes of a replica that is started.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// It votes as before.
    Votes,
    /// It follows without a word.
    Follows,
    /// It did not start, with this exit code and message.
    Refused(i32, String),
}

/// What is done to a file of which so many bytes count.
type Damage = fn(&Path, usize);

/// How much of a numbered file of the store are whole frames (docs/formats.md): those of the log are longer from the start, and may end with
/// what they held under another number.
fn framed(bytes: &[u8], ledger: LedgerId, file: u64) -> usize {
    let mut end = 0;
    while let Some(head) = bytes.get(end..end + 12) {
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        let Some(frame) = bytes.get(end..end + 12 + length + 16).filter(|_| length > 0) else { break };
        let (said, checksum) = frame.split_at(12 + length);
        let place = [file.to_be_bytes(), (end as u64).to_be_bytes()].concat();
        let bound = [&b"quorate/frame/v1\0"[..], &ledger.0, &place, said].concat();
        if sha256(&bound).0[..16] != *checksum {
            break;
        }
        end += frame.len();
    }
    end
}

/// How many bytes of a file count.
fn counted(file: &Path, ledger: LedgerId) -> usize {
    let bytes = std::fs::read(file).unwrap();
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    match name.parse() {
        Ok(_) if file.extension().is_some_and(|kind| kind == "handover") => bytes.len(),
        Ok(number) => framed(&bytes, ledger, number),
        Err(_) => bytes.len(),
    }
}

fn flip_at(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 0x40;
    std::fs::write(file, bytes).unwrap();
}

fn flip_early(file: &Path, length: usize) {
    flip_at(file, length.min(80) / 2);
}

fn flip_in_the_middle(file: &Path, length: usize) {
    flip_at(file, length / 2);
}

fn halve(file: &Path, length: usize) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..length / 2]).unwrap();
}

fn empty(file: &Path, _: usize) {
    std::fs::write(file, []).unwrap();
}

fn remove(file: &Path, _: usize) {
    std::fs::remove_file(file).unwrap();
}

const DAMAGES: [(&str, Damage); 5] = [
    ("a bit near its beginning flipped", flip_early),
    ("a bit in its middle flipped", flip_in_the_middle),
    ("cut in half", halve),
    ("empty", empty),
    ("missing", remove),
];

/// The numbered files of a directory, the newest last.
fn numbered(directory: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let numbered = |path: &PathBuf| {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        stem.parse::<u64>().is_ok()
    };
    let mut files: Vec<PathBuf> = files.filter(numbered).collect();
    files.sort();
    files
}

fn newest(directory: &Path) -> PathBuf {
    numbered(directory).pop().unwrap()
}

/// As an operator stops it: what is under way is finished.
fn stop(child: &mut Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Starts node2 and tells what becomes of it.
fn fate(net: &Net<'_>) -> Fate {
    let log = net.dir().join("node2/log");
    let file = std::fs::File::create(&log).unwrap();
    let command = ["-o", "json", "node", "run", "--dir", "node2"];
    let mut nodes = Nodes(vec![net.command(&command).stderr(file).stdout(Stdio::null()).spawn().unwrap()]);
    let begin = Instant::now();
    let mut voting_from = None;
    loop {
        if let Some(ended) = nodes.0[0].try_wait().unwrap() {
            let said = std::fs::read_to_string(&log).unwrap();
            let error = said.lines().rev().find(|line| line.starts_with('{')).unwrap_or_default().to_owned();
            return Fate::Refused(ended.code().unwrap_or(-1), error);
        }
        let output = net.run(&["-o", "json", "-q", "node", "status", "--dir", "node2"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        match status["nodes"][0]["state"].as_str() {
            Some("normal") => {
                let stable = status["nodes"][0]["stable"].as_u64().unwrap();
                let from = *voting_from.get_or_insert(stable);
                // The next state is stored by then, and the one before it for certain.
                if stable > from + 2 * CHECKPOINT_EVERY {
                    stop(&mut nodes.0[0]);
                    return Fate::Votes;
                }
            }
            Some("learner") => return Fate::Follows,
            _ => assert!(begin.elapsed() < Duration::from_secs(60), "{status}"),
        }
    }
}

#[test]
fn every_damaged_file_is_mended_or_named() {
    let place = Place::new(57);
    let net = place.testnet(&["--checkpoint-every", &CHECKPOINT_EVERY.to_string()]);
    let load = Load::start(&net, 2);
    load.progress(200);
    let rotated = ["--timeout", "60s", "member", "rotate", "--dir", "node0", "--key", "keys/operator.pem"];
    until("keys change", || net.run(&rotated).status.success());
    until("the next epoch", || net.json(&["member", "list"])["epoch"] == 1);
    load.progress(400);
    net.succeed(&["testnet", "kill", "2"]);
    let (data, image) = (net.dir().join("node2/data"), net.place.path("image"));
    copy(&data, &image);
    // What cannot be mended comes first: whoever votes meanwhile must not be put back to an older image.
    let files: [(&str, &dyn Fn() -> PathBuf); 6] = [
        ("META.toml", &|| data.join("META.toml")),
        ("a handover", &|| newest(&data.join("handovers"))),
        ("the log", &|| newest(&data.join("wal"))),
        ("the state", &|| data.join("state.redb")),
        ("the blocks", &|| newest(&data.join("blocks"))),
        ("the state without all blocks", &|| data.join("state.redb")),
    ];
    let ledger = trust(&net.dir()).ledger();
    // Killed while the log was being compacted, it has the old one still: whole, whatever becomes of the new one.
    let mut between_two_logs = numbered(&image.join("wal")).len() > 1;
    let mut told = Vec::new();
    for (name, file) in files {
        for (what, damage) in DAMAGES {
            copy(&image, &data);
            let file = file();
            damage(&file, counted(&file, ledger));
            let old_log_left = name == "the log" && between_two_logs;
            let fate = fate(&net);
            told.push(format!("{name} {what}: {fate:?}"));
            match (name, &fate) {
                // Whoever cannot know what it said does not speak.
                ("META.toml", Fate::Refused(9 | 74, said)) => assert!(said.contains("node2/data"), "{said}"),
                ("a handover", Fate::Refused(74, said)) => {
                    assert!(said.contains("handovers/0000000000000000.handover"), "{said}");
                }
                ("the log", Fate::Refused(74, said)) => {
                    assert!(said.contains("segment") || said.contains("the log"), "{said}");
                }
                ("the log", Fate::Follows) => {}
                // A log that ends early says no more than a torn one. Its peers tell it what it said (D6); if that is all at or below a
                // checkpoint that they have proven, nobody votes on it any more, and it goes on from there.
                ("the log", Fate::Votes)
                    if old_log_left || what == "cut in half" || what.contains("middle") =>
                {
                    copy(&data, &image);
                    between_two_logs = numbered(&image.join("wal")).len() > 1;
                }
                // From the state, or by executing all blocks again.
                ("the blocks" | "the state" | "the state without all blocks", Fate::Votes) => {
                    copy(&data, &image)
                }
                ("the state without all blocks", Fate::Refused(74, said)) => {
                    assert!(said.contains("state"), "{said}");
                }
                (name, fate) => panic!("{name} {what}: {fate:?}\n{}", told.join("\n")),
            }
        }
    }
    println!("{}", told.join("\n"));
    // Nobody saw it contradict itself, and with its own files it votes again.
    for node in [0, 1, 3] {
        let said = std::fs::read_to_string(net.dir().join(format!("node{node}/node.log"))).unwrap();
        assert!(!said.contains("evidence_found"), "node{node}");
    }
    load.progress(50);
    load.stop();
}
