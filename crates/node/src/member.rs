//! Who this node is: its keys, and the member that has them.

use crate::config::FileConfig;
use crate::start::NodeError;
use quorate_crypto::{Ed25519Signer, Signer, read_passphrase};
use quorate_proof::TrustRoot;
use quorate_proof::genesis_file;
use quorate_storage::Identity;
use quorate_types::{LedgerId, PublicKey, ReplicaId};
use std::path::{Path, PathBuf};

/// The files of the keys in use, and of those that a change of the members is to bring into use (G1).
const VOTE: [&str; 2] = ["vote.pem", "vote.next.pem"];
const TRANSPORT: [&str; 2] = ["transport.pem", "transport.next.pem"];

/// A member's keys and whom they belong to.
pub struct Member {
    pub trust: TrustRoot,
    pub genesis_text: String,
    pub me: ReplicaId,
    pub(crate) vote: Ed25519Signer,
    pub(crate) transport: Ed25519Signer,
}

impl Member {
    pub(crate) fn identity(&self) -> Identity {
        identity(self.trust.ledger(), &self.vote, &self.transport)
    }

    pub(crate) fn name(&self) -> String {
        self.trust.members().get(self.me).map(|member| member.name.clone()).unwrap_or_default()
    }
}

fn identity(ledger: LedgerId, vote: &Ed25519Signer, transport: &Ed25519Signer) -> Identity {
    Identity { ledger, vote: vote.public_key(), transport: transport.public_key() }
}

/// All keys of a node, and the genesis.
pub struct Keys {
    trust: TrustRoot,
    genesis_text: String,
    directory: PathBuf,
    /// Those in use first.
    vote: Vec<Ed25519Signer>,
    transport: Vec<Ed25519Signer>,
}

impl Keys {
    /// Reads genesis and key files.
    ///
    /// # Errors
    /// If a file is unusable.
    pub fn load(config: &FileConfig) -> Result<Self, NodeError> {
        let path = &config.node.genesis;
        let genesis_text =
            std::fs::read_to_string(path).map_err(|error| NodeError::Read(path.clone(), error))?;
        let genesis = genesis_file::parse(&genesis_text)
            .map_err(|error| NodeError::GenesisFile(path.clone(), error))?;
        let trust = TrustRoot::from_genesis(genesis)
            .map_err(|error| NodeError::Genesis(path.clone(), error.to_string()))?;
        let directory = config.node.keys.clone();
        let words = config.node.key_passphrase_file.as_deref().map(read_passphrase).transpose()?;
        let words = words.as_ref().map(|words| words.as_str());
        let (vote, transport) = (read(&directory, VOTE, words)?, read(&directory, TRANSPORT, words)?);
        Ok(Self { trust, genesis_text, directory, vote, transport })
    }

    /// What is trusted before anything was read of the ledger.
    pub fn trust(&self) -> &TrustRoot {
        &self.trust
    }

    /// Whose a store of this node may be.
    pub(crate) fn identities(&self) -> Vec<Identity> {
        let ledger = self.trust.ledger();
        let of = |vote| self.transport.iter().map(move |transport| identity(ledger, vote, transport));
        self.vote.iter().flat_map(of).collect()
    }

    /// The vote key and the transport key in use.
    pub fn in_use(&self) -> (&Ed25519Signer, &Ed25519Signer) {
        (&self.vote[0], &self.transport[0])
    }

    /// The name of the directory that they are in, for want of another.
    pub(crate) fn directory_name(&self) -> String {
        let path = std::path::absolute(&self.directory).unwrap_or_else(|_| self.directory.clone());
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The vote keys, those in use first.
    pub fn vote_keys(&self) -> Vec<Ed25519Signer> {
        self.vote.clone()
    }

    /// The member that these keys belong to, by the members of the last epoch that `trust` knows.
    ///
    /// # Errors
    /// If they are no member's.
    pub fn seat(&self, trust: TrustRoot) -> Result<Member, NodeError> {
        let refused = |which| NodeError::NotAMember { which, directory: self.directory.clone() };
        let members = trust.members();
        let seated = |key: &PublicKey| members.by_vote_key(key);
        let vote = self.vote.iter().rev().find(|vote| seated(&vote.public_key()).is_some());
        let vote = vote.ok_or_else(|| refused("vote"))?.clone();
        let me = seated(&vote.public_key()).expect("found by it");
        let own = |transport: &&Ed25519Signer| members.by_transport_key(&transport.public_key()) == Some(me);
        let transport = self.transport.iter().find(own).ok_or_else(|| refused("transport"))?.clone();
        let genesis_text = self.genesis_text.clone();
        Ok(Member { trust, genesis_text, me, vote, transport })
    }

    /// G4: the keys that the member has from now on take the place of those before, which nobody needs any more.
    ///
    /// # Errors
    /// If a file cannot be replaced.
    pub(crate) fn promote(&self, member: &Member) -> Result<(), NodeError> {
        let used = [(VOTE, &self.vote, &member.vote), (TRANSPORT, &self.transport, &member.transport)];
        for ([current, next], keys, used) in used {
            if keys[0].public_key() != used.public_key() {
                let (from, to) = (self.directory.join(next), self.directory.join(current));
                std::fs::rename(&from, &to).map_err(|error| NodeError::Read(from, error))?;
            }
        }
        Ok(())
    }
}

fn read(
    directory: &Path,
    [current, next]: [&str; 2],
    words: Option<&str>,
) -> Result<Vec<Ed25519Signer>, NodeError> {
    let mut keys = vec![Ed25519Signer::read_file(&directory.join(current), words)?];
    let next = directory.join(next);
    if next.exists() {
        keys.push(Ed25519Signer::read_file(&next, words)?);
    }
    Ok(keys)
}

/// Whether there are keys that a change of the members is to bring into use.
pub(crate) fn has_next_vote_key(config: &FileConfig) -> bool {
    config.node.keys.join(VOTE[1]).exists()
}

/// Makes the keys that a change of the members is to bring into use, beside those in use. The pair of them: vote, transport.
///
/// # Errors
/// If there are such keys already, or a file cannot be written.
pub fn make_next_keys(config: &FileConfig) -> Result<(Ed25519Signer, Ed25519Signer), NodeError> {
    let words = config.node.key_passphrase_file.as_deref().map(read_passphrase).transpose()?;
    let words = words.as_ref().map(|words| words.as_str());
    let make = |name: &str| -> Result<Ed25519Signer, NodeError> {
        let path = config.node.keys.join(name);
        if path.exists() {
            // Those of a change that has not taken effect yet: it may be proposed again.
            return Ok(Ed25519Signer::read_file(&path, words)?);
        }
        let key = Ed25519Signer::generate();
        key.write_file(&path, words)?;
        Ok(key)
    };
    Ok((make(VOTE[1])?, make(TRANSPORT[1])?))
}

/// Reads genesis and key files and finds the member of the genesis that they belong to.
///
/// # Errors
/// If a file is unusable, or the keys are no member's.
pub fn load_member(config: &FileConfig) -> Result<Member, NodeError> {
    let keys = Keys::load(config)?;
    keys.seat(keys.trust.clone())
}
