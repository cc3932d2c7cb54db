//! Following changes of the members over the client API of others (G2, G4).
//!
//! Peers know each other by the transport keys of the members of their epoch. Whoever was away while others changed theirs, or lost its
//! disk after that, cannot connect to them, nor can one whose last peers left the epoch before it. What it lacks is how its epoch ended, and
//! that proves itself: any gateway may tell it.

use crate::config::FileConfig;
use crate::member::Keys;
use crate::shared::Shared;
use crate::start::NodeError;
use quorate_api::v1::ledger_client::LedgerClient;
use quorate_api::{handover_from, v1};
use quorate_proof::TrustRoot;
use quorate_storage::directory::store_at;
use quorate_storage::{Handovers, RealDisk};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Endpoint;

/// How often somebody is asked while too few peers are connected.
const EVERY: Duration = Duration::from_secs(2);
/// How long one gateway may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where gateways are: those of the configuration, or those that the genesis and later epochs hint at.
fn gateways(config: &FileConfig, trust: &TrustRoot) -> Vec<String> {
    if !config.peer.gateways.is_empty() {
        return config.peer.gateways.clone();
    }
    let later = trust.seats().seats.iter().map(|seat| &seat.api);
    let first = trust.genesis().members.iter().map(|member| &member.api);
    let mut found: Vec<String> = Vec::new();
    for api in later.chain(first).filter(|api| !api.is_empty()) {
        if !found.contains(api) {
            found.push(api.clone());
        }
    }
    found
}

/// Asks one gateway how epochs ended since the last one that is known. What does not follow from that is ignored. Returns whether
/// something was news; it is durable then.
async fn ask(gateway: &str, trust: &TrustRoot, handovers: &Path) -> Result<bool, String> {
    let url = if gateway.contains("://") { gateway.to_owned() } else { format!("http://{gateway}") };
    let endpoint = Endpoint::from_shared(url).map_err(|error| error.to_string())?;
    let request = v1::GetHandoversRequest { from_epoch: trust.members().epoch().get() };
    let answer = async {
        let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
        LedgerClient::new(channel).get_handovers(request).await.map_err(|status| status.message().to_owned())
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| "no answer".to_owned())??;
    let disk = RealDisk::open(handovers).map_err(|error| error.to_string())?;
    let mut kept = Handovers::new(disk, trust.ledger());
    let (mut followed, mut news) = (trust.clone(), false);
    for wire in answer.into_inner().handovers {
        let handover = handover_from(&wire).map_err(|error| error.to_string())?;
        followed.follow(&handover).map_err(|error| error.to_string())?;
        kept.keep(&handover).map_err(|error| error.to_string())?;
        news = true;
    }
    Ok(news)
}

/// While too few peers are connected, asks one gateway after the other. Once a later epoch is proven this run of the node ends, for the
/// next one to begin there.
pub(crate) async fn run(config: FileConfig, shared: Arc<Shared>) {
    let gateways = gateways(&config, &shared.trust);
    let handovers = config.node.dir.join("handovers");
    let mut over = shared.over();
    let needed = shared.trust.members().quorums().strong();
    for gateway in gateways.iter().cycle() {
        if tokio::time::timeout(EVERY, over.wait_for(|over| *over)).await.is_ok() {
            return;
        }
        if shared.published().rtts.len() + 1 >= needed {
            continue;
        }
        match ask(gateway, &shared.trust, &handovers).await {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(
                    event = "later_epoch",
                    gateway,
                    "{gateway} proves that a later epoch has begun"
                );
                shared.end();
                return;
            }
            Err(why) => tracing::debug!(event = "gateway_silent", gateway, why, "{gateway}: {why}"),
        }
    }
}

/// The keys of this node belong to no member of the last epoch that it knows: asks whether there is a later one. A node that is to become a
/// member goes on asking until it is one, or is stopped; any other asks every gateway once. Returns whether there is a later epoch.
pub(crate) async fn catch_up(
    config: &FileConfig,
    keys: &Keys,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<bool, NodeError> {
    let directory = config.node.dir.join("handovers");
    std::fs::create_dir_all(&directory).map_err(NodeError::Disk)?;
    let disk = RealDisk::open(&directory).map_err(NodeError::Disk)?;
    let kept = Handovers::new(disk, keys.trust().ledger());
    let mut trust = keys.trust().clone();
    while let Some(handover) = kept.get(trust.members().epoch()).map_err(NodeError::Disk)? {
        if trust.follow(&handover).is_err() {
            return Ok(false);
        }
    }
    let waits = store_at(&config.node.dir)?.must_be_named;
    if waits {
        tracing::info!(
            event = "waiting_to_join",
            "no member yet: asking client APIs until the members have agreed"
        );
    }
    loop {
        for gateway in gateways(config, &trust) {
            match ask(&gateway, &trust, &directory).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(why) => tracing::debug!(event = "gateway_silent", gateway, why, "{gateway}: {why}"),
            }
        }
        if !waits {
            return Ok(false);
        }
        tokio::select! {
            () = &mut stop => return Ok(false),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
