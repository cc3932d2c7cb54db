//! From the network to the verify pool: decode within caps, drop what is useless, keep the rest in order.

use crate::core_thread::CoreInput;
use crate::shared::{Shared, post};
use crate::verify::{Unverified, VerifyQueue};
use crossbeam_channel::Sender;
use quorate_codec::{Caps, decode_message};
use quorate_engine::{Event, is_useful};
use quorate_network::Event as NetworkEvent;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Runs until the network ends. What a peer sends faster than its share is verified is lost, and repaired by STATUS (R1).
pub(crate) fn run(
    mut events: mpsc::Receiver<NetworkEvent>,
    shared: &Arc<Shared>,
    caps: Caps,
    verify: &VerifyQueue,
    core: &Sender<CoreInput>,
) {
    while let Some(event) = events.blocking_recv() {
        match event {
            NetworkEvent::PeerUp { peer, name, version } => {
                tracing::info!(event = "peer_up", peer = name, version, "{name} connected");
                post(core, CoreInput::Event(Event::PeerUp(peer)));
            }
            NetworkEvent::PeerDown { peer, reason } => {
                let name = shared.member_name(peer);
                tracing::info!(event = "peer_down", peer = name, reason, "{name} disconnected: {reason}");
                post(core, CoreInput::Event(Event::PeerDown(peer)));
            }
            NetworkEvent::Refused { address, reason } => {
                tracing::warn!(event = "peer_refused", %address, reason, "refused {address}: {reason}");
            }
            NetworkEvent::Frame { peer, bytes, .. } => match decode_message(&bytes, &caps) {
                Ok(message) => {
                    if is_useful(&shared.status(), &message)
                        && verify
                            .push(Unverified::Message { from: peer, message, bytes: bytes.len() })
                            .is_err()
                    {
                        shared.metrics.dropped_message(shared.member_name(peer));
                    }
                }
                Err(error) => {
                    let name = shared.member_name(peer);
                    shared.metrics.bad_message(name);
                    tracing::warn!(event = "bad_frame", peer = name, %error, "{name} sent a malformed frame");
                }
            },
        }
    }
}
