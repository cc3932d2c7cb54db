use super::*;

fn at(millis: u64) -> Monotonic {
    Monotonic::default().plus(Duration::from_millis(millis))
}

const PRIMARY: ReplicaId = ReplicaId::new(0);

/// Connected to the primary, whose PONGs take `rtt`.
fn links(rtt: u64) -> Links {
    let mut links = Links::default();
    links.connected(PRIMARY, true, at(0));
    for (_, ping) in links.pings(at(0), true) {
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
fn pings_are_rare_when_idle_and_at_once_when_busy() {
    let mut links = links(1);
    assert_eq!(links.pings(at(25), false).len(), 1);
    assert!(links.pings(at(900), false).is_empty());
    assert_eq!(links.pings(at(900), true).len(), 1, "the next idle one is too far away now");
    assert!(links.pings(at(910), true).is_empty());
    links.connected(PRIMARY, false, at(1_020));
    assert!(links.pings(at(2_000), true).is_empty());
    assert_eq!((links.count_connected(), links.rtt(PRIMARY)), (0, None));
}
