//! How long the hot functions take by themselves, for each transaction.

use crate::hot::{BLOCK, Encoding, Executing, Verifying, index_entries, indexed};
use std::hint::black_box;
use std::time::{Duration, Instant};

const TIMES: u32 = 15;

/// The least time of some runs, in nanoseconds for each of so many transactions: what else runs on the machine only adds.
fn least<S, T>(transactions: usize, mut setup: impl FnMut() -> S, run: impl Fn(S) -> T) -> f64 {
    let least = (0..TIMES)
        .map(|_| {
            let input = setup();
            let start = Instant::now();
            let output = black_box(run(black_box(input)));
            let took = start.elapsed();
            drop(output);
            took
        })
        .min();
    least.unwrap_or(Duration::ZERO).as_secs_f64() * 1e9 / transactions as f64
}

/// Prints a line for each function.
pub(crate) fn print() {
    let line = |name: &str, nanoseconds: f64| println!("{name:<52} {nanoseconds:>8.0} ns a transaction");
    for keys in [1_000, 100_000] {
        const BLOCKS: usize = 128;
        let took = least(BLOCK * BLOCKS, || Executing::with(keys, BLOCKS), Executing::run);
        line(&format!("execution, {keys} keys"), took);
    }
    for batch in [16, 64, 256, 1_024] {
        let verifying = Verifying::of(batch);
        let took = least(batch, || (), |()| verifying.run());
        line(&format!("verification in a batch of {batch}, 16 keys"), took);
    }
    let encoding = Encoding::new();
    line("encoding and decoding", least(BLOCK, || (), |()| encoding.run()));
    line("index in memory", least(BLOCK, index_entries, indexed));
}
