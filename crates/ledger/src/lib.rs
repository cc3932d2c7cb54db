//! Deterministic execution: application trait, key-value store, log topics, sessions, registry, certified state.
