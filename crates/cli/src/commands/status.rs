//! `quorate status`: whether the ledger can commit.

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use quorate_client::{ErrorCode, v1};
use serde_json::{Value, json};

/// The ledger works, but tolerates no further fault.
pub(crate) const DEGRADED: u8 = 10;
pub(crate) const NO_QUORUM: u8 = 7;

/// Prints where every gateway stands. The exit code tells scripts: 0 normal, 10 degraded, 7 no quorum.
pub(crate) async fn run(context: &Context) -> Outcome<u8> {
    let client = context.client(None).await.map_err(|failure| match failure.code {
        ErrorCode::Unreachable => Failure::new(ErrorCode::NoQuorum)
            .why("no replica accepted a connection")
            .fix("start the replicas: quorate testnet up, or quorate node run"),
        _ => failure,
    })?;
    let answers = client.status().await;
    let trust = client.trust();
    let members = trust.members();
    let quorums = members.quorums();
    let voting = answers
        .iter()
        .filter(|(_, answer)| {
            answer.as_ref().is_ok_and(|status| matches!(status.state.as_str(), "normal" | "view-change"))
        })
        .count();
    // One gateway of many was asked: what it sees of its peers counts.
    let seen = answers
        .iter()
        .filter_map(|(_, answer)| answer.as_ref().ok())
        .map(|status| 1 + status.peers.iter().filter(|peer| peer.connected).count())
        .max()
        .unwrap_or(0);
    let present = if answers.len() < usize::from(members.count()) { seen } else { voting };
    let (exit, verdict) = verdict(present, &quorums);
    let documents: Vec<Value> = answers.iter().map(|(endpoint, answer)| document(endpoint, answer)).collect();
    let document = json!({
        "schema": "quorate.status.v1",
        "ledger": client.trust().ledger().to_string(),
        "name": client.trust().genesis().name,
        "arithmetic": quorums.explain(),
        "crash_only": quorums.is_crash_only(),
        "present": present,
        "verdict": verdict,
        "nodes": documents,
    });
    let rows: Vec<Vec<String>> = answers.iter().map(|(endpoint, answer)| row(endpoint, answer)).collect();
    let columns = ["NODE", "ROLE", "STATE", "VIEW", "EXECUTED", "STABLE", "PEERS", "API"];
    context.output.table(&document, &columns, &rows);
    context.output.note(format!("{}\n{verdict}", quorums.explain()));
    for (_, answer) in &answers {
        if let Ok(status) = answer
            && !status.why.is_empty()
        {
            context.output.note(format!("{}: {}", status.node, status.why));
        }
        if let Ok(status) = answer {
            status.alarms.iter().for_each(|alarm| context.output.note(format!("{}: {alarm}", status.node)));
        }
    }
    Ok(exit)
}

fn verdict(present: usize, quorums: &quorate_types::Quorums) -> (u8, String) {
    let (needed, n) = (quorums.strong(), usize::from(quorums.members()));
    if present < needed {
        (NO_QUORUM, format!("no quorum: {present} of {n} replicas vote, commits need {needed}"))
    } else if present == needed && n > needed {
        (DEGRADED, format!("quorum {needed} of {n} present: commits flow, no further fault is tolerated now"))
    } else {
        (
            0,
            format!(
                "{present} of {n} replicas vote, commits need {needed}: {} more may fail",
                present - needed
            ),
        )
    }
}

fn document(endpoint: &str, answer: &Result<v1::Status, String>) -> Value {
    match answer {
        Err(why) => json!({ "api": endpoint, "state": "unreachable", "why": why }),
        Ok(status) => json!({
            "api": endpoint,
            "node": status.node,
            "member": status.member,
            "state": status.state,
            "why": status.why,
            "version": status.version,
            "epoch": status.epoch,
            "view": status.view,
            "active": status.active,
            "primary": status.primary,
            "base": status.base,
            "stable": status.stable,
            "proposed": status.proposed,
            "committed": status.committed,
            "executed": status.executed,
            "certified": status.certified,
            "custody": status.custody,
            "pid": status.pid,
            "uptime_ms": status.uptime_ms,
            "alarms": status.alarms,
            "peers": status.peers.iter().map(|peer| json!({
                "name": peer.name, "connected": peer.connected, "rtt_us": peer.rtt_us,
            })).collect::<Vec<_>>(),
        }),
    }
}

fn row(endpoint: &str, answer: &Result<v1::Status, String>) -> Vec<String> {
    let dash = || "-".to_owned();
    match answer {
        Err(_) => vec![
            dash(),
            dash(),
            "unreachable".to_owned(),
            dash(),
            dash(),
            dash(),
            dash(),
            endpoint.to_owned(),
        ],
        Ok(status) => vec![
            status.node.clone(),
            if status.member == status.primary { "primary".to_owned() } else { "backup".to_owned() },
            status.state.clone(),
            status.view.to_string(),
            status.executed.to_string(),
            status.stable.to_string(),
            format!("{}/{}", status.peers.iter().filter(|peer| peer.connected).count(), status.peers.len()),
            endpoint.to_owned(),
        ],
    }
}
