//! Mutations from a seed: what a run without a fuzzer tries around each corpus file. No clock, no system randomness.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a size fits");
        usize::try_from(self.next() % bound).expect("below a size")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Numbers at which arithmetic goes wrong.
const EDGES: [u64; 12] =
    [0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x1_0000_0000, u64::MAX >> 1, u64::MAX];

/// A mutation of `bytes`, with pieces of `other` spliced in now and then; at most `most` bytes long.
pub fn mutate(bytes: &[u8], other: &[u8], random: &mut Random, most: usize) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    for _ in 0..=random.below(4) {
        step(&mut mutated, other, random);
    }
    mutated.truncate(most);
    mutated
}

fn step(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(16)).min(bytes.len());
    match random.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.byte(),
        2 => bytes.insert(at, random.byte()),
        3 => drop(bytes.drain(at..end)),
        4 => bytes.truncate(at),
        5 => {
            let copy = bytes[at..end].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        6 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let edge = EDGES[random.below(EDGES.len())].to_be_bytes();
            for (byte, new) in bytes.iter_mut().skip(at).zip(&edge[8 - width..]) {
                *byte = *new;
            }
        }
        7 if !other.is_empty() => {
            let from = random.below(other.len());
            let to = (from + 1 + random.below(64)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        _ => bytes.extend((0..random.below(9)).map(|_| random.byte())),
    }
}
