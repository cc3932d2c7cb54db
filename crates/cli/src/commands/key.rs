//! `quorate key`.

use crate::args::Key;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use quorate_crypto::{Ed25519Signer, KeyError, Signer, public_key_to_text};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;

/// member.toml: what a future member hands to whoever makes the genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberFile {
    pub(crate) format: u32,
    pub(crate) name: String,
    pub(crate) vote: String,
    pub(crate) transport: String,
    /// The vote key's signature on name and keys: proof that its owner wrote this (G5).
    pub(crate) vote_proof: String,
    pub(crate) transport_proof: String,
}

impl MemberFile {
    /// What both keys sign.
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = b"quorate/member-proof/v1\0".to_vec();
        for text in [&self.name, &self.vote, &self.transport] {
            bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }
}

fn new_key(context: &Context, path: &Path) -> Outcome<Ed25519Signer> {
    let (key, words) = (Ed25519Signer::generate(), context.passphrase()?);
    key.write_file(path, words.as_ref().map(|words| words.as_str()))?;
    Ok(key)
}

pub(crate) fn run(context: &Context, command: &Key) -> Outcome {
    match command {
        Key::New { out, role, name } if role == "replica" => new_replica(context, out, name.as_deref()),
        Key::New { out, role, name: _ } => {
            let key = new_key(context, out)?;
            let public = public_key_to_text(&key.public_key());
            let document = json!({
                "schema": "quorate.key.new.v1", "role": role, "files": [out.display().to_string()], "public": public,
            });
            context.output.data(&document, || public.clone());
            Ok(())
        }
        Key::Show { file } => {
            let key = context.read_key(file)?;
            let public = public_key_to_text(&key.public_key());
            let hex = hex::encode(key.public_key().0);
            let document = json!({ "schema": "quorate.key.show.v1", "public": public, "hex": hex });
            context.output.data(&document, || public.clone());
            Ok(())
        }
    }
}

fn new_replica(context: &Context, dir: &Path, name: Option<&str>) -> Outcome {
    std::fs::create_dir_all(dir).map_err(|error| Failure::io(dir, &error))?;
    let files = ["vote.pem", "transport.pem", "member.toml"].map(|file| dir.join(file));
    if let Some(taken) = files.iter().find(|path| path.exists()) {
        return Err(KeyError::Exists(taken.display().to_string()).into());
    }
    let (vote, transport) = (new_key(context, &files[0])?, new_key(context, &files[1])?);
    let from_dir = || dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut member = MemberFile {
        format: 1,
        name: name.map_or_else(from_dir, ToOwned::to_owned),
        vote: public_key_to_text(&vote.public_key()),
        transport: public_key_to_text(&transport.public_key()),
        vote_proof: String::new(),
        transport_proof: String::new(),
    };
    member.vote_proof = vote.sign(&member.signed_bytes()).to_string();
    member.transport_proof = transport.sign(&member.signed_bytes()).to_string();
    let text = toml::to_string(&member).expect("plain fields");
    std::fs::write(&files[2], text).map_err(|error| Failure::io(&files[2], &error))?;
    let document = json!({
        "schema": "quorate.key.new.v1", "role": "replica", "public": member.vote,
        "files": files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
    });
    context.output.data(&document, || member.vote.clone());
    context
        .output
        .note(format!("give {} to whoever makes the genesis; keep the .pem files here", files[2].display()));
    Ok(())
}
