//! Numbers with names. None converts from a bare integer implicitly: `View::new(3)` says what 3 is.

use bincode::{Decode, Encode};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
        pub struct $name(u64);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);
            /// The largest value.
            pub const MAX: Self = Self(u64::MAX);

            /// Names a number.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The bare number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The next one; saturates at the largest value, so that no peer's number overflows.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The one before; saturates at zero.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }

            /// `self + count`, saturating.
            #[must_use]
            pub const fn plus(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// `self − count`, saturating at zero.
            #[must_use]
            pub const fn minus(self, count: u64) -> Self {
                Self(self.0.saturating_sub(count))
            }

            /// How far `self` lies above `other`, zero if it does not.
            pub const fn above(self, other: Self) -> u64 {
                self.0.saturating_sub(other.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// A sequence number: the place of a batch in the order, and the height of the block it becomes.
    Seq
);
number!(
    /// A view: the reign of one primary.
    View
);
number!(
    /// An epoch: the reign of one member set.
    Epoch
);
number!(
    /// The client's number of a transaction within its session (C1).
    Number
);
number!(
    /// A client session, drawn at random and opened by its first use (C1).
    SessionId
);

impl Seq {
    /// Whether this is a multiple of the checkpoint interval, zero excluded.
    pub const fn is_checkpoint(self, every: u64) -> bool {
        self.0 != 0 && self.0.is_multiple_of(every)
    }
}

/// The index of a member in the member set of its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct ReplicaId(u16);

impl ReplicaId {
    /// Names a member index.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The member's index as an array index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The bare number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The members 0 … n−1 in order.
    pub fn all(n: u16) -> impl DoubleEndedIterator<Item = ReplicaId> + ExactSizeIterator {
        (0..n).map(ReplicaId)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
