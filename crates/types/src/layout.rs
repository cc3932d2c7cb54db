//! Fixed layouts: what is signed or hashed is written here, byte by byte, big-endian, nothing optional, never by a
//! serialisation library (M1).

/// What most layouts fit into without growing.
const CAPACITY: usize = 160;

/// Writes a fixed layout.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts a layout with its domain tag, which ends in a zero byte: `quorate/<kind>/v1\0`.
    pub fn tagged(tag: &str) -> Self {
        let mut bytes = Vec::with_capacity(CAPACITY);
        bytes.extend_from_slice(tag.as_bytes());
        bytes.push(0);
        Self { bytes }
    }

    /// Starts a layout without a tag, for payloads that are carried inside a tagged one.
    pub fn untagged() -> Self {
        Self { bytes: Vec::with_capacity(CAPACITY) }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Bytes of a length that the layout fixes.
    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A two-byte length and the bytes.
    ///
    /// # Panics
    /// If there are more than 65,535: callers check [`crate::limits`] first.
    pub fn short(&mut self, bytes: &[u8]) -> &mut Self {
        self.u16(u16::try_from(bytes.len()).expect("a short field holds at most 65,535 bytes"));
        self.fixed(bytes)
    }

    /// A four-byte length and the bytes.
    ///
    /// # Panics
    /// If there are more than `u32::MAX`: callers check [`crate::limits`] first.
    pub fn long(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).expect("a long field holds at most 4 GiB"));
        self.fixed(bytes)
    }

    /// A list's four-byte count.
    ///
    /// # Panics
    /// If there are more than `u32::MAX`.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).expect("a list holds at most 2^32-1 entries"))
    }

    /// The finished bytes.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// Why bytes are not the layout they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The bytes end within a field.
    Short,
    /// Bytes are left after the last field.
    Trailing,
    /// A field has a value that the layout does not allow; the text names it.
    Invalid(&'static str),
}

impl std::fmt::Display for LayoutError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Short => write!(f, "the bytes end within a field"),
            Self::Trailing => write!(f, "bytes are left after the last field"),
            Self::Invalid(what) => write!(f, "invalid {what}"),
        }
    }
}

impl std::error::Error for LayoutError {}

/// Reads a fixed layout; total on any bytes, allocates nothing that it has not seen.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next `len` bytes.
    pub fn fixed(&mut self, len: usize) -> Result<&'a [u8], LayoutError> {
        if self.bytes.len() < len {
            return Err(LayoutError::Short);
        }
        let (taken, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        Ok(taken)
    }

    /// An array of `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], LayoutError> {
        let mut array = [0; N];
        array.copy_from_slice(self.fixed(N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, LayoutError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self) -> Result<u16, LayoutError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> Result<u32, LayoutError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self) -> Result<u64, LayoutError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A two-byte length and that many bytes.
    pub fn short(&mut self) -> Result<&'a [u8], LayoutError> {
        let len = self.u16()?;
        self.fixed(usize::from(len))
    }

    /// A four-byte length and that many bytes.
    pub fn long(&mut self) -> Result<&'a [u8], LayoutError> {
        let len = self.u32()?;
        self.fixed(usize::try_from(len).map_err(|_| LayoutError::Short)?)
    }

    /// A list's count, refused above `most` before anything is allocated.
    pub fn count(&mut self, most: usize, what: &'static str) -> Result<usize, LayoutError> {
        let count = usize::try_from(self.u32()?).map_err(|_| LayoutError::Invalid(what))?;
        if count > most {
            return Err(LayoutError::Invalid(what));
        }
        Ok(count)
    }

    /// Succeeds if every byte was read.
    pub fn end(self) -> Result<(), LayoutError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(LayoutError::Trailing) }
    }
}
