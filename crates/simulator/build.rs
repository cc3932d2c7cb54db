//! Names the code that seeds run on: a hash of the sources of what is simulated, of the simulator, and of the versions of all
//! that they depend on. Unit tests are left out, since they change nothing that happens.

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const CRATES: [&str; 9] =
    ["types", "crypto", "codec", "pbft", "ledger", "storage", "engine", "proof", "simulator"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if path.is_dir() {
            if !["tests", "bin"].iter().any(|name| path.ends_with(name)) {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The packages that come from elsewhere: those of the workspace are told by their sources.
fn dependencies(lock: &str) -> String {
    lock.split("[[package]]").filter(|package| package.contains("\nsource = ")).collect()
}

fn main() {
    let root = Path::new("../..");
    let mut files = Vec::new();
    for name in CRATES {
        let directory = root.join("crates").join(name).join("src");
        println!("cargo:rerun-if-changed={}", directory.display());
        sources(&directory, &mut files);
    }
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    files.sort();
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(dependencies(&lock));
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        hash.update(file.to_string_lossy().as_bytes());
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    let code: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=QUORATE_CODE={code}");
}
