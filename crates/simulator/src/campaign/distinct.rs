//! About how many distinct things were seen, in little memory: HyperLogLog (Flajolet et al. 2007), which errs by about 0.8 %.

use serde::{Deserialize, Serialize};

/// Two to this are the registers.
const BITS: u32 = 14;

/// The distinct hashes that were added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Distinct {
    /// For each prefix of a hash, the most zeros after it, plus one.
    registers: Vec<u8>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { registers: vec![0; 1 << BITS] }
    }
}

impl Distinct {
    pub(super) fn add(&mut self, hash: u64) {
        let hash = mixed(hash);
        let place = usize::try_from(hash >> (64 - BITS)).unwrap_or(0);
        let zeros = (hash << BITS).leading_zeros().min(64 - BITS);
        let rank = u8::try_from(zeros + 1).unwrap_or(u8::MAX);
        self.registers[place] = self.registers[place].max(rank);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate is positive and far below the end"
    )]
    pub(super) fn about(&self) -> u64 {
        let count = self.registers.len() as f64;
        let sum: f64 = self.registers.iter().map(|rank| 2_f64.powi(-i32::from(*rank))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / count) * count * count / sum;
        let empty = self.registers.iter().filter(|rank| **rank == 0).count();
        let about = if raw <= 2.5 * count && empty > 0 { count * (count / empty as f64).ln() } else { raw };
        about.round() as u64
    }
}

/// Every bit of the result depends on every bit (the finisher of MurmurHash3): the hashes that are added need not.
fn mixed(mut hash: u64) -> u64 {
    for factor in [0xFF51_AFD7_ED55_8CCD, 0xC4CE_B9FE_1A85_EC53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

/// One letter for each register, from `0` on.
impl From<Distinct> for String {
    fn from(distinct: Distinct) -> Self {
        distinct.registers.iter().map(|rank| char::from(b'0' + rank)).collect()
    }
}

impl TryFrom<String> for Distinct {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let most = b'0' + u8::try_from(64 - BITS + 1).unwrap_or(0);
        if text.len() != 1 << BITS || text.bytes().any(|letter| !(b'0'..=most).contains(&letter)) {
            return Err("registers of 2^14 letters from 0 to c were expected");
        }
        Ok(Self { registers: text.bytes().map(|letter| letter - b'0').collect() })
    }
}
