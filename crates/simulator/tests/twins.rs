//! Twins: members that run twice. More: `cargo run --release --bin quorate-sim -- --twins 10000`.

use quorate_simulator::Partition;
use quorate_simulator::twins::{Report, Scenario, Variant, Walk, run};
use quorate_types::ReplicaId;

fn must_pass(scenario: &Scenario, place: u64) -> Report {
    match run(scenario, place) {
        Ok(report) => report,
        Err(failure) => {
            panic!("scenario {place}: {}: {}", failure.violation.property, failure.violation.what)
        }
    }
}

#[test]
fn a_sample_passes_and_sees_what_it_should() {
    let walk = Walk::default();
    let reports: Vec<Report> = (0..120).map(|place| must_pass(&walk.scenario(place), place)).collect();
    let share = |wanted: fn(&Report) -> bool| reports.iter().filter(|report| wanted(report)).count();
    let conflicts = share(|report| report.conflicts > 0);
    assert!(conflicts >= 30, "{conflicts} conflicts");
    assert!(share(|report| report.convicted > 0) >= 60, "convictions");
    assert!(share(|report| report.view_changes > 0) >= 100, "view changes");
    assert!(share(|report| report.script_ended) >= 100, "scripts that came to their end");
    assert!(share(|report| report.amnesiacs > 0) >= 15, "processes that forgot");
    assert!(reports.iter().all(|report| report.height > 0 && report.answered > 0), "blocks");
}

#[test]
fn one_scenario_has_one_trace() {
    let walk = Walk::default();
    for place in [0, 7] {
        let scenario = walk.scenario(place);
        assert_eq!(must_pass(&scenario, place), must_pass(&scenario, place));
    }
}

/// Two of four members run twice, and each half of the cluster sees one copy of both: each half has a quorum.
fn halves() -> Scenario {
    let half = Partition::labelled(&[0, 0, 0, 1, 1, 1]);
    Scenario {
        members: 4,
        twinned: vec![ReplicaId::new(0), ReplicaId::new(1)],
        variant: Variant::Plain,
        views: vec![vec![half; 3]; 3],
    }
}

#[test]
fn with_more_twins_than_may_fail_the_ledger_splits_and_the_statements_convict_them() {
    let mut forks = 0;
    for seed in 0..5 {
        // A fork that left less than f + 1 culprits would be a violation of S19.
        let report = must_pass(&halves(), seed);
        forks += usize::from(report.disagreements > 0);
        assert!(report.disagreements == 0 || report.convicted >= 2, "{report:?}");
    }
    assert!(forks > 0, "the harness cannot see a split");
}

#[cfg(feature = "mutants")]
mod mutants {
    use super::*;
    use quorate_types::mutants::activate;
    use std::panic::catch_unwind;

    /// After how many scenarios a named property fails in one that the unmodified code passes.
    fn scenarios_to_kill(name: &'static str, most: u64) -> Option<(u64, &'static str)> {
        let walk = Walk::default();
        (0..most).find_map(|place| {
            let scenario = walk.scenario(place);
            activate(name);
            let failed = catch_unwind(|| run(&scenario, place));
            activate("");
            let Ok(Err(failure)) = failed else { return None };
            let passes = catch_unwind(|| run(&scenario, place).is_ok()).unwrap_or(false);
            passes.then_some((place + 1, failure.violation.property))
        })
    }

    #[test]
    fn twins_notice_mistakes() {
        for name in ["m6", "m14"] {
            let kill = scenarios_to_kill(name, 300);
            println!("{name}: {kill:?}");
            assert!(kill.is_some(), "{name} goes unnoticed");
        }
    }
}
