//! What is measured.

use crate::net::Load;

/// One testnet and one load.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) members: u16,
    pub(crate) load: Load,
}

fn case(members: u16, clients: u32, size: u32, keys: u32) -> Case {
    let name = format!("n={members} clients={clients} B={size} keys={keys}");
    Case { name, members, load: Load { clients, size, keys, appends: None } }
}

/// The standard set.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![case(4, 1, 128, 1)];
    for clients in [64, 256, 1_024] {
        cases.push(case(4, clients, 128, 16));
    }
    cases.push(case(4, 256, 128, 256));
    cases.push(case(4, 256, 512, 16));
    cases.push(case(7, 256, 128, 16));
    cases.push(Case {
        name: "n=4 clients=64 B=128 appends=100".to_owned(),
        members: 4,
        load: Load { clients: 64, size: 128, keys: 16, appends: Some(100) },
    });
    cases
}
