//! The commands, one file for each noun.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod block;
pub(crate) mod debug;
pub(crate) mod dev;
pub(crate) mod genesis;
pub(crate) mod health;
pub(crate) mod key;
pub(crate) mod kv;
pub(crate) mod member;
pub(crate) mod node;
pub(crate) mod operations;
pub(crate) mod receipt;
pub(crate) mod status;
pub(crate) mod testnet;
pub(crate) mod tools;
pub(crate) mod topic;
pub(crate) mod tx;
pub(crate) mod verify;
pub(crate) mod why;
pub(crate) mod written;
