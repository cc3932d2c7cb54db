//! How many instructions the hot functions take for one block of 64 transactions, under valgrind: a figure that the load of the
//! machine does not touch. Valgrind knows no SHA instructions, so hashing weighs more here than on a processor that has them:
//! compare only with itself.
//!
//! `cargo bench -p quorate-bench --bench instructions`, with valgrind and `cargo install gungraun-runner --version 0.20.0`.

#[path = "../src/hot.rs"]
mod hot;

use gungraun::{library_benchmark, library_benchmark_group, main};
use hot::{Encoding, Executing, Verifying, index_entries, indexed};
use quorate_storage::index::{Index, IndexEntry};
use quorate_types::Message;
use std::hint::black_box;

#[library_benchmark]
#[bench::keys_1000(Executing::with(1_000, 1))]
#[bench::keys_16384(Executing::with(16_384, 1))]
fn execution(block: Executing) -> Executing {
    black_box(block.run())
}

#[library_benchmark]
#[bench::batch_64(Verifying::of(64))]
fn verification(signed: Verifying) -> (Verifying, usize) {
    let valid = black_box(&signed).run();
    (signed, valid)
}

#[library_benchmark]
#[bench::body(Encoding::new())]
fn encoding(message: Encoding) -> (Encoding, Message) {
    let read = black_box(&message).run();
    (message, read)
}

#[library_benchmark]
#[bench::entries(index_entries())]
fn indexing(entries: Vec<IndexEntry>) -> Index {
    black_box(indexed(entries))
}

library_benchmark_group!(name = hot_functions, benchmarks = [execution, verification, encoding, indexing]);
main!(library_benchmark_groups = hot_functions);
