//! QUIC links between replicas. Moves bytes and knows no message.
//!
//! Both ends identify themselves by raw public keys (RFC 7250) over TLS 1.3; the verifier itself checks that the key belongs
//! to a member. There is one connection for each peer, which the member with the lower index dials, and three streams in
//! each direction, so that a large transfer does not hold up votes.

mod identity;
mod link;
mod network;
mod preface;
mod queue;

pub use identity::IdentityError;
pub use network::{Config, Event, Network, NetworkError, PeerStats, Statistics, Stream};
pub use preface::Preface;
