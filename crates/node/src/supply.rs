//! The supply thread: reads the state of a checkpoint for peers that fetch it (T2), so that execution does not wait for them.

use crate::core_thread::CoreInput;
use crate::shared::{Shared, post};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use quorate_engine::Event;
use quorate_storage::StateSupply;
use quorate_types::{Fetch, ReplicaId};
use std::sync::Arc;
use std::time::Duration;

/// A copy of a state that nobody has asked for in this time goes.
const IDLE: Duration = Duration::from_secs(30);

/// What a peer asks for.
pub(crate) type Asked = (ReplicaId, Fetch);

/// Runs until nobody can ask any more, or the stores are closed.
pub(crate) fn run(shared: &Arc<Shared>, asked: &Receiver<Asked>, core: &Sender<CoreInput>) {
    let Ok(store) = shared.store.with(|store| store.clone()) else { return };
    let mut supply = StateSupply::default();
    loop {
        match asked.recv_timeout(IDLE) {
            Ok((to, fetch)) => {
                let Ok(answer) = shared.blocks.with(|blocks| supply.answer(&fetch, blocks, &store)) else {
                    return;
                };
                match answer {
                    Ok(Some(message)) => post(core, CoreInput::Event(Event::StateRead { to, message })),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(event = "state_read_failed", %error, "cannot read the state")
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => supply.forget(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
