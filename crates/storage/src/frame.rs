//! Frames: length ‖ claim ‖ payload ‖ checksum. The checksum covers the ledger, the file's number and the frame's offset, so
//! that a frame of another ledger, file or place never passes for this one (D4).
//!
//! `claim` is the position up to which everything was known synced when the frame was written: a damaged frame below
//! any later claim is corruption, not a torn tail.

use quorate_crypto::sha256;
use quorate_types::LedgerId;

/// Bytes of a frame beside its payload: length 4, claim 8, checksum 16.
pub(crate) const OVERHEAD: usize = 28;

/// What binds the frames of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed {
    ledger: LedgerId,
    file: u64,
}

/// A frame as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) claim: Position,
    pub(crate) payload: &'a [u8],
    /// Where the next frame begins.
    pub(crate) end: usize,
}

/// A place in a sequence of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) file: u64,
    pub(crate) offset: usize,
}

impl Position {
    /// Numbers of files are below this, so that a position fits eight bytes.
    pub(crate) const MOST_FILES: u64 = 1 << 28;

    pub(crate) fn pack(self) -> u64 {
        self.file << 36 | self.offset as u64
    }

    pub(crate) fn unpack(packed: u64) -> Self {
        let offset = usize::try_from(packed & ((1 << 36) - 1)).unwrap_or(usize::MAX);
        Self { file: packed >> 36, offset }
    }
}

impl Seed {
    pub(crate) fn new(ledger: LedgerId, file: u64) -> Self {
        Self { ledger, file }
    }

    fn checksum(&self, offset: usize, head: &[u8], payload: &[u8]) -> [u8; 16] {
        let bound = [
            &b"quorate/frame/v1\0"[..],
            &self.ledger.0,
            &self.file.to_be_bytes(),
            &(offset as u64).to_be_bytes(),
            head,
            payload,
        ];
        let hash = sha256(&bound.concat());
        hash.0[..16].try_into().expect("16 bytes")
    }

    /// Appends a frame that will stand at `offset` of the file.
    pub(crate) fn write(&self, offset: usize, claim: Position, payload: &[u8], out: &mut Vec<u8>) {
        let length = u32::try_from(payload.len()).expect("a frame's payload is below 4 GiB");
        assert!(
            length > 0 || claim > Position::default(),
            "zeros, as a fresh segment has them, must not look like a frame"
        );
        let mut head = Vec::with_capacity(12);
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&claim.pack().to_be_bytes());
        let checksum = self.checksum(offset, &head, payload);
        out.extend_from_slice(&head);
        out.extend_from_slice(payload);
        out.extend_from_slice(&checksum);
    }

    /// The frame at `offset`, if there is an intact one.
    pub(crate) fn read<'a>(&self, bytes: &'a [u8], offset: usize) -> Option<Frame<'a>> {
        let head = bytes.get(offset..offset.checked_add(12)?)?;
        let length = u32::from_be_bytes(head[..4].try_into().ok()?) as usize;
        let claim = Position::unpack(u64::from_be_bytes(head[4..].try_into().ok()?));
        // What was never written costs no hash: recovery looks at every position of a tail.
        let unwritten = length == 0 && claim == Position::default();
        if unwritten || claim > (Position { file: self.file, offset }) {
            return None;
        }
        let end = offset.checked_add(OVERHEAD)?.checked_add(length)?;
        let payload = bytes.get(offset + 12..offset + 12 + length)?;
        let checksum = bytes.get(end - 16..end)?;
        (self.checksum(offset, head, payload) == checksum).then_some(Frame { claim, payload, end })
    }

    /// The payload of one frame read by itself from `offset` of the file, if it is intact.
    pub(crate) fn read_alone<'a>(&self, bytes: &'a [u8], offset: usize) -> Option<&'a [u8]> {
        let head = bytes.get(..12)?;
        let payload = bytes.get(12..bytes.len().checked_sub(16)?)?;
        let length = u32::from_be_bytes(head[..4].try_into().ok()?) as usize;
        let checksum = bytes.get(bytes.len() - 16..)?;
        (length == payload.len() && self.checksum(offset, head, payload) == checksum).then_some(payload)
    }

    /// The highest claim of any intact frame after `offset`, wherever it begins.
    pub(crate) fn highest_claim_after(&self, bytes: &[u8], offset: usize) -> Option<Position> {
        let mut highest = None;
        let mut at = offset + 1;
        while at + OVERHEAD <= bytes.len() {
            match self.read(bytes, at) {
                Some(frame) => {
                    highest = highest.max(Some(frame.claim));
                    at = frame.end;
                }
                None => at += 1,
            }
        }
        highest
    }
}
