//! What once broke in other systems, done to this one. `docs/known-failures.md` tells which row each test is for.

mod attacks;
mod epochs;
mod recovery;
mod transfer;
mod views;
mod world;
