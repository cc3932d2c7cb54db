//! Deliberate mistakes (m1, m2, …), to see whether the tests find them. Without the feature `mutants`, which no release has,
//! none can be switched on.

#[cfg(feature = "mutants")]
thread_local! {
    static ACTIVE: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// Whether this mistake is to be made.
#[cfg(feature = "mutants")]
pub fn mutant(name: &str) -> bool {
    ACTIVE.get() == name
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn mutant(_name: &str) -> bool {
    false
}

/// Makes this thread's replicas make a mistake; the empty name ends it.
#[cfg(feature = "mutants")]
pub fn activate(name: &'static str) {
    ACTIVE.set(name);
}
