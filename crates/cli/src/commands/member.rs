//! `quorate member`, and the second step of `quorate node recover`.

use crate::args::Member as Command;
use crate::commands::written::{committed, txid, with_progress};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use quorate_client::{Client, Done, Outcome as Became};
use quorate_crypto::{Ed25519Signer, Signer, public_key_to_text};
use quorate_node::{FileConfig, StoreAt};
use quorate_types::{
    Change, ErrorCode, FailReason, Governance, Joiner, MemberSet, Pending, PublicKey, Quorums, Ready,
    Refusal, Seat, Seq, Signature, StoreId, TransactionId, TransactionResult, governance,
};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::List => list(context).await,
        Command::Add { file, peer, api, replace, faults } => {
            let place = Place { api: api.unwrap_or_else(|| format!("http://{peer}")), peer, replace, faults };
            add(context, &crate::commands::node::load(&file)?, place).await
        }
        Command::Ready { file } => say_ready(context, &crate::commands::node::load(&file)?).await,
        Command::Rotate { file } => rotate(context, &crate::commands::node::load(&file)?).await,
        Command::Remove { name, faults } => {
            let client = client(context).await?;
            let now = Known::ask(&client).await?;
            let change = Change { remove: Some(name), add: None, faults: faults.unwrap_or(now.set.faults) };
            propose(context, &client, &now, change, None).await
        }
        Command::Approve { id, ready } => approve(context, &id, ready.as_deref()).await,
        Command::Withdraw { id } => {
            let client = client(context).await?;
            let proposal = txid(&id)?;
            let done = ask(context, &client, &Governance::Withdraw { proposal }).await?;
            let document = json!({
                "schema": "quorate.member.withdraw.v1", "proposal": id, "height": done.verified.height.get(),
            });
            context.output.data(&document, || format!("withdrawn {id}"));
            Ok(())
        }
    }
}

/// A client with the operator's key, if there is one nearby and no other was given.
async fn client(context: &Context) -> Outcome<Client> {
    let mut context = context.clone();
    let near =
        || Context::surroundings().map(|dir| dir.join("keys/operator.pem")).filter(|path| path.exists());
    context.global.key = context.global.key.clone().or_else(near);
    context.client(None).await
}

/// The members as a gateway knows them. What is asked for on this ground the ledger checks anew.
struct Known {
    epoch: u64,
    height: Seq,
    set: MemberSet,
    next: Option<MemberSet>,
    approvals: u32,
    proposals: Vec<(TransactionId, Pending)>,
}

impl Known {
    async fn ask(client: &Client) -> Outcome<Self> {
        let found = client.members().await?;
        let bad =
            || Failure::new(ErrorCode::Unreachable).what("a gateway's list of the members cannot be read");
        let set = |bytes: &[u8]| MemberSet::from_bytes(bytes).map_err(|_| bad());
        let proposal = |wire: &quorate_client::v1::Proposal| {
            let id = wire.id[..].try_into().map_err(|_| bad())?;
            Ok((TransactionId(id), Pending::from_bytes(&wire.pending).map_err(|_| bad())?))
        };
        Ok(Self {
            epoch: found.epoch,
            height: Seq::new(found.height),
            set: set(&found.members)?,
            next: Some(&found.next_members)
                .filter(|bytes| !bytes.is_empty())
                .map(|bytes| set(bytes))
                .transpose()?,
            approvals: found.approvals,
            proposals: found.proposals.iter().map(proposal).collect::<Outcome<_>>()?,
        })
    }

    fn seat(&self, vote: &PublicKey) -> Option<&Seat> {
        self.set.seats.iter().find(|seat| seat.member.vote == *vote)
    }

    /// The members after a change, as far as their number tells.
    fn count_after(&self, change: &Change) -> usize {
        self.set.seats.len() + usize::from(change.add.is_some()) - usize::from(change.remove.is_some())
    }
}

/// The arithmetic of so many members.
fn explain(n: usize, faults: u16) -> String {
    let n = u16::try_from(n).unwrap_or(u16::MAX);
    Quorums::declared(n, faults).map_or_else(|error| error.to_string(), |quorums| quorums.explain())
}

async fn list(context: &Context) -> Outcome {
    let client = context.client(None).await?;
    let known = Known::ask(&client).await?;
    let seat = |seat: &Seat| {
        json!({
            "name": seat.member.name, "vote": public_key_to_text(&seat.member.vote),
            "transport": public_key_to_text(&seat.member.transport),
            "store": seat.member.store.map(|store| store.to_string()), "peer": seat.peer, "api": seat.api,
        })
    };
    let proposals: Vec<Value> = known
        .proposals
        .iter()
        .map(|(id, pending)| {
            json!({
                "id": id.to_string(), "remove": pending.change.remove,
                "add": pending.change.add.as_ref().map(|joiner| joiner.name.clone()),
                "faults": pending.change.faults, "approvals": pending.approvals.len(), "until_ms": pending.until.0,
            })
        })
        .collect();
    let arithmetic = explain(known.set.seats.len(), known.set.faults);
    let document = json!({
        "schema": "quorate.member.list.v1", "epoch": known.epoch, "height": known.height.get(),
        "faults": known.set.faults, "arithmetic": arithmetic, "approvals_needed": known.approvals,
        "members": known.set.seats.iter().map(seat).collect::<Vec<_>>(),
        "epoch_ends_after": known.next.as_ref().map(|next| next.after.get()), "proposals": proposals,
    });
    context.output.data(&document, || text(&known, &arithmetic));
    Ok(())
}

fn text(known: &Known, arithmetic: &str) -> String {
    let mut lines = vec![format!("epoch {}, after block {}: {arithmetic}", known.epoch, known.set.after)];
    for Seat { member, .. } in &known.set.seats {
        lines.push(format!("{:<12} {}", member.name, public_key_to_text(&member.vote)));
    }
    if let Some(next) = &known.next {
        let names: Vec<&str> = next.seats.iter().map(|seat| seat.member.name.as_str()).collect();
        lines.push(format!("from block {} on: {}", next.after.next(), names.join(", ")));
    }
    for (id, pending) in &known.proposals {
        let (have, need) = (pending.approvals.len(), known.approvals);
        lines.push(format!("proposed {id}: {}, approved by {have} of {need}", in_words(&pending.change)));
    }
    lines.join("\n")
}

fn in_words(change: &Change) -> String {
    match (&change.remove, &change.add) {
        (Some(name), Some(joiner)) if *name == joiner.name => format!("{name} gets other keys"),
        (Some(name), Some(joiner)) => format!("{} takes the place of {name}", joiner.name),
        (Some(name), None) => format!("{name} leaves"),
        (None, Some(joiner)) => format!("{} joins", joiner.name),
        (None, None) => "nothing changes".to_owned(),
    }
}

/// Orders it, and turns a refusal of the ledger into words.
async fn ask(context: &Context, client: &Client, asked: &Governance) -> Outcome<Done> {
    let signed = client.sign_payload(governance::APP, asked.to_payload())?;
    let became = with_progress(context, client.submit(signed)).await?;
    if let Became::Failed(done) = &became
        && let TransactionResult::Failed { reason: FailReason::Application, output, .. } =
            &done.verified.result
        && let Some(refusal) = output.first().and_then(|code| Refusal::from_code(*code))
    {
        return Err(Failure::new(ErrorCode::ChangeRefused).why(refusal.to_string()).txid(done.verified.id));
    }
    committed(became)
}

async fn propose(
    context: &Context,
    client: &Client,
    known: &Known,
    change: Change,
    ready: Option<Ready>,
) -> Outcome {
    let (words, after) = (in_words(&change), explain(known.count_after(&change), change.faults));
    let done = ask(context, client, &Governance::Propose { change, ready }).await?;
    told(context, client, "quorate.member.propose.v1", (done.verified.id, &done), &words, &after).await
}

/// What became of a change: it waits for approvals, or it takes effect with the next checkpoint.
async fn told(
    context: &Context,
    client: &Client,
    schema: &str,
    (proposal, done): (TransactionId, &Done),
    words: &str,
    after: &str,
) -> Outcome {
    let known = Known::ask(client).await?;
    let waits = known.proposals.iter().find(|(id, _)| *id == proposal);
    let from = known.next.as_ref().map_or(known.set.after, |next| next.after).next();
    let document = json!({
        "schema": schema, "proposal": proposal.to_string(), "height": done.verified.height.get(), "change": words,
        "arithmetic": after, "approvals": waits.map(|(_, pending)| pending.approvals.len()),
        "approvals_needed": known.approvals, "effective_from": waits.is_none().then_some(from.get()),
    });
    context.output.data(&document, || match waits {
        Some((id, pending)) => {
            let (have, need) = (pending.approvals.len(), known.approvals);
            format!("proposed {id}: {words}, approved by {have} of {need}\n  then {after}")
        }
        None => format!("{words} from block {from} on\n  {after}"),
    });
    Ok(())
}

/// The addresses of a member: those of the ledger, or the hints of the genesis.
fn addresses(client: &Client, seat: &Seat) -> (String, String) {
    let trust = client.trust();
    let hint = trust.genesis().members.iter().find(|member| member.name == seat.member.name);
    let or = |own: &String, hint: Option<&String>| match own.is_empty() {
        false => own.clone(),
        true => hint.cloned().unwrap_or_default(),
    };
    (or(&seat.peer, hint.map(|hint| &hint.peer)), or(&seat.api, hint.map(|hint| &hint.api)))
}

async fn rotate(context: &Context, config: &FileConfig) -> Outcome {
    let client = client(context).await?;
    let known = Known::ask(&client).await?;
    let own = own_seat(config, &known)?.clone();
    let store = store(&config.node.dir)?.id;
    let (vote, transport) = quorate_node::make_next_keys(config)?;
    let (peer, api) = addresses(&client, &own);
    let joiner = joiner(&client, (own.member.name.clone(), store), (&vote, &transport), (peer, api));
    let ready = ready(&client, &vote, store, &known).await?;
    let change = Change { remove: Some(own.member.name), add: Some(joiner), faults: known.set.faults };
    propose(context, &client, &known, change, Some(ready)).await
}

/// Where a member to come is reached, and whose place it takes.
struct Place {
    peer: String,
    api: String,
    replace: Option<String>,
    faults: Option<u16>,
}

/// Who is to join, with the proofs that its keys are held (G5).
fn joiner(
    client: &Client,
    (name, store): (String, StoreId),
    (vote, transport): (&Ed25519Signer, &Ed25519Signer),
    (peer, api): (String, String),
) -> Joiner {
    let unsigned = Signature([0; 64]);
    let (vote_key, transport_key) = (vote.public_key(), transport.public_key());
    let mut joiner = Joiner {
        name,
        vote: vote_key,
        transport: transport_key,
        store,
        peer,
        api,
        vote_proof: unsigned,
        transport_proof: unsigned,
    };
    let bytes = joiner.signed_bytes(&client.trust().ledger());
    (joiner.vote_proof, joiner.transport_proof) = (vote.sign(&bytes), transport.sign(&bytes));
    joiner
}

async fn add(context: &Context, config: &FileConfig, place: Place) -> Outcome {
    let client = client(context).await?;
    let known = Known::ask(&client).await?;
    let store = store(&config.node.dir)?;
    if !store.must_be_named {
        return Err(Failure::new(ErrorCode::AlreadyInitialised)
            .what(format!(
                "the data directory {} is that of a member of the genesis",
                config.node.dir.display()
            ))
            .why("a store that joins is made so that it never votes by itself")
            .fix("quorate node init --dir DIR --join, where there is no data directory yet"));
    }
    let keys = quorate_node::Keys::load(config)?;
    let (vote, transport) = keys.in_use();
    let joiner = joiner(&client, (store.node, store.id), (vote, transport), (place.peer, place.api));
    let ready = verified_ready(&client, vote, store.id).await?;
    let faults = place.faults.unwrap_or(known.set.faults);
    let change = Change { remove: place.replace, add: Some(joiner), faults };
    propose(context, &client, &known, change, Some(ready)).await
}

/// READY of a node that is no member yet: it knows the ledger up to the newest block that was checked here, and fetches the state when it is one.
async fn verified_ready(client: &Client, vote: &Ed25519Signer, store: StoreId) -> Outcome<Ready> {
    let block = client.block(0).await?;
    let height = block.certificate.as_ref().map(|_| block.header.height);
    let height = match height {
        Some(height) => height,
        None => client.block(block.header.height.get().saturating_sub(1).max(1)).await?.header.height,
    };
    Ok(sign_ready(client, vote, store, height))
}

fn sign_ready(client: &Client, vote: &Ed25519Signer, store: StoreId, height: Seq) -> Ready {
    let ready = Ready { vote: vote.public_key(), store, height, signature: Signature([0; 64]) };
    let signature = vote.sign(&ready.signed_bytes(&client.trust().ledger()));
    Ready { signature, ..ready }
}

async fn say_ready(context: &Context, config: &FileConfig) -> Outcome {
    let client = client(context).await?;
    let keys = quorate_node::Keys::load(config)?;
    let store = store(&config.node.dir)?;
    let ready = verified_ready(&client, keys.in_use().0, store.id).await?;
    let text = ready_text(&ready);
    let document =
        json!({ "schema": "quorate.member.ready.v1", "ready": text, "height": ready.height.get() });
    context.output.data(&document, || text.clone());
    Ok(())
}

fn ready_text(ready: &Ready) -> String {
    hex::encode(Governance::Recover { ready: *ready }.to_payload())
}

fn read_ready(text: &str) -> Outcome<Ready> {
    let bytes = hex::decode(text.trim()).ok();
    match bytes.and_then(|bytes| Governance::from_payload(&bytes).ok()) {
        Some(Governance::Recover { ready }) => Ok(ready),
        _ => Err(Failure::input("--ready is none", "it is what `quorate member ready` says, as it is")),
    }
}

/// The member that a node's directory is of.
fn own_seat<'k>(config: &FileConfig, known: &'k Known) -> Outcome<&'k Seat> {
    let keys = quorate_node::Keys::load(config)?.vote_keys();
    let seat = keys.iter().find_map(|key| known.seat(&key.public_key()));
    seat.ok_or_else(|| {
        Failure::new(ErrorCode::NotAMember)
            .what(format!("the keys in {} belong to no member", config.node.keys.display()))
    })
}

fn store(dir: &Path) -> Outcome<StoreAt> {
    quorate_node::store_at(dir).map_err(|error| Failure::new(error.code()).what(error.to_string()))
}

/// READY, signed here where the key is (G3): for the height that the node itself says it has reached, and no other.
async fn ready(client: &Client, vote: &Ed25519Signer, store: StoreId, known: &Known) -> Outcome<Ready> {
    let followed = client.readies().await.into_iter().filter_map(|(_, ready)| ready.ok());
    let height = followed.filter(|ready| ready.store == store.0).map(|ready| ready.height).max();
    let height = height.ok_or_else(|| {
        Failure::new(ErrorCode::NotReady)
            .what("the node of this directory does not answer")
            .why("only itself knows how far it follows the ledger")
            .fix("start it, and name it among the endpoints: --endpoint HOST:PORT,...")
    })?;
    Ok(sign_ready(client, vote, store, Seq::new(height).min(known.height)))
}

async fn approve(context: &Context, id: &str, ready: Option<&str>) -> Outcome {
    let client = client(context).await?;
    let known = Known::ask(&client).await?;
    let proposal = txid(id)?;
    let found = known.proposals.iter().find(|(other, _)| *other == proposal);
    let (_, pending) = found.ok_or_else(|| {
        Failure::new(ErrorCode::ChangeRefused)
            .what(format!("there is no proposal {id}"))
            .why("it was executed, withdrawn, lapsed, or never made")
            .fix("quorate member list")
    })?;
    let ready = match (&pending.change.add, ready) {
        (None, _) => None,
        (Some(_), Some(text)) => Some(read_ready(text)?),
        (Some(joiner), None) => said_ready(&client, joiner).await,
    };
    let (words, after) =
        (in_words(&pending.change), explain(known.count_after(&pending.change), pending.change.faults));
    let done = ask(context, &client, &Governance::Approve { proposal, ready }).await?;
    told(context, &client, "quorate.member.approve.v1", (proposal, &done), &words, &after).await
}

/// The READY that who joins says, if it can be asked.
async fn said_ready(client: &Client, joiner: &Joiner) -> Option<Ready> {
    let readies = client.readies().await.into_iter().filter_map(|(_, ready)| ready.ok());
    readies.filter(|ready| ready.store == joiner.store.0).find_map(|ready| {
        let of = ready.of.iter().find(|of| of.vote == joiner.vote.0)?;
        let signature = Signature(of.signature[..].try_into().ok()?);
        Some(Ready { vote: joiner.vote, store: joiner.store, height: Seq::new(ready.height), signature })
    })
}

/// L2: the members are to name the store of this directory, which its node follows the ledger with.
pub(crate) async fn recover(context: &Context, config: &FileConfig) -> Outcome {
    let client = client(context).await?;
    let known = Known::ask(&client).await?;
    let own = own_seat(config, &known)?;
    let store = store(&config.node.dir)?.id;
    if own.member.store == Some(store) {
        let document = json!({
            "schema": "quorate.node.recover.v1", "step": "named", "store": store.to_string(), "epoch": known.epoch,
        });
        context.output.data(&document, || format!("the members name this store since epoch {}", known.epoch));
        return Ok(());
    }
    let vote = own.member.vote;
    let keys = quorate_node::Keys::load(config)?.vote_keys();
    let key = keys.into_iter().find(|key| key.public_key() == vote).expect("the seat was found by it");
    let ready = ready(&client, &key, store, &known).await?;
    let done = ask(context, &client, &Governance::Recover { ready }).await?;
    let after = Known::ask(&client).await?;
    let from = after.next.as_ref().map_or(after.set.after, |next| next.after).next();
    let document = json!({
        "schema": "quorate.node.recover.v1", "step": "named", "store": store.to_string(),
        "height": done.verified.height.get(), "effective_from": from.get(),
    });
    context
        .output
        .data(&document, || format!("{} votes with this store from block {from} on", own.member.name));
    Ok(())
}
