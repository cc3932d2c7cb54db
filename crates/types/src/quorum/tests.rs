use super::*;

/// Q2's table, and every (n, f) up to n = 100 by brute force over the definition.
#[test]
fn q2_strong_quorum_is_the_smallest_safe_one_for_every_n_and_f() {
    for n in 1..=100u16 {
        for f in 0..=(n - 1) / 3 {
            let quorums = Quorums::declared(n, f).expect("f is at most (n-1)/3");
            let smallest = (1..=n).find(|q| 2 * q > n + f).expect("n is large enough");
            assert_eq!(quorums.strong(), usize::from(smallest), "n={n} f={f}");
        }
    }
    for (n, q) in [(4, 3), (5, 4), (6, 4), (7, 5), (8, 6), (9, 6), (10, 7), (13, 9), (31, 21), (100, 67)] {
        assert_eq!(Quorums::new(n).expect("legal").strong(), q, "n={n}");
    }
}

/// Q3: w ≤ u ≤ n − f, and without a blocking set no quorum is left.
#[test]
fn q3_weak_and_blocking_sets() {
    for n in 1..=100u16 {
        for f in 0..=(n - 1) / 3 {
            let quorums = Quorums::declared(n, f).expect("legal");
            assert!(quorums.weak() <= quorums.blocking() || f == 0 && n == 1, "n={n} f={f}");
            assert!(quorums.blocking() <= usize::from(n - f));
            assert!(usize::from(n) - quorums.blocking() < quorums.strong());
            assert!(usize::from(n) - (quorums.blocking() - 1) >= quorums.strong());
        }
    }
}

#[test]
fn q6_majority_clusters_are_crash_only() {
    let three = Quorums::new(3).expect("legal");
    assert!(three.is_crash_only());
    assert_eq!((three.strong(), three.crashes()), (2, 1));
    assert_eq!(Quorums::declared(5, 0).expect("legal").strong(), 3);
}

#[test]
fn impossible_clusters_are_refused_with_the_reason() {
    assert_eq!(Quorums::new(0), Err(QuorumError::NoMembers));
    assert_eq!(Quorums::declared(6, 2), Err(QuorumError::TooManyFaults { n: 6, f: 2, most: 1 }));
    assert_eq!(Quorums::new(101), Err(QuorumError::TooManyMembers { n: 101 }));
}
