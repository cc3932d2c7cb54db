//! The first bytes on a connection: which ledger, which version, which member. A peer counts as connected only after both
//! prefaces were exchanged, since a refused client may see its connection succeed first.

use quorate_types::layout::{LayoutError, Reader, Writer};
use quorate_types::{LedgerId, limits};

pub(crate) const ALPN: &[u8] = b"quorate/1";
const TAG: &str = "quorate/preface/v1";
/// A preface is at most this long.
pub(crate) const MAX_BYTES: usize = 256;

/// What each end says first. Public for whoever decodes prefaces without a connection, as fuzzers do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preface {
    /// The highest format that the sender reads.
    pub format: u32,
    pub ledger: LedgerId,
    pub version: String,
    pub name: String,
}

impl Preface {
    pub(crate) fn own(ledger: LedgerId, name: &str) -> Self {
        Self {
            format: limits::FORMAT,
            ledger,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: name.to_owned(),
        }
    }

    /// The preface as it travels: its length (4 bytes, big-endian) and its body.
    ///
    /// # Panics
    /// If the version or the name is longer than 65,535 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = Writer::tagged(TAG)
            .u32(self.format)
            .fixed(&self.ledger.0)
            .short(self.version.as_bytes())
            .short(self.name.as_bytes())
            .finish();
        Writer::untagged().long(&body).finish()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// If the bytes are not exactly one preface.
    pub fn from_bytes(body: &[u8]) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(body);
        if reader.fixed(TAG.len() + 1)? != [TAG.as_bytes(), &[0]].concat() {
            return Err(LayoutError::Invalid("preface"));
        }
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).map_err(|_| LayoutError::Invalid("text in preface"))
        };
        let preface = Self {
            format: reader.u32()?,
            ledger: LedgerId(reader.array()?),
            version: text(reader.short()?)?,
            name: text(reader.short()?)?,
        };
        reader.end()?;
        Ok(preface)
    }

    /// Why a peer with this preface is refused, if it is.
    pub(crate) fn refusal(&self, own: &Preface) -> Option<String> {
        if self.format > own.format {
            return Some(format!("it speaks format {}, this node {}", self.format, own.format));
        }
        (self.ledger != own.ledger).then(|| format!("it is of ledger {}", self.ledger))
    }
}
