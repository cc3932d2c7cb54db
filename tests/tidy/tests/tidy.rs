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
    ("client", "types crypto codec proof api"),
    ("cli", "node client proof storage ledger types crypto"),
    ("simulator", "types crypto codec pbft ledger storage engine"),
    ("bench", "types crypto codec ledger storage proof client simulator"),
    ("byz", "types crypto codec proof api network node simulator"),
    ("model", "types crypto pbft"),
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

/// A member that lies is a test, and stays one: nothing that is released knows it, can be made one by a feature that is on
/// unless told otherwise, or has anything where messages leave.
#[test]
fn no_release_can_lie() {
    let metadata = metadata();
    let byz = metadata.packages.iter().find(|package| package.name.as_str() == "quorate-byz").unwrap();
    assert!(byz.manifest_path.ends_with("tests/byz/Cargo.toml"));
    assert_eq!(byz.publish.as_deref(), Some(&[][..]), "it is never published");
    let crates = root().join("crates");
    let released: Vec<_> =
        metadata.packages.iter().filter(|package| package.manifest_path.starts_with(&crates)).collect();
    assert!(released.len() > 10);
    for package in &released {
        let knows = package.dependencies.iter().any(|other| other.name == byz.name.as_str());
        assert!(!knows, "{} knows the liar", package.name);
        assert!(!package.features.contains_key("default"), "{} has default features", package.name);
    }
    let mut files = Vec::new();
    sources(&crates, &mut files);
    for path in files.iter().filter(|path| !path.starts_with(crates.join("node/src"))) {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.display();
        assert!(
            !text.contains("quorate_node::Outgoing") && !text.contains("run_with("),
            "{name} replaces messages"
        );
    }
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
        for banned in ["todo!(", "unimplemented!(", "#[ignore]", "FIXME"] {
            assert!(!text.contains(banned), "{banned} in {name}");
        }
        // The runner of seeds tells which one panicked, and goes on.
        let runs_seeds = name.starts_with("crates/simulator/src/bin/");
        // redb panics on some damaged pages: whoever opens such a file tells what is wrong with it.
        let opens_state = name == "crates/storage/src/state.rs";
        assert!(runs_seeds || opens_state || !text.contains("catch_unwind"), "catch_unwind in {name}");
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
        let alternatives = licence.replace('/', " OR ").replace(" or ", " OR ");
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

/// The rows of `docs/known-failures.md`: a letter and how many of it, without B10, which never was.
const KNOWN_FAILURES: [(char, u32); 5] = [('A', 11), ('B', 13), ('C', 17), ('D', 11), ('E', 13)];

/// What every source of the simulator's properties and mutants says.
fn simulator_texts() -> String {
    let mut files = Vec::new();
    for directory in ["crates/simulator/src", "crates/simulator/tests"] {
        sources(&root().join(directory), &mut files);
    }
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Whether a name in backquotes is something that exists: a file, a test in a file, a way to lie, a mutant or a property.
fn exists(name: &str, simulator: &str) -> bool {
    let file = |path: &str| {
        ["", "crates"].map(|top| root().join(top).join(path)).into_iter().find(|path| path.exists())
    };
    if let Some((path, test)) = name.split_once("::") {
        let Some(path) = file(path) else { return false };
        let text = std::fs::read_to_string(path).unwrap();
        // Its attribute stands above it; property tests and the tests of an async runtime have others than plain ones.
        return text.find(&format!("fn {test}(")).is_some_and(|at| {
            text[..at].trim_end_matches("async ").lines().rev().take(3).any(|line| line.contains("test"))
        });
    }
    let is_numbered = |letter: char| {
        name.strip_prefix(letter).is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
    };
    if name.ends_with(".txt") {
        return file(&format!("tests/scenarios/{name}")).is_some();
    }
    if is_numbered('b') {
        return file(&format!("simulator/src/adversary/{name}.rs")).is_some();
    }
    file(name).is_some() || simulator.contains(&format!("\"{name}\""))
}

#[test]
fn known_failures_are_each_mapped_to_tests_that_exist() {
    let text = std::fs::read_to_string(root().join("docs/known-failures.md")).unwrap();
    let simulator = simulator_texts();
    let (head, _) = text.split_once("\n## ").unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| id |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    let expected = KNOWN_FAILURES
        .iter()
        .flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}")))
        .filter(|id| id != "B10");
    let found = rows.iter().map(|row| row[0].trim_start_matches("| ").to_owned());
    assert!(found.eq(expected), "each row once, in order");
    for row in &rows {
        let [id, _, _, test] = row[..] else { panic!("four columns: {row:?}") };
        let names: Vec<&str> = test.split('`').skip(1).step_by(2).collect();
        for name in &names {
            assert!(exists(name, &simulator), "{id}: {name} does not exist");
        }
        let excused =
            ["Does not apply", "As A7", "the same", "seeds", "the two tests", "the scenarios", "Partly"];
        let reason = excused.iter().any(|reason| test.contains(reason));
        assert!(!names.is_empty() || reason, "{id} names no test and no reason");
    }
    assert!(head.contains("tests/tidy"), "the head says what holds the map");
    assert!(
        !exists("crypto/src/checked/tests.rs::no_such_test", &simulator),
        "the check sees what is missing"
    );
    assert!(!exists("no-such-scenario.txt", &simulator) && !exists("m999", &simulator));
}
