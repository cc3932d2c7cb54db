//! How much memory a decoder claims at its peak.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes that a decoder may claim for each byte of its input: the codec's own promise, which the texts keep easily.
const PER_BYTE: usize = 256;
/// Bytes that it may claim whatever its input.
const ALWAYS: usize = 80 * 1024;

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
