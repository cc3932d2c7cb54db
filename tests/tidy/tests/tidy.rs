//! The house rules that no compiler holds: who may know whom, what is banned where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const PURE: &[&str] = &["types", "crypto", "codec", "pbft", "ledger", "engine", "proof", "simulator"];

/// The table of ARCHITECTURE.md.
const EDGES: &[(&str, &str)] = &[
    ("types", ""),
    ("crypto", "types"),
    ("codec", "types"),
    ("pbft", "types crypto"),
    ("ledger", "types crypto"),
    ("storage", "types crypto codec pbft ledger"),
    ("engine", "types crypto pbft ledger proof"),
    ("proof", "types crypto"),
    ("api", "types crypto proof"),
    ("network", "types crypto"),
    ("node", "types crypto codec pbft ledger storage engine proof api network"),
    ("client", "types crypto proof api"),
    ("cli", "node client proof storage ledger types crypto"),
    ("simulator", "types crypto codec pbft ledger storage engine"),
    ("fuzz-targets", "types crypto codec pbft ledger storage engine proof api network node"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata() -> cargo_metadata::Metadata {
    cargo_metadata::MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap()
}

#[test]
fn crates_know_only_whom_they_may() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        EDGES.iter().map(|(name, others)| (*name, others.split_whitespace().collect())).collect();
    let metadata = metadata();
    let mut seen = 0;
    for package in metadata.packages.iter().filter(|package| package.name.as_str() != "quorate-tidy") {
        let name = package.name.strip_prefix("quorate-").unwrap_or("cli");
        let may = allowed.get(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        seen += 1;
        for dependency in &package.dependencies {
            let normal = dependency.kind == cargo_metadata::DependencyKind::Normal;
            if let Some(other) = dependency.name.strip_prefix("quorate-").filter(|_| normal) {
                assert!(may.contains(other), "{name} may not know {other}");
            }
            let runtime = ["tokio", "quinn", "tonic", "axum", "rustls"].contains(&dependency.name.as_str());
            assert!(!(runtime && PURE.contains(&name)), "{name} may not know {}", dependency.name);
        }
    }
    assert_eq!(seen, EDGES.len(), "every crate of the table exists");
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nothing_banned_is_in_the_sources() {
    let mut files = Vec::new();
    for crate_dir in std::fs::read_dir(root().join("crates")).unwrap().flatten() {
        sources(&crate_dir.path().join("src"), &mut files);
    }
    assert!(files.len() > 100);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        for banned in ["catch_unwind", "todo!(", "unimplemented!(", "#[ignore]", "FIXME"] {
            assert!(!text.contains(banned), "{banned} in {name}");
        }
        let crate_name = name.split('/').nth(1).unwrap_or_default();
        if PURE.contains(&crate_name) && !name.contains("/tests") && !name.contains("/bin/") {
            for banned in ["std::thread::", "std::net::", "Instant::now", "SystemTime::now"] {
                assert!(!text.contains(banned), "{banned} in {name}");
            }
        }
        let lines = text.lines().count();
        assert!(lines <= 600, "{name} has {lines} lines: it has outgrown its name");
    }
}

#[test]
fn dependencies_are_of_licences_that_we_may_use() {
    let metadata =
        cargo_metadata::MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().unwrap();
    let ours = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Unlicense",
        "Zlib",
        "0BSD",
        "CC0-1.0",
        "Unicode-3.0",
        "BSL-1.0",
        "MIT-0",
        "CDLA-Permissive-2.0",
    ];
    for package in &metadata.packages {
        let Some(licence) = &package.license else { continue };
        let alternatives = licence.replace('/', " OR ");
        let usable = alternatives.split(" OR ").any(|choice| {
            choice.split(" AND ").all(|part| {
                let part = part.trim().trim_matches(|c| c == '(' || c == ')');
                ours.contains(&part) || part.starts_with("Apache-2.0 WITH") || part == "MPL-2.0"
            })
        });
        assert!(usable, "{}: {licence}", package.name);
    }
}

/// Versions below these have known faults.
#[test]
fn the_lock_file_keeps_minimum_versions() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("name = \"")
            && let Some(version) = lines.next().and_then(|line| line.strip_prefix("version = \""))
        {
            versions.entry(name.trim_end_matches('"')).or_default().push(version.trim_end_matches('"'));
        }
    }
    let parts =
        |version: &str| -> Vec<u64> { version.split('.').map_while(|part| part.parse().ok()).collect() };
    for (name, least) in [
        ("quinn-proto", "0.11.15"),
        ("bytes", "1.11.1"),
        ("crossbeam-channel", "0.5.15"),
        ("tracing-subscriber", "0.3.20"),
    ] {
        let found = versions.get(name).unwrap_or_else(|| panic!("{name} is not in Cargo.lock"));
        assert!(
            found.iter().all(|version| parts(version) >= parts(least)),
            "{name}: {found:?}, at least {least}"
        );
    }
}

/// The systemd unit, with a program that exists everywhere in the place of ours. Skipped with a note where systemd is not.
#[test]
fn systemd_accepts_the_unit() {
    let unit = std::fs::read_to_string(root().join("deploy/systemd/quorate@.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/quorate node run --dir"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("quorate@alice.service");
    std::fs::write(&path, unit.replace("/usr/local/bin/quorate", "/bin/true")).unwrap();
    let verify =
        std::process::Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
    match verify {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let about_us: Vec<&str> = said.lines().filter(|line| line.contains("quorate")).collect();
            assert!(output.status.success() && about_us.is_empty(), "{said}");
        }
        Err(error) => eprintln!("systemd-analyze is not here ({error}): not checked"),
    }
}
