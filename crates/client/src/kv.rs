//! Operations of the built-in application, one transaction each.

use crate::client::Client;
use crate::error::ClientError;
use crate::outcome::Outcome;
use quorate_types::{Operation, Operations};

/// Keys and values. Each call is one transaction, ordered with all others.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'c> {
    client: &'c Client,
}

impl<'c> Kv<'c> {
    pub(crate) fn new(client: &'c Client) -> Self {
        Self { client }
    }

    async fn one(&self, operation: Operation) -> Result<Outcome, ClientError> {
        self.client.execute(&Operations(vec![operation])).await
    }

    /// Sets a key.
    ///
    /// # Errors
    /// As [`Client::execute`].
    pub async fn put(
        &self,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> Result<Outcome, ClientError> {
        self.one(Operation::Put { key: key.into(), value: value.into() }).await
    }

    /// Sets a key that must be absent.
    ///
    /// # Errors
    /// As [`Client::execute`].
    pub async fn put_if_absent(
        &self,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> Result<Outcome, ClientError> {
        self.one(Operation::PutIfAbsent { key: key.into(), value: value.into() }).await
    }

    /// Reads a key at this place in the order: current, and proven by the receipt. It costs a transaction.
    ///
    /// # Errors
    /// As [`Client::execute`].
    pub async fn get(&self, key: impl Into<Vec<u8>>) -> Result<Outcome, ClientError> {
        self.one(Operation::Get { key: key.into() }).await
    }

    /// Sets a key if it holds the expected value; `None`: if it is absent.
    ///
    /// # Errors
    /// As [`Client::execute`].
    pub async fn cas(
        &self,
        key: impl Into<Vec<u8>>,
        expected: Option<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> Result<Outcome, ClientError> {
        self.one(Operation::Cas { key: key.into(), expected, value: value.into() }).await
    }

    /// Removes a key, if it is there.
    ///
    /// # Errors
    /// As [`Client::execute`].
    pub async fn delete(&self, key: impl Into<Vec<u8>>) -> Result<Outcome, ClientError> {
        self.one(Operation::Delete { key: key.into() }).await
    }
}

/// A replicated log. The index of an entry is part of the receipt.
#[derive(Clone, Debug)]
pub struct Topic<'c> {
    client: &'c Client,
    name: Vec<u8>,
}

impl<'c> Topic<'c> {
    pub(crate) fn new(client: &'c Client, name: Vec<u8>) -> Self {
        Self { client, name }
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// As [`Client::execute`].
    pub async fn append(&self, entry: impl Into<Vec<u8>>) -> Result<Outcome, ClientError> {
        let operation = Operation::Append { topic: self.name.clone(), entry: entry.into() };
        self.client.execute(&Operations(vec![operation])).await
    }
}
