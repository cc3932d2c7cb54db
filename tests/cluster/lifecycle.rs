//! `dev` from the first commit to the last trace.

use crate::harness::{Place, appears, children, is_alive, until};
use std::process::{Child, Stdio};

fn dev(place: &Place, address: &str) -> Child {
    let ready = place.path("ready");
    let mut child = place
        .command(&["dev", "--port", "0", "--address", address, "--ready-file", ready.to_str().unwrap()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    appears(&ready, &mut child);
    child
}

fn signal(pid: u32, name: &str) {
    let sent =
        std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn dev_is_four_processes_that_end_with_it_and_leave_no_file() {
    for (name, address) in [("INT", "127.77.1.2"), ("TERM", "127.77.1.3")] {
        let place = Place::new(1);
        let mut child = dev(&place, address);
        let replicas = children(child.id());
        assert_eq!(replicas.len(), 4, "four child processes");
        let committed = place.succeed(&["-o", "json", "kv", "put", "hello", "world"]);
        assert!(committed.contains("\"outcome\": \"committed\""), "{committed}");
        signal(child.id(), name);
        child.wait().unwrap();
        assert!(replicas.iter().all(|pid| !is_alive(*pid)), "a replica outlives dev after {name}");
        let left = std::fs::read_dir(place.path("home/.cache/quorate")).unwrap().count();
        assert_eq!(left, 0, "{name} leaves files");
    }
}

#[test]
fn a_killed_supervisor_takes_its_replicas_along_and_the_next_dev_cleans_up() {
    let place = Place::new(2);
    let mut child = dev(&place, "127.77.2.2");
    let replicas = children(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    until("replicas end", || replicas.iter().all(|pid| !is_alive(*pid)));
    let cache = place.path("home/.cache/quorate");
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1, "nobody was there to remove it");
    until("what is left is old enough to be removed by the next", || {
        let output = place.run(&["dev", "--port", "0", "--address", "127.77.2.3", "--", "true"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_dir(&cache).unwrap().count() == 0
    });
}

#[test]
fn dev_runs_a_command_and_returns_its_exit_code() {
    let place = Place::new(3);
    let quorate = env!("CARGO_BIN_EXE_quorate");
    let arguments = ["dev", "--port", "0", "--address", "127.77.3.2", "--"];
    let put = place.run(&[&arguments[..], &[quorate, "kv", "put", "a", "b"]].concat());
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
    let missing = place.run(&[&arguments[..], &[quorate, "kv", "get", "missing"]].concat());
    assert_eq!(missing.status.code(), Some(3));
}
