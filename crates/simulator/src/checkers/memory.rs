//! M1: no collection of a replica grows beyond its declared bound, whatever peers send.

use super::Violation;
use quorate_pbft::ReplicaStatus;

/// Collections with their sizes and bounds.
pub(crate) fn within(
    status: &ReplicaStatus,
    sizes: impl IntoIterator<Item = (&'static str, usize, usize)>,
) -> Result<(), Violation> {
    for (name, size, most) in sizes {
        if size > most {
            let what = format!("{name} of {}: {size} > {most}; {status:?}", status.me);
            return Err(Violation { property: "M1 memory", what });
        }
    }
    Ok(())
}
