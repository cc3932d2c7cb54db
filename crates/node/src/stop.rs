//! The end of the process when nothing more may be promised (D3).

use quorate_types::ErrorCode;

/// Says why and ends the process at once: after a failed write or sync no byte may leave any more, so nothing is unwound.
pub(crate) fn disk_failed(what: &str, error: &dyn std::fmt::Display) -> ! {
    let text = ErrorCode::DiskFailed.text();
    eprintln!(
        "error[{}]: {}: {what}: {error}\n  why: {}\n  fix: {}",
        text.code, text.what, text.why, text.fix
    );
    tracing::error!(event = "disk_failed", what, %error, "the disk failed; stopping");
    std::process::exit(i32::from(text.exit))
}
