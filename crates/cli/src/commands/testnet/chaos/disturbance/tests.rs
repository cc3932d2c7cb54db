use super::*;
use crate::testnet::control::NodeState;
use crate::testnet::links::{Counts, LinkState};
use std::collections::BTreeSet;

#[test]
fn a_seed_draws_the_same_and_in_time_everything() {
    let draw = |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..100).map(|_| Disturbance::draw(1, 4, &mut random)).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    let kinds: BTreeSet<&str> = draw(7).iter().map(|one| one.kind.name()).collect();
    assert_eq!(kinds.len(), Kind::ALL.len());
    for disturbance in draw(7) {
        assert!(
            disturbance.directions.iter().all(|(from, to)| (*from == 1) != (*to == 1)),
            "{disturbance:?}"
        );
        assert_eq!(disturbance.begin().len(), disturbance.end().len());
    }
}

fn reply(state: &str, lost: u64) -> Reply {
    let node = NodeState {
        name: String::new(),
        state: state.to_owned(),
        pid: None,
        since_ms: 0,
        ended: String::new(),
    };
    let link = |from, to| LinkState {
        from,
        to,
        rule: Rule::default(),
        counts: Counts { lost, ..Counts::default() },
    };
    Reply { error: None, nodes: vec![node.clone(), node], links: vec![link(0, 1), link(1, 0)] }
}

#[test]
fn what_changed_nothing_had_no_effect() {
    let killed = Disturbance { node: 1, kind: Kind::Killed, rule: Rule::default(), directions: Vec::new() };
    assert!(killed.effect(&reply("running", 0), &reply("down", 0)).1);
    assert!(!killed.effect(&reply("running", 0), &reply("running", 0)).1);
    let mute = Disturbance { node: 1, kind: Kind::Mute, rule: Rule::default(), directions: vec![(1, 0)] };
    assert_eq!(
        mute.effect(&reply("running", 5), &reply("running", 9)),
        ("4 packets were lost".to_owned(), true)
    );
    assert!(!mute.effect(&reply("running", 5), &reply("running", 5)).1);
}
