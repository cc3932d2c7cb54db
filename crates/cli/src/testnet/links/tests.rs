use super::*;

fn decide(rule: Rule, packets: usize, bytes: usize) -> (Vec<Fate>, Counts) {
    let mut direction = Direction { rule, ..Direction::default() };
    let mut random = fastrand::Rng::with_seed(7);
    let now = Instant::now();
    let fates = (0..packets).map(|_| direction.decide(now, bytes, &mut random)).collect();
    (fates, direction.counts)
}

#[test]
fn nothing_happens_to_packets_of_a_link_without_a_rule() {
    let (fates, counts) = decide(Rule::default(), 100, 1_200);
    assert!(fates.iter().all(|fate| *fate == Fate::Passes { after: Duration::ZERO, twice: false }));
    assert_eq!(counts, Counts { passed: 100, ..Counts::default() });
}

#[test]
fn packets_are_lost_and_doubled_in_their_share() {
    let rule = Rule { loss_percent: 10.0, duplicate_percent: 20.0, ..Rule::default() };
    let (_, counts) = decide(rule, 10_000, 1_200);
    assert!((800..1_200).contains(&counts.lost), "{counts:?}");
    assert!((1_500..2_100).contains(&counts.doubled), "{counts:?}");
    assert_eq!(decide(Rule { cut: true, ..Rule::default() }, 50, 1).1.lost, 50);
}

#[test]
fn delays_differ_by_the_jitter() {
    let rule = Rule { delay_ms: 50, jitter_ms: 10, ..Rule::default() };
    let (fates, counts) = decide(rule, 1_000, 1_200);
    let delays: Vec<Duration> = fates
        .into_iter()
        .map(|fate| match fate {
            Fate::Passes { after, .. } => after,
            Fate::Lost => panic!("none is lost"),
        })
        .collect();
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!(*least >= Duration::from_millis(50) && *most <= Duration::from_millis(60));
    assert!(*most - *least > Duration::from_millis(5), "some overtake others");
    assert_eq!(counts.held, 1_000);
}

/// A thousand bytes a second: each packet waits for those before it, and what would wait too long is lost.
#[test]
fn a_slow_link_queues_and_then_loses() {
    let (fates, counts) = decide(Rule { rate: 1_000, ..Rule::default() }, 10, 200);
    let expected =
        [200, 400, 600].map(|millis| Fate::Passes { after: Duration::from_millis(millis), twice: false });
    assert_eq!(fates[..3], expected);
    assert!(fates[3..].iter().all(|fate| *fate == Fate::Lost));
    assert_eq!((counts.passed, counts.lost), (3, 7));
}

/// Two sockets that talk through a link: both directions, each by its own rule.
#[tokio::test]
async fn packets_go_both_ways_and_each_by_its_own_rule() {
    let (dialler, dialled) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let place = |socket: &UdpSocket, name: &str| crate::testnet::layout::Place {
        name: name.to_owned(),
        api: socket.local_addr().unwrap(),
        peer: socket.local_addr().unwrap(),
    };
    let testnet = Testnet {
        format: 1,
        name: "two".to_owned(),
        ledger: String::new(),
        node: vec![place(&dialler, "node0"), place(&dialled, "node1")],
    };
    let links = Links::start(&testnet).await.unwrap();
    let (name, value) = links.environment(0);
    assert_eq!(name, "QUORATE_PEER__ADDRESSES");
    let through = links.addresses[&(0, 1)];
    assert_eq!(value, format!("{{ node1 = \"{through}\" }}"));
    assert_eq!(links.environment(1).1, "{  }");

    let mut buffer = [0; 16];
    dialler.send_to(b"there", through).await.unwrap();
    let (bytes, proxy) = dialled.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..bytes], b"there");
    dialled.send_to(b"back", proxy).await.unwrap();
    let (bytes, from) = dialler.recv_from(&mut buffer).await.unwrap();
    assert_eq!((&buffer[..bytes], from), (&b"back"[..], through));

    links.set(&[(1, 0)], Rule { cut: true, ..Rule::default() }).unwrap();
    dialler.send_to(b"still there", through).await.unwrap();
    let (bytes, _) = dialled.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..bytes], b"still there");
    dialled.send_to(b"lost", proxy).await.unwrap();
    while links.states().iter().all(|link| link.counts.lost == 0) {
        tokio::task::yield_now().await;
    }
    links.heal();
    dialled.send_to(b"healed", proxy).await.unwrap();
    let (bytes, _) = dialler.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..bytes], b"healed");
    assert!(links.set(&[(0, 7)], Rule::default()).is_err());
}
