//! `quorate genesis`.

use crate::args::Genesis as Command;
use crate::commands::key::MemberFile;
use crate::context::{Context, read_genesis, wall_ms};
use crate::failure::{Failure, Outcome};
use quorate_client::TrustRoot;
use quorate_crypto::{Claim, Ed25519Verifier, Rule, Verifier, public_key_from_text, public_key_to_text};
use quorate_proof::genesis_file;
use quorate_types::{
    ErrorCode, Genesis, GenesisMember, LedgerTime, NamedKey, Parameters, PublicKey, RegistryMode, Signature,
};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::New { name, members, clients, operators, open, faults, allow_crash_only, out } => {
            let members = members.iter().map(|text| read_member(text)).collect::<Outcome<Vec<_>>>()?;
            let n = u16::try_from(members.len()).unwrap_or(u16::MAX);
            let named = |kind: &str, keys: &[String]| {
                let one = |(index, text): (usize, &String)| {
                    Ok(NamedKey { name: format!("{kind}{index}"), key: public_key(text)? })
                };
                keys.iter().enumerate().map(one).collect::<Outcome<Vec<_>>>()
            };
            let (clients, operators) = (named("client", &clients)?, named("operator", &operators)?);
            let genesis = Genesis {
                name,
                created: LedgerTime(wall_ms()),
                app: "kv".to_owned(),
                faults: faults.unwrap_or(n.saturating_sub(1) / 3),
                allow_crash_only,
                parameters: Parameters::default(),
                approvals: u16::try_from(operators.len() / 2 + 1).unwrap_or(1),
                members,
                clients,
                operators,
                registry: if open { RegistryMode::Open } else { RegistryMode::Closed },
            };
            create(context, genesis, &out)
        }
        Command::Show { file } => {
            let trust = found(context, file.as_deref())?;
            let mut document = document(&trust);
            document["schema"] = json!("quorate.genesis.show.v1");
            context.output.data(&document, || text(&trust));
            Ok(())
        }
        Command::Hash { file } => {
            let trust = found(context, file.as_deref())?;
            let hash = trust.ledger().to_string();
            context
                .output
                .data(&json!({ "schema": "quorate.genesis.hash.v1", "ledger": hash }), || hash.clone());
            Ok(())
        }
        Command::Check { file } => {
            let trust = read_genesis(&file)?;
            let mut document = document(&trust);
            document["schema"] = json!("quorate.genesis.check.v1");
            document["valid"] = json!(true);
            context.output.data(&document, || format!("valid\n{}", text(&trust)));
            Ok(())
        }
    }
}

fn found(context: &Context, file: Option<&Path>) -> Outcome<TrustRoot> {
    match file {
        Some(file) => read_genesis(file),
        None => context.trust(),
    }
}

fn public_key(text: &str) -> Outcome<PublicKey> {
    public_key_from_text(text).map_err(|error| Failure::new(ErrorCode::BadKey).what(error.to_string()))
}

/// `MEMBER.toml@HOST:PORT`, with both proofs of possession checked (G5).
fn read_member(text: &str) -> Outcome<GenesisMember> {
    let (path, address) = text.rsplit_once('@').ok_or_else(|| {
        Failure::input(format!("{text:?} is no member"), "a member is given as MEMBER.toml@HOST:PORT")
    })?;
    let path = Path::new(path);
    let content = std::fs::read_to_string(path).map_err(|error| Failure::io(path, &error))?;
    let member: MemberFile = toml::from_str(&content)
        .map_err(|error| Failure::input(format!("{} cannot be read", path.display()), error.to_string()))?;
    let (vote, transport) = (public_key(&member.vote)?, public_key(&member.transport)?);
    for (which, key, proof) in
        [("vote", vote, &member.vote_proof), ("transport", transport, &member.transport_proof)]
    {
        if !proves(key, &member, proof) {
            return Err(Failure::new(ErrorCode::BadKey)
                .what(format!("{}: the owner of the {which} key did not sign this file", path.display()))
                .why("its proof of possession does not verify")
                .fix("make the file anew where the key is: quorate key new --role replica"));
        }
    }
    Ok(GenesisMember {
        name: member.name,
        vote,
        transport,
        peer: address.to_owned(),
        api: format!("http://{address}"),
    })
}

fn proves(key: PublicKey, member: &MemberFile, proof: &str) -> bool {
    let Ok(signature) = proof.parse::<Signature>() else { return false };
    Ed25519Verifier.verify(&[Claim { key, message: member.signed_bytes(), signature, rule: Rule::Strict }])
        == [true]
}

fn create(context: &Context, genesis: Genesis, out: &Path) -> Outcome {
    if out.exists() {
        return Err(Failure::new(ErrorCode::AlreadyInitialised)
            .what(format!("{} exists", out.display()))
            .fix("choose another file: --out FILE; nothing is overwritten"));
    }
    let printed = genesis_file::print(&genesis);
    let trust = TrustRoot::from_genesis(genesis).map_err(|error| {
        Failure::new(ErrorCode::BadGenesis).what("the genesis is refused").why(error.to_string())
    })?;
    std::fs::write(out, printed).map_err(|error| Failure::io(out, &error))?;
    let mut document = document(&trust);
    document["schema"] = json!("quorate.genesis.new.v1");
    document["file"] = json!(out.display().to_string());
    context.output.data(&document, || text(&trust));
    Ok(())
}

fn document(trust: &TrustRoot) -> Value {
    let genesis = trust.genesis();
    let quorums = trust.members().quorums();
    let members: Vec<Value> = genesis
        .members
        .iter()
        .map(|member| {
            json!({
                "name": member.name, "vote": public_key_to_text(&member.vote),
                "transport": public_key_to_text(&member.transport), "peer": member.peer, "api": member.api,
            })
        })
        .collect();
    json!({
        "name": genesis.name,
        "ledger": trust.ledger().to_string(),
        "created": crate::output::time(genesis.created.0),
        "n": quorums.members(),
        "f": quorums.faults(),
        "quorum": quorums.strong(),
        "crash_only": quorums.is_crash_only(),
        "arithmetic": quorums.explain(),
        "members": members,
        "clients": genesis.clients.len(),
        "registry": match genesis.registry { RegistryMode::Open => "open", RegistryMode::Closed => "closed" },
    })
}

fn text(trust: &TrustRoot) -> String {
    let genesis = trust.genesis();
    let mut lines = vec![
        format!("ledger   {}", genesis.name),
        format!("id       {}", trust.ledger()),
        format!("quorum   {}", trust.members().quorums().explain()),
    ];
    for member in &genesis.members {
        lines.push(format!(
            "member   {}  {}  {}",
            member.name,
            member.peer,
            public_key_to_text(&member.vote)
        ));
    }
    let registry = match genesis.registry {
        RegistryMode::Open => "any key may send transactions".to_owned(),
        RegistryMode::Closed => format!("{} registered keys may send transactions", genesis.clients.len()),
    };
    lines.push(format!("clients  {registry}"));
    lines.join("\n")
}
