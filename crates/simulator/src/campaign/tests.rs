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
