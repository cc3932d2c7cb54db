//! Fixed-size byte strings with a meaning each, printed as lower-case hexadecimal.

use bincode::{Decode, Encode};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Why a hexadecimal text is not the byte string asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHex {
    /// How many bytes were wanted; the text needs twice as many digits.
    pub wanted_bytes: usize,
}

impl fmt::Display for BadHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} hexadecimal digits", self.wanted_bytes * 2)
    }
}

impl std::error::Error for BadHex {}

macro_rules! byte_string {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
        pub struct $name(pub [u8; $len]);

        const _: () = assert!($len % 8 == 0);

        // As the bytes are ordered, eight at a time: maps by ids compare little else, and two ids mostly differ in the first eight.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                let (own, _) = self.0.as_chunks::<8>();
                let (others, _) = other.0.as_chunks::<8>();
                let word = |chunk: &[u8; 8]| u64::from_be_bytes(*chunk);
                own.iter().map(word).cmp(others.iter().map(word))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// The length in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), hex::encode(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = BadHex;
            fn from_str(text: &str) -> Result<Self, BadHex> {
                let mut bytes = [0u8; $len];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| BadHex { wanted_bytes: $len })?;
                Ok(Self(bytes))
            }
        }
    };
}

byte_string!(
    /// A SHA-256 hash.
    Digest,
    32
);
byte_string!(
    /// The hash of the canonical genesis, in every signed byte (M1).
    LedgerId,
    32
);
byte_string!(
    /// An Ed25519 public key in its 32-byte encoding.
    PublicKey,
    32
);
byte_string!(
    /// An Ed25519 signature, R ‖ s.
    Signature,
    64
);
byte_string!(
    /// The random identity of one data directory (D5).
    StoreId,
    16
);
byte_string!(
    /// The hash of a transaction's signed bytes without its signature (M6).
    TransactionId,
    32
);

impl Digest {
    /// All zero: the parent of block 0.
    pub const ZERO: Digest = Digest([0; 32]);
}
