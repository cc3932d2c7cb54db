//! Doing what the engine wants done. Called by the log thread for what had to wait, and by the core thread for what had not.

use crate::core_thread::CoreInput;
use crate::execution::ExecutionInput;
use crate::reports;
use crate::shared::{Shared, post};
use bytes::Bytes;
use crossbeam_channel::Sender;
use quorate_codec::encode_message;
use quorate_engine::{Action, Class, Event};
use quorate_network::{Network, Stream};
use std::sync::Arc;

/// Where actions go.
#[derive(Clone)]
pub(crate) struct Outward {
    pub(crate) shared: Arc<Shared>,
    pub(crate) network: Network,
    pub(crate) execution: Sender<ExecutionInput>,
    pub(crate) core: Sender<CoreInput>,
}

fn stream_of(class: Class) -> Stream {
    match class {
        Class::Votes => Stream::Votes,
        Class::Proposals => Stream::Proposals,
        Class::Bulk => Stream::Bulk,
    }
}

impl Outward {
    pub(crate) fn perform(&self, action: Action) {
        match action {
            Action::Send { to, message, class } => {
                self.network.send(to, stream_of(class), Bytes::from(encode_message(&message)));
            }
            Action::Broadcast { message, class } => {
                self.network.broadcast(stream_of(class), &Bytes::from(encode_message(&message)));
            }
            Action::Execute { seq, batch } => {
                post(&self.execution, ExecutionInput::Execute { seq, batch });
            }
            Action::MakeDurable { seq } => post(&self.execution, ExecutionInput::MakeDurable { seq }),
            Action::StoreCertificate(certificate) => {
                post(&self.execution, ExecutionInput::Certificate(certificate.clone()));
                post(&self.core, CoreInput::Event(Event::Certified(certificate)));
            }
            Action::ReadBlocks { to, from } => {
                post(&self.execution, ExecutionInput::ReadBlocks { to, from });
            }
            Action::Answer { token, answer } => self.shared.waiters.answer(token, answer),
            Action::Report(report) => reports::tell(&self.shared, &report),
        }
    }
}
