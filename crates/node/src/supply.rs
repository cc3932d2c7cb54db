//! The supply thread: reads the state of a checkpoint for peers that fetch it, and keeps what this replica fetches of one (T2), so that
//! execution does not wait for it.

use crate::api::Service;
use crate::core_thread::CoreInput;
use crate::shared::{Shared, post};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use quorate_api::v1;
use quorate_engine::{Event, TransferRecord};
use quorate_storage::{RealDisk, RedbStateStore, StateSupply, TransferFile};
use quorate_types::{Epoch, Fetch, Handover, Message, ReplicaId, Seq};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::Status;

/// A copy of a state that nobody has asked for in this time goes.
const IDLE: Duration = Duration::from_secs(30);

pub(crate) enum SupplyInput {
    /// A peer asks for this.
    Asked(ReplicaId, Fetch),
    /// A client asks for this.
    AskedByClient(Fetch, oneshot::Sender<Option<Message>>),
    /// A peer is still in this epoch.
    Handover(ReplicaId, Epoch),
    /// Keep this of the transfer to this replica.
    Keep(TransferRecord),
}

/// Runs until nobody can ask any more, or the stores are closed.
pub(crate) fn run(
    shared: &Arc<Shared>,
    input: &Receiver<SupplyInput>,
    core: &Sender<CoreInput>,
    mut transfer: TransferFile<RealDisk>,
) {
    let Ok(store) = shared.store.with(|store| store.clone()) else { return };
    let mut supply = StateSupply::default();
    loop {
        match input.recv_timeout(IDLE) {
            Ok(SupplyInput::Asked(to, fetch)) => match answer(&mut supply, shared, &store, &fetch) {
                Ok(Some(message)) => post(core, CoreInput::Event(Event::StateRead { to, message })),
                Ok(None) | Err(Unread::Failed) => {}
                Err(Unread::Closed) => return,
            },
            Ok(SupplyInput::AskedByClient(fetch, to)) => match answer(&mut supply, shared, &store, &fetch) {
                // Whoever asked may have gone.
                Ok(answer) => drop(to.send(answer)),
                Err(Unread::Failed) => {}
                Err(Unread::Closed) => return,
            },
            Ok(SupplyInput::Handover(to, epoch)) => match shared.handovers.get(epoch) {
                Ok(Some(Handover { certificate, .. })) => {
                    post(core, CoreInput::Event(Event::HandoverRead { to, certificate }));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(event = "handover_read_failed", %error, "cannot read a handover")
                }
            },
            Ok(SupplyInput::Keep(record)) => keep(&mut transfer, &record),
            Err(RecvTimeoutError::Timeout) => supply.forget(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Why nothing was read.
enum Unread {
    /// The stores are closed.
    Closed,
    /// As the log tells.
    Failed,
}

/// What answers this, if anything does.
fn answer(
    supply: &mut StateSupply,
    shared: &Shared,
    store: &RedbStateStore,
    fetch: &Fetch,
) -> Result<Option<Message>, Unread> {
    let read =
        shared.blocks.with(|blocks| supply.answer(fetch, blocks, store)).map_err(|_| Unread::Closed)?;
    read.map_err(|error| {
        tracing::error!(event = "state_read_failed", %error, "cannot read the state");
        Unread::Failed
    })
}

impl Service {
    /// What a client asks for of the state.
    pub(crate) async fn state_message(&self, asked: v1::GetStateRequest) -> Result<v1::StateMessage, Status> {
        use v1::get_state_request::What;
        let fetch = match asked.what {
            Some(What::PartsAbove(above)) => Fetch::StateParts { above: Seq::new(above) },
            Some(What::Leaves(at)) => Fetch::StateLeaves { height: Seq::new(at.height), index: at.index },
            None => return Err(Status::invalid_argument("name what of the state is wanted")),
        };
        let (to, answer) = oneshot::channel();
        if self.supply.try_send(SupplyInput::AskedByClient(fetch, to)).is_err() {
            return Err(Status::resource_exhausted("too many ask for the state: ask again, or another node"));
        }
        let answer =
            answer.await.map_err(|_| Status::unavailable("this node stops, or cannot read its state"))?;
        let message = answer.map_or_else(Vec::new, |message| quorate_codec::encode_message(&message));
        Ok(v1::StateMessage { message })
    }
}

/// A disk that cannot keep it costs fetching again after a restart, nothing else.
fn keep(transfer: &mut TransferFile<RealDisk>, record: &TransferRecord) {
    let kept = match record {
        TransferRecord::Begin(messages) => transfer.begin(messages),
        TransferRecord::Add(message) => transfer.add(message),
        TransferRecord::End => transfer.end(),
    };
    if let Err(error) = kept {
        tracing::warn!(event = "transfer_not_kept", %error, "cannot keep what was fetched of a state: {error}");
    }
}
