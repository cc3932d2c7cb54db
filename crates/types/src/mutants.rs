//! Deliberate mistakes (m1, m2, …), to see whether the tests find them. Without the feature `mutants`, which no release has,
//! none can be switched on.

// No build without debug assertions, and so no release, can make a mistake on command.
#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("the feature `mutants` needs debug assertions: use the profile `dev` or `sim`");

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

/// Whether mistakes can be switched on in this build.
pub const BUILT_IN: bool = cfg!(feature = "mutants");
