//! S2, S11: a serial ledger, written anew and as plainly as can be, in which every agreed block must have the same results and
//! lead to the same state.

use super::Violation;
use quorate_ledger::{ExecutedBlock, State};
use quorate_types::operation::StoredValue;
use quorate_types::{
    Change, Epoch, FailReason, Governance, MemberSet, Number, Operation, OperationOutput, Operations,
    Parameters, PublicKey, Refusal, Seq, SessionId, SignedTransaction, TransactionResult, VoidReason,
    governance,
};
use std::collections::{BTreeMap, BTreeSet};

/// The model: numbers used, keys with values, topics with lengths.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    used: BTreeMap<(PublicKey, SessionId), BTreeSet<u64>>,
    values: BTreeMap<Vec<u8>, StoredValue>,
    topics: BTreeMap<Vec<u8>, u64>,
    /// The last block of each epoch that ended, or is to end.
    ends: Vec<Seq>,
    /// The change of the members that this block brings.
    change: Option<Change>,
}

/// G1, G4: whether a change led from these members to those. Who left keeps no key, and who joined has the keys that it signed with.
pub(crate) fn follows(change: &Change, before: &MemberSet, after: &MemberSet) -> bool {
    let keys = |set: &MemberSet| -> BTreeSet<PublicKey> {
        set.seats.iter().flat_map(|seat| [seat.member.vote, seat.member.transport]).collect()
    };
    let mut expected = keys(before);
    for seat in before.seats.iter().filter(|seat| Some(&seat.member.name) == change.remove.as_ref()) {
        expected.remove(&seat.member.vote);
        expected.remove(&seat.member.transport);
    }
    expected.extend(change.add.iter().flat_map(|joiner| [joiner.vote, joiner.transport]));
    keys(after) == expected && after.faults == change.faults
}

impl Reference {
    /// One agreed block, the next one.
    pub(crate) fn block(
        &mut self,
        block: &ExecutedBlock,
        state: &State,
        parameters: &Parameters,
    ) -> Result<(), Violation> {
        let violation = |what: String| Err(Violation { property: "S11 reference ledger", what });
        let height = block.header.height.get();
        for (index, (id, signed, result)) in (0u32..).zip(block.transactions()) {
            let expected = match self.admit(signed, block, parameters) {
                Err(reason) => TransactionResult::Void { reason },
                Ok(()) if signed.transaction.app == governance::APP => {
                    self.govern(signed, block.header.height, result, parameters)
                }
                Ok(()) => self.run(signed, (height, index)),
            };
            if expected != *result {
                return violation(format!("{id} in {height}: {result:?}, the model says {expected:?}"));
            }
        }
        if let Some(change) = self.change.take() {
            let sets = (state.member_set(block.header.epoch), state.member_set(block.header.epoch.next()));
            if !matches!(&sets, (Some(before), Some(after)) if follows(&change, before, after)) {
                return violation(format!(
                    "{height} should have brought {change:?}; the members are {sets:?}"
                ));
            }
        }
        // G2: an epoch begins with the block after the one that ended the epoch before.
        let epoch = self.ends.iter().filter(|end| **end < block.header.height).count() as u64;
        if block.header.epoch.get() != epoch {
            return violation(format!("{height} is of epoch {}, the model says {epoch}", block.header.epoch));
        }
        self.same_state(block.header.height, state)
    }

    /// The last block of an epoch, if it is known to end.
    pub(crate) fn end(&self, epoch: Epoch) -> Option<Seq> {
        self.ends.get(usize::try_from(epoch.get()).ok()?).copied()
    }

    /// G1: whether a change is legal is not modelled, but where it ends the epoch, and that one change waits for another.
    fn govern(
        &mut self,
        signed: &SignedTransaction,
        height: Seq,
        result: &TransactionResult,
        parameters: &Parameters,
    ) -> TransactionResult {
        let done = TransactionResult::Committed { output: Vec::new() };
        let pending = self.ends.last().is_some_and(|end| *end >= height);
        if *result == done && !pending {
            let every = parameters.checkpoint_every;
            self.ends.push(Seq::new(height.get().div_ceil(every) * every));
            if let Ok(Governance::Propose { change, .. }) =
                Governance::from_payload(&signed.transaction.payload)
            {
                self.change = Some(change);
            }
            return done;
        }
        match result {
            TransactionResult::Failed { reason: FailReason::Application, output, .. }
                if output.len() == 1 && Refusal::from_code(output[0]).is_some() =>
            {
                result.clone()
            }
            _ => TransactionResult::Failed {
                reason: FailReason::Application,
                operation: 0,
                output: vec![Refusal::ChangePending.code()],
            },
        }
    }

    /// C1, for clients that are registered and never idle for E.
    fn admit(
        &mut self,
        signed: &SignedTransaction,
        block: &ExecutedBlock,
        parameters: &Parameters,
    ) -> Result<(), VoidReason> {
        let transaction = &signed.transaction;
        let (time, until) = (block.header.time.0, transaction.valid_until.0);
        if time > until {
            return Err(VoidReason::Expired);
        }
        if until > time + parameters.max_validity_ms {
            return Err(VoidReason::ValidTooLong);
        }
        let used = self.used.entry((transaction.sender, transaction.session)).or_default();
        let number: Number = transaction.number;
        let low = (0..).find(|low| !used.contains(low)).unwrap_or(0);
        let number = number.get();
        if number < low {
            return Err(VoidReason::NumberBelowWindow);
        }
        if number - low >= u64::from(parameters.session_window) {
            return Err(VoidReason::NumberAboveWindow);
        }
        if used.insert(number) { Ok(()) } else { Err(VoidReason::NumberUsed) }
    }

    fn run(&mut self, signed: &SignedTransaction, place: (u64, u32)) -> TransactionResult {
        let failed = |reason, operation, output: &[OperationOutput]| TransactionResult::Failed {
            reason,
            operation,
            output: OperationOutput::list_to_bytes(output),
        };
        let Ok(Operations(operations)) = Operations::from_payload(&signed.transaction.payload) else {
            return failed(FailReason::Malformed, 0, &[]);
        };
        let before = (self.values.clone(), self.topics.clone());
        let mut outputs = Vec::new();
        for (index, operation) in (0u32..).zip(operations) {
            match self.apply(operation, place) {
                Ok(output) => outputs.push(output),
                Err((reason, found)) => {
                    (self.values, self.topics) = before;
                    return failed(reason, index, &[OperationOutput::Value(found)]);
                }
            }
        }
        TransactionResult::Committed { output: OperationOutput::list_to_bytes(&outputs) }
    }

    fn apply(
        &mut self,
        operation: Operation,
        (height, index): (u64, u32),
    ) -> Result<OperationOutput, (FailReason, Option<StoredValue>)> {
        let set = |values: &mut BTreeMap<Vec<u8>, StoredValue>, key, value| OperationOutput::Done {
            existed: values.insert(key, StoredValue { value, height, index }).is_some(),
        };
        Ok(match operation {
            Operation::Put { key, value } => set(&mut self.values, key, value),
            Operation::Delete { key } => {
                OperationOutput::Done { existed: self.values.remove(&key).is_some() }
            }
            Operation::Get { key } => OperationOutput::Value(self.values.get(&key).cloned()),
            Operation::Cas { key, expected, value } => {
                let found = self.values.get(&key);
                if found.map(|stored| &stored.value) != expected.as_ref() {
                    return Err((FailReason::CasMismatch, found.cloned()));
                }
                set(&mut self.values, key, value)
            }
            Operation::PutIfAbsent { key, value } => {
                if let Some(found) = self.values.get(&key) {
                    return Err((FailReason::KeyExists, Some(found.clone())));
                }
                set(&mut self.values, key, value)
            }
            Operation::Append { topic, entry: _ } => {
                let length = self.topics.entry(topic).or_default();
                *length += 1;
                OperationOutput::Appended { index: *length - 1 }
            }
        })
    }

    /// The state after the block, key by key.
    fn same_state(&self, height: Seq, state: &State) -> Result<(), Violation> {
        let held = state.kv_list(b"", None, usize::MAX);
        let same = held.len() == self.values.len()
            && held.iter().zip(&self.values).all(|(held, model)| (&held.0, &held.1) == model);
        let topic =
            |(topic, length): (&Vec<u8>, &u64)| state.topic(topic).is_some_and(|leaf| leaf.length == *length);
        if same && self.topics.iter().all(topic) {
            return Ok(());
        }
        let what = format!("after {height} the state has {held:?}, the model {:?}", self.values);
        Err(Violation { property: "S11 reference ledger", what })
    }
}
