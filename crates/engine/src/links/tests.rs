use super::*;

fn at(millis: u64) -> Monotonic {
    Monotonic::default().plus(Duration::from_millis(millis))
}

const PRIMARY: ReplicaId = ReplicaId::new(0);

/// Connected to the primary, whose PONGs take `rtt`.
fn links(rtt: u64) -> Links {
    let mut links = Links::default();
    links.connected(PRIMARY, true, at(0));
    for (_, ping) in links.pings(at(0), Some(PRIMARY)) {
        let Message::Notice(Notice::Ping { number }) = ping else { panic!("a PING") };
        links.pong(PRIMARY, number, at(rtt));
        links.heard(PRIMARY, at(rtt));
    }
    links
}

#[test]
fn v1_silence_counts_only_while_requests_wait() {
    let mut links = links(1);
    assert_eq!(links.silence_changed(PRIMARY, false, at(10_000)), None);
    assert_eq!(links.silence_changed(PRIMARY, true, at(10_000)), None, "watched from here on");
    assert_eq!(links.silence_changed(PRIMARY, true, at(10_120)), None);
    assert_eq!(links.silence_changed(PRIMARY, true, at(10_121)), Some(true));
    assert_eq!(links.silence_changed(PRIMARY, true, at(10_200)), None, "said once");
    links.heard(PRIMARY, at(10_201));
    assert_eq!(links.silence_changed(PRIMARY, true, at(10_202)), Some(false));
}

#[test]
fn v1_patience_grows_with_the_round_trip() {
    let mut links = links(100);
    assert_eq!(links.rtt(PRIMARY), Some(Duration::from_millis(100)));
    assert_eq!(links.silence_changed(PRIMARY, true, at(100)), None);
    assert_eq!(links.silence_changed(PRIMARY, true, at(900)), None, "eight round trips are not over");
    assert_eq!(links.silence_changed(PRIMARY, true, at(901)), Some(true));
}

#[test]
fn v1_a_new_primary_is_given_its_own_time() {
    let mut links = links(1);
    links.silence_changed(PRIMARY, true, at(1_000));
    assert_eq!(links.silence_changed(PRIMARY, true, at(2_000)), Some(true));
    let next = ReplicaId::new(1);
    assert_eq!(links.silence_changed(next, true, at(2_000)), None);
    assert_eq!(links.silence_changed(next, true, at(2_121)), Some(true), "never connected is silent too");
}

#[test]
fn pings_are_rare_unless_the_primary_is_quiet_while_requests_wait() {
    let mut links = links(1);
    let other = ReplicaId::new(3);
    links.connected(other, true, at(1));
    let pinged = |links: &mut Links, now, watched| -> Vec<ReplicaId> {
        links.pings(at(now), watched).into_iter().map(|(peer, _)| peer).collect()
    };
    assert_eq!(pinged(&mut links, 25, None), [other], "a new link is measured");
    assert_eq!(pinged(&mut links, 900, None), []);
    assert_eq!(pinged(&mut links, 900, Some(PRIMARY)), [PRIMARY], "it was not heard of late");
    assert_eq!(pinged(&mut links, 910, Some(PRIMARY)), []);
    links.heard(PRIMARY, at(920));
    assert_eq!(pinged(&mut links, 930, Some(PRIMARY)), [], "what it sends is a sign of life");
    assert_eq!(pinged(&mut links, 945, Some(PRIMARY)), [PRIMARY]);
    assert_eq!(links.next_look(false), Some(at(1_025)));
    assert_eq!(links.next_look(true), Some(at(970)), "a quiet primary is asked on time");
    assert_eq!(pinged(&mut links, 1_945, None), [PRIMARY, other]);
    links.connected(PRIMARY, false, at(2_020));
    assert_eq!(pinged(&mut links, 4_000, Some(PRIMARY)), [other]);
    assert_eq!((links.count_connected(), links.rtt(PRIMARY)), (1, None));
}

#[test]
fn v1_a_round_trip_longer_than_many_pings_is_measured() {
    let mut links = Links::default();
    links.connected(PRIMARY, true, at(0));
    // Five seconds of PINGs, each 25 ms after the one before: far more than are remembered.
    let mut numbers = Vec::new();
    for now in (0..5_000).step_by(25) {
        for (_, ping) in links.pings(at(now), Some(PRIMARY)) {
            let Message::Notice(Notice::Ping { number }) = ping else { panic!("a PING") };
            numbers.push(number);
        }
    }
    assert!(numbers.len() > 2 * UNANSWERED);
    links.pong(PRIMARY, numbers[0], at(5_000));
    assert_eq!(links.rtt(PRIMARY), Some(Duration::from_secs(5)));
}

#[test]
fn v1_who_did_not_run_itself_does_not_call_the_primary_silent() {
    let mut links = links(1);
    assert_eq!(links.silence_changed(PRIMARY, true, at(1_000)), None);
    links.pings(at(1_000), Some(PRIMARY));
    // Its next look is due after 25 ms, and comes after 400.
    assert_eq!(links.pings(at(1_400), Some(PRIMARY)).len(), 1, "the primary is asked");
    assert_eq!(links.silence_changed(PRIMARY, true, at(1_400)), None);
    for look in [1_425, 1_450, 1_475, 1_500, 1_520] {
        links.pings(at(look), Some(PRIMARY));
        assert_eq!(links.silence_changed(PRIMARY, true, at(look)), None);
    }
    links.pings(at(1_545), Some(PRIMARY));
    assert_eq!(links.silence_changed(PRIMARY, true, at(1_545)), Some(true), "it had its time to answer");
}
