//! Rare moments that a simulation must pass through, or it has not looked there. Without the feature `probes`, which no
//! release has, a hit costs nothing.

/// The moments, each hit in one place of the code.
pub const ALL: &[&str] = &[
    "a NEW-VIEW has a null slot",
    "a slot of O is chosen among two views",
    "a new primary fetches a body",
    "a NEW-VIEW is adopted while behind",
    "a NEW-VIEW is adopted while ahead",
    "a NEW-VIEW is adopted during a transfer",
    "a NEW-VIEW waits for its VIEW-CHANGEs",
    "a view change is joined",
    "a restarted primary abdicates",
    "a restarted replica abstains",
    "a FETCH is over budget",
    "a vote leaves before it is durable",
    "a timeout is eight times the first",
    "a timeout is at its cap",
    "a suspicion is withdrawn",
    "a primary orders too slowly",
    "the window is full",
    "a checkpoint is adopted without execution",
    "votes are forgotten before a state is there",
    "a checkpoint on the way of a transfer is stable",
    "a PREPARE comes before its proposal",
    "a commit certificate decides",
    "a vote is sent again after a restart",
    "one sync serves several turns",
    "a torn tail is cut",
    "a damaged log is refused",
    "a block executes to something else the second time",
    "a transaction is included twice",
    "an answer comes from what was executed before",
    "two statements contradict each other",
    "a replica stops for ever",
    "a replica finds out that it forgot",
    "a full disk stops a process",
    "a message of the future is dropped",
    "a message of the future is taken up again",
    "overtaken slots are dropped",
    "a fetched state is installed",
    "a process is killed in the midst of an install",
    "a part of a state is a lie",
    "a transfer goes on with a later state",
    "a transfer goes on after a restart",
    "an epoch ends",
    "slots beyond the end of the epoch are void",
];

#[cfg(feature = "probes")]
thread_local! {
    static HITS: std::cell::RefCell<std::collections::BTreeMap<&'static str, u64>> =
        const { std::cell::RefCell::new(std::collections::BTreeMap::new()) };
}

/// This moment was reached.
///
/// # Panics
/// If it is not one of [`ALL`].
#[cfg(feature = "probes")]
pub fn hit(name: &'static str) {
    assert!(ALL.contains(&name), "{name:?} is no probe");
    HITS.with_borrow_mut(|hits| *hits.entry(name).or_default() += 1);
}

/// This moment was reached.
#[cfg(not(feature = "probes"))]
#[inline(always)]
pub const fn hit(_name: &'static str) {}

/// What this thread has hit since the last call, with how often; nothing without the feature.
pub fn take() -> std::collections::BTreeMap<&'static str, u64> {
    #[cfg(feature = "probes")]
    return HITS.take();
    #[cfg(not(feature = "probes"))]
    std::collections::BTreeMap::new()
}
