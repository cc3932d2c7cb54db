//! A replica that is put back to an old image of its disk, on the wire: what it received and what others received of it.

use crate::harness::{Net, Place, all_equal, copy, until};
use crate::recording::recordings;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;

/// A recording of each start of a member.
fn starts(net: &Net<'_>, member: usize) -> Vec<PathBuf> {
    let of_member = format!("-{member}.recording");
    let is_its = |path: &PathBuf| path.to_string_lossy().ends_with(&of_member);
    recordings(net.place).into_iter().filter(is_its).collect()
}

/// What a member received since its last start.
fn received(net: &Net<'_>, member: usize) -> Value {
    net.json(&["debug", "show", &starts(net, member).pop().unwrap().to_string_lossy()])
}

/// Where among what a member received something is from another one.
fn place_of(received: &Value, from: usize, what: &str) -> Option<usize> {
    let inputs = received["inputs"].as_array().unwrap();
    let is_it = |input: &Value| input["from"] == from && input["what"].as_str().unwrap().starts_with(what);
    inputs.iter().position(is_it)
}

/// The moments at which a statement of a signer came from it. Others may pass on what it said before.
fn said_by(received: &Value, signer: usize) -> Vec<u64> {
    let inputs = received["inputs"].as_array().unwrap();
    let by_signer = |input: &&Value| input["from"] == signer && input["statement"]["signer"] == signer;
    inputs.iter().filter(by_signer).map(|input| input["at_ms"].as_u64().unwrap()).collect()
}

/// Three of four are up. One of them left the view and told the second one alone, then was put back to before that. The third one, the
/// primary of the former view, proposes to it; who knows better is slow. It says nothing before it has heard from both, and then nothing.
#[test]
fn d6_an_old_image_says_nothing_while_who_knows_better_is_slow() {
    let mut place = Place::new(64);
    let directory = place.path("recordings");
    place.environment.push(("QUORATE_NODE__RECORD", directory));
    let net = place.testnet_with_links();
    net.json(&["kv", "put", "a", "0"]);
    until("all have executed it", || all_equal(&net));
    let primary = net.primary();
    let others: Vec<usize> = (0..4).filter(|node| *node != primary).collect();
    let [restored, slow, away] = others[..] else { panic!("four members") };
    let [one, knows, down] = [restored, slow, away].map(|node| node.to_string());
    let status = net.json(&["status"]);
    let api = |node: usize| status["nodes"][node]["api"].as_str().unwrap().to_owned();
    let view = status["nodes"][primary]["view"].as_u64().unwrap();

    net.succeed(&["testnet", "kill", &one]);
    let (data, image) = (net.dir().join(format!("node{one}/data")), place.path("image"));
    copy(&data, &image);
    net.succeed(&["testnet", "start", &one]);
    until("it votes again", || net.status().0);
    assert_eq!(net.primary(), primary, "the view is still the same");

    net.succeed(&["testnet", "kill", &down]);
    net.succeed(&["testnet", "partition", &format!("{primary}|{one},{knows}")]);
    let at_slow = api(slow);
    let undecided =
        ["-q", "--timeout", "60s", "-e", &at_slow, "--genesis", "genesis.toml", "kv", "put", "a", "1"];
    let mut undecided = net.command(&undecided).stderr(Stdio::null()).spawn().unwrap();
    let left = |node: usize| {
        let inputs = received(&net, node);
        let view_changes = inputs["inputs"].as_array().unwrap().iter().filter(|input| {
            input["statement"]["kind"] == "VIEW-CHANGE" && input["statement"]["view"].as_u64() > Some(view)
        });
        view_changes.filter(|input| input["statement"]["signer"] == restored).count() > 0
    };
    until("it has left the view, as the slow one knows", || left(slow));
    assert!(!left(primary));

    net.succeed(&["testnet", "kill", &one]);
    copy(&image, &data);
    net.succeed(&["testnet", "heal"]);
    net.succeed(&["testnet", "partition", &format!("{primary}|{knows}")]);
    net.succeed(&["testnet", "partition", &format!("{knows}>{one}")]);
    net.succeed(&["testnet", "start", &one]);
    until("it has started for the third time", || starts(&net, restored).len() == 3);
    let since = received(&net, restored)["started_ms"].as_u64().unwrap();
    until("the primary has answered it", || {
        place_of(&received(&net, restored), primary, "answer to HELLO").is_some()
    });
    let at_primary = api(primary);
    let proposed =
        ["-q", "--timeout", "60s", "-e", &at_primary, "--genesis", "genesis.toml", "kv", "put", "b", "1"];
    let mut proposed = net.command(&proposed).stderr(Stdio::null()).spawn().unwrap();
    until("it is asked for its vote", || {
        place_of(&received(&net, restored), primary, "PRE-PREPARE").is_some()
    });
    net.succeed(&["testnet", "net", &knows, "--to", &one, "--delay", "500ms"]);
    until("it knows what it forgot", || net.status().1["nodes"][restored]["state"] == "learner");

    // The three others are a quorum, and go on without it.
    net.succeed(&["testnet", "heal"]);
    net.succeed(&["testnet", "start", &down]);
    assert!(undecided.wait().unwrap().success());
    assert!(proposed.wait().unwrap().success());
    let of_restored = received(&net, restored);
    let (asked, told) =
        (place_of(&of_restored, primary, "PRE-PREPARE"), place_of(&of_restored, slow, "answer to HELLO"));
    assert!(asked.is_some() && told.is_some() && asked < told, "{asked:?} {told:?}");
    let signed = of_restored["inputs"].as_array().unwrap().iter().filter(|input| input["signed"] != 0);
    assert_eq!(signed.count(), 0, "it signed nothing");
    for node in [primary, slow] {
        let moments = said_by(&received(&net, node), restored);
        assert!(!moments.is_empty(), "what it said before came");
        assert!(
            moments.iter().all(|at| *at < since),
            "node{node} heard it at {moments:?}, started at {since}"
        );
    }
}
