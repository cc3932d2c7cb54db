//! Networks of replica processes on this machine.

pub(crate) mod control;
pub(crate) mod layout;
pub(crate) mod links;
pub(crate) mod supervisor;

pub(crate) use layout::{Plan, Testnet, create};
