//! What a cluster is made of, and what its members and clients sign.

use super::{Cluster, EPOCH_MS};
use crate::replica::{transport_key, vote_key};
use crate::scheme::SimSigner;
use quorate_crypto::Signer;
use quorate_types::{
    Genesis, GenesisMember, LedgerTime, NamedKey, Number, Operations, Parameters, RegistryMode, ReplicaId,
    SessionId, SignedTransaction, Transaction,
};

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    pub n: u16,
    pub faults: Option<u16>,
    pub allow_crash_only: bool,
    pub parameters: Parameters,
    pub clients: usize,
}

impl Setup {
    /// `n` replicas with small checkpoints.
    pub fn of(n: u16) -> Self {
        Self {
            n,
            faults: None,
            allow_crash_only: n < 4,
            parameters: Parameters { checkpoint_every: 4, window: 8, depth: 4, ..Parameters::default() },
            clients: 4,
        }
    }
}

pub(super) fn genesis(setup: &Setup) -> Genesis {
    let member = |id: ReplicaId| GenesisMember {
        name: format!("node{id}"),
        vote: vote_key(id).public_key(),
        transport: transport_key(id).public_key(),
        peer: String::new(),
        api: String::new(),
    };
    Genesis {
        name: "simulated".to_owned(),
        created: LedgerTime(EPOCH_MS),
        app: "kv".to_owned(),
        faults: setup.faults.unwrap_or(setup.n.saturating_sub(1) / 3),
        allow_crash_only: setup.allow_crash_only,
        parameters: setup.parameters.clone(),
        members: ReplicaId::all(setup.n).map(member).collect(),
        clients: (0..setup.clients)
            .map(|client| NamedKey { name: format!("c{client}"), key: client_key(client).public_key() })
            .collect(),
        operators: vec![NamedKey { name: "operator".to_owned(), key: operator_key().public_key() }],
        approvals: 1,
        registry: RegistryMode::Closed,
    }
}

/// The key of the one operator.
pub(super) fn operator_key() -> SimSigner {
    SimSigner::named("operator")
}

fn client_key(client: usize) -> SimSigner {
    SimSigner::named(&format!("client {client}"))
}

impl Cluster {
    /// A statement signed with a member's own key: what that member could say if it lied.
    pub fn signed_by(
        &self,
        member: ReplicaId,
        statement: quorate_types::Statement,
    ) -> quorate_types::SignedStatement {
        let epoch = self.members.epoch();
        let signature = vote_key(member).sign(&statement.signed_bytes(self.members.ledger(), epoch));
        quorate_types::SignedStatement { epoch, signer: member, statement, signature }
    }

    /// A client's signed transaction.
    pub fn transaction(
        &self,
        client: usize,
        (session, number): (u64, u64),
        valid_for_ms: u64,
        operations: &Operations,
    ) -> SignedTransaction {
        let key = client_key(client);
        let transaction = Transaction {
            ledger: *self.members.ledger(),
            sender: key.public_key(),
            session: SessionId::new(session),
            number: Number::new(number),
            valid_until: LedgerTime(EPOCH_MS + self.now / 1_000 + valid_for_ms),
            app: "kv".to_owned(),
            payload: operations.to_payload(),
        };
        let signature = key.sign(&transaction.signed_bytes());
        SignedTransaction { transaction, signature }
    }
}
