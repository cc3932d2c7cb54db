//! The built-in application: keys with values, and log topics. All operations of a transaction take effect or none.

use crate::application::{Application, Execution, TransactionContext};
use crate::namespace::Namespace;
use quorate_crypto::sha256;
use quorate_types::operation::StoredValue;
use quorate_types::state::{KV_ENTRY, KV_TOPIC};
use quorate_types::{FailReason, Operation, OperationOutput, Operations, TopicLeaf, limits, operation};

/// The application `kv`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kv;

/// Why an operation failed, and the value it found, if that is why.
struct Failure {
    reason: FailReason,
    found: Option<OperationOutput>,
}

impl Failure {
    fn limit() -> Self {
        Self { reason: FailReason::LimitExceeded, found: None }
    }

    fn found(reason: FailReason, stored: Option<StoredValue>) -> Self {
        Self { reason, found: Some(OperationOutput::Value(stored)) }
    }

    fn execution(self, operation: usize, limit: usize) -> Execution {
        let found = self.found.as_slice();
        let fits = output_bytes(found) <= limit;
        Execution::Failed {
            reason: self.reason,
            operation: u32::try_from(operation).unwrap_or(u32::MAX),
            output: OperationOutput::list_to_bytes(if fits { found } else { &[] }),
        }
    }
}

impl Application for Kv {
    fn name(&self) -> &str {
        operation::APP
    }

    fn execute(&self, context: &TransactionContext, payload: &[u8], state: &mut Namespace<'_>) -> Execution {
        let Ok(Operations(operations)) = Operations::from_payload(payload) else {
            return Failure { reason: FailReason::Malformed, found: None }.execution(0, context.output_limit);
        };
        let mut outputs = Vec::with_capacity(operations.len());
        // A `get` is a few bytes and its output may be long: the total is watched as it grows.
        let mut size = output_bytes(&[]);
        for (index, operation) in operations.into_iter().enumerate() {
            let result = run(operation, context, state).and_then(|output| {
                size = size.saturating_add(output_size(&output));
                if size > context.output_limit { Err(Failure::limit()) } else { Ok(output) }
            });
            match result {
                Ok(output) => outputs.push(output),
                Err(failure) => return failure.execution(index, context.output_limit),
            }
        }
        Execution::Committed { output: OperationOutput::list_to_bytes(&outputs) }
    }
}

/// Bytes of one output in the layout of [`OperationOutput::list_to_bytes`].
fn output_size(output: &OperationOutput) -> usize {
    match output {
        OperationOutput::Done { .. } => 2,
        OperationOutput::Value(None) => 1,
        OperationOutput::Value(Some(stored)) => 1 + 8 + 4 + 4 + stored.value.len(),
        OperationOutput::Appended { .. } => 1 + 8,
    }
}

fn output_bytes(outputs: &[OperationOutput]) -> usize {
    4 + outputs.iter().map(output_size).sum::<usize>()
}

fn run(
    operation: Operation,
    context: &TransactionContext,
    state: &mut Namespace<'_>,
) -> Result<OperationOutput, Failure> {
    check_limits(&operation)?;
    match operation {
        Operation::Put { key, value } => Ok(write(context, state, &key, value)),
        Operation::Delete { key } => {
            let key = entry_key(&key);
            let existed = state.get(&key).is_some();
            state.delete(&key);
            Ok(OperationOutput::Done { existed })
        }
        Operation::Get { key } => Ok(OperationOutput::Value(read(state, &key))),
        Operation::Cas { key, expected, value } => {
            let found = read(state, &key);
            if found.as_ref().map(|stored| &stored.value) != expected.as_ref() {
                return Err(Failure::found(FailReason::CasMismatch, found));
            }
            Ok(write(context, state, &key, value))
        }
        Operation::PutIfAbsent { key, value } => match read(state, &key) {
            None => Ok(write(context, state, &key, value)),
            found => Err(Failure::found(FailReason::KeyExists, found)),
        },
        Operation::Append { topic, entry } => Ok(append(state, &topic, &entry)),
    }
}

fn check_limits(operation: &Operation) -> Result<(), Failure> {
    let within = match operation {
        Operation::Put { key, .. }
        | Operation::Delete { key }
        | Operation::Get { key }
        | Operation::Cas { key, .. }
        | Operation::PutIfAbsent { key, .. } => key.len() <= limits::MAX_KEY_BYTES,
        Operation::Append { topic, .. } => topic.len() <= limits::MAX_TOPIC_BYTES,
    };
    if within { Ok(()) } else { Err(Failure::limit()) }
}

fn entry_key(key: &[u8]) -> Vec<u8> {
    [&[KV_ENTRY], key].concat()
}

fn read(state: &Namespace<'_>, key: &[u8]) -> Option<StoredValue> {
    state.get(&entry_key(key)).and_then(|leaf| StoredValue::from_bytes(&leaf).ok())
}

fn write(
    context: &TransactionContext,
    state: &mut Namespace<'_>,
    key: &[u8],
    value: Vec<u8>,
) -> OperationOutput {
    let key = entry_key(key);
    let existed = state.get(&key).is_some();
    let stored = StoredValue { value, height: context.height.get(), index: context.index };
    state.put(&key, stored.to_bytes());
    OperationOutput::Done { existed }
}

/// The entry itself lives in the block; the state holds the topic's length and running hash.
fn append(state: &mut Namespace<'_>, topic: &[u8], entry: &[u8]) -> OperationOutput {
    let key = [&[KV_TOPIC], topic].concat();
    let topic =
        state.get(&key).and_then(|leaf| TopicLeaf::from_bytes(&leaf).ok()).unwrap_or(TopicLeaf::EMPTY);
    let running_hash = sha256(&topic.entry_bytes(&sha256(entry)));
    state.put(&key, TopicLeaf { length: topic.length.saturating_add(1), running_hash }.to_bytes());
    OperationOutput::Appended { index: topic.length }
}

#[cfg(test)]
mod tests;
