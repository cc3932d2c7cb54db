//! Runs one target without a fuzzer: `run-target TARGET MUTATIONS FILE…` runs each file, then so many mutations of each. An input
//! that fails is left in the file `failing-input`.

use quorate_fuzz_targets::TARGETS;
use quorate_fuzz_targets::mutate::{Random, mutate};

struct Input<'a>(&'a [u8]);

impl Drop for Input<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{} bytes, in failing-input: {:?}",
                self.0.len(),
                std::fs::write("failing-input", self.0)
            );
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("which target?")?;
    let mutations: usize = arguments.next().ok_or("how many mutations?")?.parse()?;
    let target = TARGETS.iter().find(|(other, _)| *other == name).ok_or("no such target")?.1;
    let files: Vec<Vec<u8>> = arguments.map(std::fs::read).collect::<Result<_, _>>()?;
    let run = |bytes: &[u8]| {
        let input = Input(bytes);
        target(input.0);
    };
    for (seed, file) in (0u64..).zip(&files) {
        run(file);
        let mut random = Random::new(seed);
        for _ in 0..mutations {
            let other = &files[random.below(files.len())];
            run(&mutate(file, other, &mut random, (2 * file.len()).max(4_096)));
        }
    }
    println!("{name}: {} inputs", files.len() * (mutations + 1));
    Ok(())
}
