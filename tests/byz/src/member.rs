//! A member that lies: the real node with its real key, and a liar where its messages leave.

use crate::error::ByzError;
use crate::link::Dialler;
use crate::outgoing::{Liar, frame_lies};
use crate::report::Report;
use crate::{b41_lying_lengths, b42_bad_streams, b54_junk_to_peers, stop_signal};
use quorate_crypto::Ed25519Signer;
use quorate_node::{FileConfig, init_logging, load_member, run_with};
use quorate_simulator::Random;
use quorate_simulator::adversary::{Adversary, Agreed, numbers};
use std::path::Path;
use std::sync::Arc;

/// The ways that need more than other messages.
const IN_BYTES: [u16; 4] = [40, 41, 42, 54];

fn key(config: &FileConfig, file: &str) -> Result<Ed25519Signer, ByzError> {
    let words =
        config.node.key_passphrase_file.as_deref().map(quorate_crypto::read_passphrase).transpose()?;
    let words = words.as_ref().map(|words| words.as_str());
    Ok(Ed25519Signer::read_file(&config.node.keys.join(file), words)?)
}

/// Runs the member of this configuration until a signal.
pub(crate) async fn run(path: &Path, ways: &[u16], seed: u64, report: &Arc<Report>) -> Result<(), ByzError> {
    let known = |way: &&u16| IN_BYTES.contains(way) || numbers().any(|number| number == **way);
    if let Some(unknown) = ways.iter().find(|way| !known(way)) {
        return Err(ByzError::UnknownWay(*unknown, "member"));
    }
    let config = FileConfig::load(path, std::env::vars())?;
    init_logging(&config, false).map_err(ByzError::LogLevel)?;
    let member = load_member(&config)?;
    let members = member.trust.members();
    let parameters = &member.trust.genesis().parameters;
    let vote = Box::new(key(&config, "vote.pem")?);
    let adversary = Adversary::new((member.me, vote), members, parameters, seed, ways, &Agreed::default());
    let liar = Arc::new(Liar::new(adversary, frame_lies(ways), seed, report.clone()));
    let dialler = Arc::new(Dialler::new(&config, &member.trust, member.me, &key(&config, "transport.pem")?)?);
    let (talker, watched, own_ways) = (liar.clone(), report.clone(), ways.to_vec());
    let ledger = member.trust.ledger();
    let ready = move |node: &quorate_node::RunningNode| {
        tokio::spawn(talker.provoke(node.network().clone()));
        if own_ways.contains(&54) {
            let (network, peers) = (node.network().clone(), dialler.peers());
            let flood = b54_junk_to_peers::flood(network, peers, ledger, Random::new(seed), watched.clone());
            tokio::spawn(flood);
        }
        for peer in dialler.peers() {
            let random = || Random::new(seed ^ u64::from(peer.get()));
            if own_ways.contains(&41) {
                tokio::spawn(b41_lying_lengths::dial(dialler.clone(), peer, random(), watched.clone()));
            }
            if own_ways.contains(&42) {
                tokio::spawn(b42_bad_streams::dial(dialler.clone(), peer, random(), watched.clone()));
            }
        }
    };
    run_with(config, Some(liar.clone()), ready, stop_signal()?).await?;
    liar.account();
    Ok(())
}
