//! Real processes: what only they show. Each test has a loopback address, a directory and a home of its own.

mod commands;
mod failures;
mod harness;
mod lifecycle;
