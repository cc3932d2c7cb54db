//! Every file of `tests/scenarios` at the top of the repository: a script, and what it led to when it was recorded.

use std::path::PathBuf;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios")
}

#[test]
fn every_scenario_does_what_was_recorded() {
    let rewrite = std::env::var_os("QUORATE_REWRITE").is_some();
    let mut failures = Vec::new();
    let mut count = 0;
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "txt")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let recorded = std::fs::read_to_string(path).unwrap();
        count += 1;
        match quorate_simulator::scenario::run(&recorded) {
            Ok(now) if now == recorded => {}
            Ok(now) if rewrite => std::fs::write(path, now).unwrap(),
            Ok(now) => failures.push(format!("{name}:\n{}", first_difference(&recorded, &now))),
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(count >= 20, "only {count} scenarios were found");
}

fn first_difference(recorded: &str, now: &str) -> String {
    let (recorded, now): (Vec<&str>, Vec<&str>) = (recorded.lines().collect(), now.lines().collect());
    let at = (0..).find(|at| recorded.get(*at) != now.get(*at)).unwrap();
    format!("line {}: recorded {:?}, now {:?}", at + 1, recorded.get(at), now.get(at))
}
