//! Quorum arithmetic (Q). It exists here and nowhere else.

use crate::mutants::mutant;
use std::fmt;

/// The sizes that follow from `n` members of which `f` may be Byzantine.
///
/// Castro and Liskov assume `n = 3f + 1`. For every other `n`, `2f + 1` is unsafe: with n = 6 and f = 1, two
/// quorums of 3 need not meet. Q2's `⌊(n + f) / 2⌋ + 1` holds for every `n` and every declared `f`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quorums {
    n: u16,
    f: u16,
    strong: u16,
}

/// Why `(n, f)` is not a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumError {
    /// There is no member.
    NoMembers,
    /// More members than [`crate::limits::MAX_MEMBERS`].
    TooManyMembers { n: u16 },
    /// `f` is more than `⌊(n − 1) / 3⌋`.
    TooManyFaults { n: u16, f: u16, most: u16 },
}

impl fmt::Display for QuorumError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMembers => write!(out, "a cluster needs at least one member"),
            Self::TooManyMembers { n } => {
                write!(out, "{n} members; at most {} are supported", crate::limits::MAX_MEMBERS)
            }
            Self::TooManyFaults { n, f, most } => {
                write!(out, "{n} members cannot tolerate f={f}; at most f={most} (n must be at least 3f+1)")
            }
        }
    }
}

impl std::error::Error for QuorumError {}

impl Quorums {
    /// The quorums of `n` members with the largest `f` they can tolerate, `⌊(n − 1) / 3⌋` (Q1).
    pub fn new(n: u16) -> Result<Self, QuorumError> {
        Self::declared(n, n.saturating_sub(1) / 3)
    }

    /// The quorums of `n` members of which `f` are declared to be possibly Byzantine (Q1).
    ///
    /// # Errors
    /// When there is no member, more than the supported number, or `n < 3f + 1`.
    pub fn declared(n: u16, f: u16) -> Result<Self, QuorumError> {
        if n == 0 {
            return Err(QuorumError::NoMembers);
        }
        if n > crate::limits::MAX_MEMBERS {
            return Err(QuorumError::TooManyMembers { n });
        }
        let most = (n - 1) / 3;
        if f > most {
            return Err(QuorumError::TooManyFaults { n, f, most });
        }
        let strong = if mutant("m4") { 2 * f + 1 } else { u16::midpoint(n, f) + 1 };
        // Q4: two quorums share a correct member; the correct members suffice for one.
        assert!(
            mutant("m4") || 2 * strong > n + f,
            "two quorums of {strong} in n={n}, f={f} may share no correct member"
        );
        assert!(strong <= n - f, "the correct members of n={n}, f={f} cannot form a quorum of {strong}");
        Ok(Self { n, f, strong })
    }

    /// The number of members.
    pub fn members(&self) -> u16 {
        self.n
    }

    /// How many members may be Byzantine.
    pub fn faults(&self) -> u16 {
        self.f
    }

    /// `q`: signatures that prepare, commit, certify (Q2).
    pub fn strong(&self) -> usize {
        usize::from(self.strong)
    }

    /// `w = f + 1`: at least one of them is correct (Q3).
    pub fn weak(&self) -> usize {
        usize::from(self.f) + 1
    }

    /// `u = n − q + 1`: without them no quorum is left (Q3).
    pub fn blocking(&self) -> usize {
        usize::from(self.n - self.strong) + 1
    }

    /// How many members may be down while transactions still commit.
    pub fn crashes(&self) -> usize {
        usize::from(self.n - self.strong)
    }

    /// Whether no member may lie: a majority cluster that tolerates crashes only (Q6).
    pub fn is_crash_only(&self) -> bool {
        self.f == 0
    }

    /// The arithmetic in one sentence, for people.
    pub fn explain(&self) -> String {
        let Self { n, f, strong } = self;
        if self.is_crash_only() {
            return format!(
                "{n} members, crash-only: no faulty member is tolerated, {} may be down; commits need {strong} signatures",
                self.crashes()
            );
        }
        format!("{n} members -> tolerates f={f} faulty; commits need {strong} signatures")
    }
}

#[cfg(test)]
mod tests;
