use super::*;

fn total(seeds: u64, report: &Report) -> Total {
    let mut total = Total::default();
    for _ in 0..seeds {
        total.add(report.clone());
    }
    total
}

#[test]
fn tame_seeds_are_told_from_wild_ones() {
    let tame = Report { height: 99, ..Report::default() };
    assert!(total(999, &tame).shortfalls().is_empty(), "too few to say");
    let missing = total(1_000, &tame).shortfalls();
    for what in ["blocks", "with a view change", "with a Byzantine member", "inside a view change"] {
        assert!(missing.iter().any(|line| line.contains(what)), "{what}: {missing:?}");
    }
    let probes = quorate_types::probes::ALL.iter().map(|name| (*name, 1)).collect();
    let (view_changes, crashes_in_view_changes, liars) = (1, 1, 1);
    let wild =
        Report { height: 100, view_changes, crashes_in_view_changes, liars, probes, ..Report::default() };
    assert_eq!(total(1_000, &wild).shortfalls(), [""; 0]);
}

#[test]
fn a_result_replaces_the_one_before_it() {
    let path = std::env::temp_dir().join(format!("quorate-campaign-{}.md", std::process::id()));
    std::fs::write(&path, "a\n<!-- begin campaign -->\nold\n<!-- end campaign -->\nz\n").unwrap();
    publish(&path, "campaign", "new\n").unwrap();
    let after = std::fs::read_to_string(&path).unwrap();
    assert_eq!(after, "a\n<!-- begin campaign -->\nnew\n<!-- end campaign -->\nz\n");
    assert!(publish(&path, "mutants", "").is_err());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn distinct_states_are_counted_well_enough() {
    for wanted in [0, 10, 1_000, 50_000, 1_000_000] {
        let mut distinct = Distinct::default();
        for state in (0..wanted).chain(0..wanted / 2) {
            distinct.add(state);
        }
        let (about, off) = (distinct.about(), wanted / 33);
        assert!((wanted - off..=wanted + off).contains(&about), "{about} for {wanted}");
    }
}

#[test]
fn a_campaign_goes_on_where_it_was_left_but_not_on_other_code() {
    let path = std::env::temp_dir().join(format!("quorate-campaign-{}.json", std::process::id()));
    let mut campaign = Campaign::open(&path, 7).unwrap();
    assert_eq!(campaign.next(), 7);
    let report = Report { height: 120, states: (0..900).collect(), ..Report::default() };
    for _ in 0..3 {
        campaign.total.add(report.clone());
    }
    campaign.total.took(std::time::Duration::from_millis(1_500), 2);
    campaign.keep(&path).unwrap();
    let again = Campaign::open(&path, 0).unwrap();
    assert_eq!((again.next(), &again), (10, &campaign));
    assert!(
        again.text().starts_with(&format!("code {CODE}, seeds 7 to 9\n3 seeds passed in 2 s")),
        "{}",
        again.text()
    );
    let other = std::fs::read_to_string(&path).unwrap().replace(CODE, "other");
    std::fs::write(&path, other).unwrap();
    let why = Campaign::open(&path, 0).unwrap_err().to_string();
    assert!(why.contains("ran on code other"), "{why}");
    std::fs::remove_file(&path).unwrap();
}
