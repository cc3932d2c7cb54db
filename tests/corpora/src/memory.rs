//! How much memory a decoder claims at its peak.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes that a decoder may claim for each byte of its input: the smallest encodings grow about fourfold in memory, what a
/// list is read into may be claimed eight times over, and a vector that grows holds its old self for a moment.
const PER_BYTE: usize = 48;
/// Bytes that it may claim whatever its input.
const ALWAYS: usize = 64 * 1024;

/// Runs `decode` on `bytes` and checks that it claims memory in proportion to them, lying lengths or not. Other threads
/// must not allocate meanwhile.
pub(crate) fn bounded<T>(bytes: &[u8], decode: impl FnOnce(&[u8]) -> T) -> T {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let decoded = decode(bytes);
    let claimed = ALLOCATOR.peak_usage().saturating_sub(before);
    let most = ALWAYS + PER_BYTE * bytes.len();
    assert!(
        claimed <= most,
        "{} bytes of input claimed {claimed} bytes of memory, at most {most}",
        bytes.len()
    );
    decoded
}
