//! `quorate health`: a verdict for scripts and orchestrators; with `--deep` one that proves something.

use crate::commands::status::NO_QUORUM;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use quorate_client::{Client, ErrorCode, Operations, v1};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A transaction that committed just now.
struct Commit {
    height: u64,
    signatures: usize,
    latency: Duration,
}

/// Replicas whose block at one height is the one that a quorum signed.
struct Agreement {
    height: u64,
    replicas: usize,
    /// That could be asked.
    of: usize,
}

pub(crate) async fn run(context: &Context, deep: bool) -> Outcome<u8> {
    let client = context.client(None).await?;
    let answers = client.status().await;
    let ready = answers.iter().any(|(_, answer)| is_ready(answer));
    let (mut commit, mut agreement) = (None, None);
    if deep {
        commit = Some(commit_nothing(&client).await?);
        agreement = agree(&client, &answers).await?;
    }
    let healthy = ready || deep;
    let members = client.trust().members().count();
    let mut document = json!({
        "schema": "quorate.health.v1", "healthy": healthy,
        "nodes": answers.iter().map(node).collect::<Vec<_>>(),
    });
    if let Some(commit) = &commit {
        document["commit"] = json!({
            "height": commit.height, "signatures": commit.signatures, "members": members,
            "latency_us": u64::try_from(commit.latency.as_micros()).unwrap_or(u64::MAX),
        });
    }
    if let Some(found) = &agreement {
        document["agreement"] = json!({ "height": found.height, "replicas": found.replicas, "of": found.of });
    }
    context.output.data(&document, || match &commit {
        None => lines(&answers),
        Some(commit) => {
            let agree = agreement.as_ref().map_or(String::new(), |found| {
                format!(
                    "; {} of {} replicas have the block {} that a quorum signed",
                    found.replicas, found.of, found.height
                )
            });
            format!(
                "healthy: an empty transaction committed in block {} with {} of {members} signatures in {:.1} ms{agree}",
                commit.height,
                commit.signatures,
                commit.latency.as_secs_f64() * 1_000.0
            )
        }
    });
    Ok(if healthy { 0 } else { NO_QUORUM })
}

/// Whether a replica takes transactions.
fn is_ready(answer: &Result<v1::Status, String>) -> bool {
    answer.as_ref().is_ok_and(|status| status.state == "normal")
}

fn node((url, answer): &(String, Result<v1::Status, String>)) -> Value {
    let ready = is_ready(answer);
    match answer {
        Ok(status) => {
            json!({ "api": url, "node": status.node, "ready": ready, "state": status.state, "why": status.why })
        }
        Err(why) => json!({ "api": url, "ready": ready, "state": "unreachable", "why": why }),
    }
}

fn lines(answers: &[(String, Result<v1::Status, String>)]) -> String {
    let line = |(url, answer): &(String, Result<v1::Status, String>)| match answer {
        Ok(status) if is_ready(answer) => {
            format!("healthy: {} has executed block {}", status.node, status.executed)
        }
        Ok(status) => format!("not healthy: {} is in state {}: {}", status.node, status.state, status.why),
        Err(why) => format!("not healthy: {url}: {why}"),
    };
    answers.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// An empty transaction changes nothing and is ordered, executed and signed like any other.
async fn commit_nothing(client: &Client) -> Outcome<Commit> {
    let begin = Instant::now();
    let outcome = client.execute(&Operations::default()).await?;
    let latency = begin.elapsed();
    match outcome.done() {
        Some(done) => {
            let signatures = done.verified.signers.len();
            Ok(Commit { height: done.verified.height.get(), signatures, latency })
        }
        None => Err(Failure::new(outcome.code().unwrap_or(ErrorCode::Unknown))
            .what("not healthy: an empty transaction did not commit")
            .why(format!("{outcome:?}"))
            .fix("quorate why")),
    }
}

/// Compares the replicas' blocks at the height that all who answer have certified. Nothing is known to differ is an answer too: a
/// replica may have removed that block.
async fn agree(
    client: &Client,
    answers: &[(String, Result<v1::Status, String>)],
) -> Outcome<Option<Agreement>> {
    let certified = answers.iter().filter_map(|(_, answer)| Some(answer.as_ref().ok()?.certified));
    let Some(height) = certified.filter(|height| *height > 0).min() else { return Ok(None) };
    // Checked against the genesis.
    let block = client.block(height).await?;
    let hashes = client.hashes_at(height).await;
    let mut found = Agreement { height, replicas: 0, of: 0 };
    for (url, hash) in hashes {
        let Ok(hash) = hash else { continue };
        found.of += 1;
        if hash == block.hash {
            found.replicas += 1;
        } else if block.certificate.is_some() {
            return Err(Failure::new(ErrorCode::AnswerInvalid)
                .what(format!("{url} has another block {height} than a quorum signed"))
                .why(format!("its header has the hash {hash}, the certified one {}", block.hash))
                .fix("quorate verify its directory; do not use it as a gateway"));
        }
    }
    Ok(Some(found))
}
