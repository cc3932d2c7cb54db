//! Doing what the engine wants done. Called by the log thread for what had to wait, and by the core thread for what had not.

use crate::core_thread::CoreInput;
use crate::execution::ExecutionInput;
use crate::reports;
use crate::shared::{Shared, post};
use crate::supply::SupplyInput;
use bytes::Bytes;
use crossbeam_channel::Sender;
use quorate_codec::encode_message;
use quorate_engine::{Action, Class, Event};
use quorate_network::{Network, Stream};
use quorate_types::{Message, ReplicaId};
use std::sync::Arc;

/// Stands where messages leave for peers: what it hands to the network is sent instead, when it likes. For members that
/// lie, in tests; the `quorate` binary has none.
pub trait Outgoing: Send + Sync {
    /// The replica wants `to` to get this message on this stream.
    fn send(&self, network: &Network, to: ReplicaId, stream: Stream, message: &Message);
}

/// Where actions go.
#[derive(Clone)]
pub(crate) struct Outward {
    pub(crate) shared: Arc<Shared>,
    pub(crate) network: Network,
    pub(crate) execution: Sender<ExecutionInput>,
    pub(crate) core: Sender<CoreInput>,
    pub(crate) supply: Sender<SupplyInput>,
    pub(crate) outgoing: Option<Arc<dyn Outgoing>>,
}

fn stream_of(class: Class) -> Stream {
    match class {
        Class::Votes => Stream::Votes,
        Class::Proposals => Stream::Proposals,
        Class::Bulk => Stream::Bulk,
    }
}

impl Outward {
    fn others(&self) -> impl Iterator<Item = ReplicaId> {
        let me = self.shared.me;
        ReplicaId::all(self.shared.trust.members().count()).filter(move |other| *other != me)
    }

    pub(crate) fn perform(&self, action: Action) {
        match action {
            Action::Send { to, message, class } => match &self.outgoing {
                None => self.network.send(to, stream_of(class), Bytes::from(encode_message(&message))),
                Some(outgoing) => outgoing.send(&self.network, to, stream_of(class), &message),
            },
            Action::Broadcast { message, class } => match &self.outgoing {
                None => self.network.broadcast(stream_of(class), &Bytes::from(encode_message(&message))),
                Some(outgoing) => {
                    for to in self.others() {
                        outgoing.send(&self.network, to, stream_of(class), &message);
                    }
                }
            },
            Action::Execute { seq, batch } => {
                post(&self.execution, ExecutionInput::Execute { seq, batch });
            }
            Action::MakeDurable { seq } => post(&self.execution, ExecutionInput::MakeDurable { seq }),
            Action::StoreState { seq, certificate } => {
                post(&self.execution, ExecutionInput::StoreState { seq, certificate });
            }
            Action::StoreCertificate(certificate) => {
                post(&self.execution, ExecutionInput::Certificate(certificate.clone()));
                post(&self.core, CoreInput::Event(Event::Certified(certificate)));
            }
            Action::ReadState { to, fetch } => {
                // Full: the peer asks again, or another.
                let _ = self.supply.try_send(SupplyInput::Asked(to, fetch));
            }
            Action::KeepTransfer(record) => {
                // Full: what is lost is fetched again, if it comes to that.
                let _ = self.supply.try_send(SupplyInput::Keep(record));
            }
            Action::CloseEpoch { last } => {
                tracing::info!(event = "epoch_closed", %last, "block {last} was the last one of the epoch");
                self.shared.end();
            }
            Action::ReadHandover { to, epoch } => {
                // Full: the peer says again where it is.
                let _ = self.supply.try_send(SupplyInput::Handover(to, epoch));
            }
            // By now everything before it was handed over.
            Action::PrepareInstall { seq } => post(&self.core, CoreInput::Event(Event::InstallState { seq })),
            Action::Install(fetched) => post(&self.execution, ExecutionInput::Install(fetched)),
            Action::ReadBlocks { to, from } => {
                post(&self.execution, ExecutionInput::ReadBlocks { to, from });
            }
            Action::Answer { token, answer } => self.shared.waiters.answer(token, answer),
            Action::Report(report) => reports::tell(&self.shared, &report),
        }
    }
}
