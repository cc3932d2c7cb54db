//! Walks the numbers below any size in an order that looks random and visits each once: a Feistel network over the next even
//! number of bits, walked until it lands below the size (Black and Rogaway, *Ciphers with Arbitrary Finite Domains*, 2002).

use crate::random::Random;

const ROUNDS: u64 = 6;

/// The number at a place of the order; a bijection of the numbers below `size`, which is not zero.
pub(crate) fn shuffled(place: u128, size: u128) -> u128 {
    let bits = u128::BITS - size.saturating_sub(1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mut number = place;
    loop {
        number = network(number, half);
        if number < size {
            return number;
        }
    }
}

fn network(number: u128, half: u32) -> u128 {
    let mask = (1u128 << half) - 1;
    let (mut left, mut right) = (number >> half, number & mask);
    for round in 0..ROUNDS {
        let mixed = Random::new(low(right) ^ (round << 58) ^ 0x7_71A5).any();
        (left, right) = (right, left ^ (u128::from(mixed) & mask));
    }
    (left << half) | right
}

/// Halves are shorter than 64 bits for every size below 2^126.
fn low(half: u128) -> u64 {
    u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0)
}
