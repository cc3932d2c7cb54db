//! Plain HTTP beside gRPC on the same listener: metrics and health.

use crate::shared::Shared;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use quorate_network::Statistics;
use quorate_pbft::Phase;
use std::sync::Arc;
use std::time::Duration;

/// A core thread that has not gone round for this long is stuck.
const STUCK: Duration = Duration::from_secs(5);

pub(crate) fn add_routes(router: Router, shared: &Arc<Shared>, network: Statistics) -> Router {
    let (metrics, live, ready) = (shared.clone(), shared.clone(), shared.clone());
    router
        .route("/metrics", get(move || async move { show_metrics(&metrics, &network) }))
        .route("/livez", get(move || async move { livez(&live) }))
        .route("/readyz", get(move || async move { readyz(&ready) }))
}

fn show_metrics(shared: &Shared, network: &Statistics) -> impl IntoResponse + use<> {
    let published = shared.published();
    for (peer, member) in shared.trust.members().iter().filter(|(peer, _)| *peer != published.status.me) {
        let rtt = published.rtts.get(&peer).copied();
        shared.metrics.peer(&member.name, &network.of(peer), rtt);
    }
    let content = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content)], shared.metrics.encode())
}

/// Whether the core thread goes round.
fn livez(shared: &Shared) -> (StatusCode, String) {
    let since = shared.published().at.elapsed();
    if since < STUCK {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("the core thread has not moved for {since:?}\n"))
    }
}

/// Whether this node takes transactions and its quorum can commit them. Needs no commit, or all nodes of an idle ledger
/// would be unready together.
fn readyz(shared: &Shared) -> (StatusCode, String) {
    let published = shared.published();
    let status = published.status;
    let needed = shared.trust.members().quorums().strong();
    let reachable = published.rtts.len() + 1;
    let why = match status.phase {
        Phase::Normal if reachable >= needed || needed == 1 => None,
        Phase::Normal => Some(format!("only {reachable} of {needed} members of a quorum are in reach")),
        Phase::Starting => Some(format!("waits for {} more HELLO replies", status.hello_missing)),
        Phase::ViewChange => Some(format!("waits for view {}", status.view)),
        Phase::CatchingUp => Some(format!("catching up from block {}", status.executed)),
        Phase::Learner if !shared.may_vote => {
            Some("runs as a learner: the members do not name its store".to_owned())
        }
        Phase::Learner => Some("runs as a learner: its store forgot votes".to_owned()),
        Phase::Halted => Some("stopped voting: its ledger contradicts a certificate".to_owned()),
    };
    match why {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
