//! Names the code that seeds run on: a hash of the sources of what is simulated, of the simulator, and of the versions of all
//! that they depend on. Unit tests are left out, since they change nothing that happens.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
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

/// The values of an array in one package of `Cargo.lock`, or the one of a line.
fn values<'lock>(package: &'lock str, name: &str) -> Vec<&'lock str> {
    let Some((_, after)) = package.split_once(&format!("\n{name} = ")) else { return Vec::new() };
    let end = if after.starts_with('[') { after.find(']') } else { after.find('\n') };
    after[..end.unwrap_or(after.len())].split('"').skip(1).step_by(2).collect()
}

/// The packages from elsewhere that the simulator needs, however far away: those of the workspace are told by their sources.
fn dependencies(lock: &str) -> String {
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    let named = |dependency: &str| {
        // "name", or "name version" where there are several.
        let (name, version) =
            dependency.split_once(' ').map_or((dependency, None), |(name, v)| (name, Some(v)));
        packages.iter().position(|package| {
            values(package, "name") == [name]
                && version.is_none_or(|version| values(package, "version") == [version])
        })
    };
    let mut needed = BTreeSet::new();
    let mut next: Vec<usize> = named("quorate-simulator").into_iter().collect();
    while let Some(package) = next.pop() {
        if needed.insert(package) {
            next.extend(values(packages[package], "dependencies").into_iter().filter_map(named));
        }
    }
    needed
        .into_iter()
        .map(|package| packages[package])
        .filter(|package| package.contains("\nsource = "))
        .collect()
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
