//! A slice of seeds, and every seed that once failed. More: `cargo run --release --bin quorate-sim -- --count 10000`.

use quorate_simulator::run_seed;

fn must_pass(seed: u64) -> quorate_simulator::Report {
    match run_seed(seed) {
        Ok(report) => report,
        Err(failure) => panic!("seed {seed}: {}: {}", failure.violation.property, failure.violation.what),
    }
}

/// Each found a mistake; `docs/assurance.md` tells which.
#[test]
fn seeds_that_once_failed_pass() {
    for seed in [
        9,
        15,
        52,
        60,
        156,
        348,
        534,
        566,
        764,
        915,
        968,
        1_403,
        1_620,
        1_793,
        1_821,
        1_843,
        3_054,
        4_378,
        5_702,
        5_726,
        7_353,
        10_266,
        10_291,
        11_890,
        14_829,
        23_613,
        24_091,
        36_438,
        38_033,
        74_640,
        88_912,
        90_312,
        91_250,
        98_324,
        100_359,
        115_222,
        153_074,
        156_855,
        2_000_011,
        2_000_185,
        2_000_349,
        3_000_213,
        7_000_211,
        7_001_710,
        8_000_080,
        9_000_161,
        9_000_363,
        50_002_499,
        50_002_629,
        70_000_418,
        72_000_511,
        1_795_730_757_147,
    ] {
        must_pass(seed);
    }
}

#[test]
fn a_slice_of_seeds_passes_and_sees_what_it_should() {
    let reports: Vec<_> = (1_000..1_040).map(must_pass).collect();
    let share = |wanted: fn(&quorate_simulator::Report) -> bool| {
        reports.iter().filter(|report| wanted(report)).count()
    };
    assert!(share(|report| report.view_changes > 0) >= 15, "view changes");
    assert!(share(|report| report.crashes > 0) >= 15, "crashes");
    assert!(share(|report| report.height >= 20) >= 30, "blocks");
    assert!(share(|report| !report.lies.is_empty()) >= 12, "liars");
}

#[test]
fn one_seed_has_one_trace() {
    for seed in [3, 4] {
        assert_eq!(must_pass(seed), must_pass(seed));
    }
}
