//! Who may send transactions: the clients and operators of the genesis, as leaves of the state, or anybody.

use crate::governance;
use crate::tree::{Changes, Leaves};
use quorate_types::{Genesis, NamedKey, PublicKey, RegistryMode, StateKey};
use std::sync::Arc;

/// The leaves of the genesis: clients, operators, members.
pub(crate) fn genesis_leaves(genesis: &Genesis) -> Changes {
    let leaf = |key: StateKey<'_>, named: &NamedKey| (key.to_bytes(), Some(Arc::from(named.name.as_bytes())));
    let clients = genesis.clients.iter().map(|named| leaf(StateKey::Client(named.key), named));
    let operators = genesis.operators.iter().map(|named| leaf(StateKey::Operator(named.key), named));
    clients.chain(operators).chain([governance::genesis_leaf(genesis)]).collect()
}

/// Whether a key may send transactions.
pub(crate) fn is_registered(leaves: &Leaves, mode: RegistryMode, sender: &PublicKey) -> bool {
    match mode {
        RegistryMode::Open => true,
        RegistryMode::Closed => [StateKey::Client(*sender), StateKey::Operator(*sender)]
            .iter()
            .any(|key| leaves.contains_key(&key.to_bytes())),
    }
}
