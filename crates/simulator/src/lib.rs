//! Seeded simulation of whole Quorate clusters.
