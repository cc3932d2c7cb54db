//! The state of a checkpoint from whichever node gives it: it proves itself, part by part (T2).

use crate::client::Client;
use crate::error::ClientError;
use quorate_api::v1::{self, get_state_request::What};
use quorate_codec::Caps;
use quorate_types::{Message, Seq, StateLeaves, StateParts};
use std::time::Duration;

/// A node may have to read the whole state first.
const PATIENCE: Duration = Duration::from_secs(30);

impl Client {
    /// The parts of a state after a later block than this one, as the first node gives them whose answer `accept` takes. Nothing of the
    /// answer is checked here but its form.
    ///
    /// # Errors
    /// If no node gives what is accepted.
    pub async fn state_parts<T>(
        &self,
        above: Seq,
        accept: impl Fn(StateParts) -> Option<T>,
    ) -> Result<T, ClientError> {
        let asked = v1::GetStateRequest { what: Some(What::PartsAbove(above.get())) };
        let accept = |message| match message {
            Message::StateParts(parts) => accept(*parts),
            _ => None,
        };
        self.state_message(asked, accept).await
    }

    /// The keys and values of one part of the state after a block, in the same way.
    ///
    /// # Errors
    /// As [`Client::state_parts`].
    pub async fn state_leaves<T>(
        &self,
        (height, index): (Seq, u32),
        mut accept: impl FnMut(StateLeaves) -> Option<T>,
    ) -> Result<T, ClientError> {
        let at = v1::StatePartAt { height: height.get(), index };
        let asked = v1::GetStateRequest { what: Some(What::Leaves(at)) };
        let accept = |message| match message {
            Message::StateLeaves(leaves) => accept(*leaves),
            _ => None,
        };
        self.state_message(asked, accept).await
    }

    async fn state_message<T>(
        &self,
        asked: v1::GetStateRequest,
        mut accept: impl FnMut(Message) -> Option<T>,
    ) -> Result<T, ClientError> {
        let trust = self.trust();
        let caps = Caps::new(trust.members(), &trust.genesis().parameters);
        let mut why = "there is no gateway".to_owned();
        for gateway in self.in_order() {
            let answer = gateway.ask(PATIENCE, |mut api| async move { api.get_state(asked).await }).await;
            let taken = answer.and_then(|answer| {
                if answer.message.is_empty() {
                    return Err("it does not have that state, or not any more".to_owned());
                }
                let message = quorate_codec::decode_message(&answer.message, &caps);
                let message = message.map_err(|error| format!("its answer cannot be read: {error}"))?;
                accept(message).ok_or_else(|| "its answer does not hold".to_owned())
            });
            match taken {
                Ok(taken) => return Ok(taken),
                Err(error) => why = format!("{}: {error}", gateway.url),
            }
        }
        Err(ClientError::NotFound(format!("no gateway gives the state: {why}")))
    }
}
