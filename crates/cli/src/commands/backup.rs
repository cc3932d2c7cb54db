//! `quorate backup`: copies of a ledger, and a replica made again from one.

use crate::args::{NodeFile, Verify};
use crate::commands::node::load;
use crate::commands::verify::{self, Place};
use crate::context::{Context, read_genesis};
use crate::failure::{Failure, Outcome};
use crate::progress::Progress;
use quorate_client::{Client, ErrorCode};
use quorate_crypto::header_hash;
use quorate_ledger::{Assembly, Machine, StoredState, built_in_applications};
use quorate_node::FileConfig;
use quorate_proof::TrustRoot;
use quorate_storage::RealDisk;
use quorate_storage::backup::{Backup, BackupError};
use quorate_storage::state::StateFile;
use quorate_types::{BlockCertificate, CertificateKind, Header, Seq};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the node may take to have the blocks up to the state that another gave.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let of = |code| Failure::new(code).what(error.to_string());
        match &error {
            BackupError::Io(path, error) => Failure::io(path, error),
            BackupError::Gap { .. } => of(ErrorCode::BadInput)
                .why("the source removed the blocks between them")
                .fix("make a new backup in another directory, or add to this one from a replica that keeps more blocks"),
            BackupError::Short { .. } => of(ErrorCode::NotReady)
                .why("the node of this directory is behind the others, or does not run")
                .fix("quorate status shows how far it is; try again once it has caught up"),
            BackupError::Older { .. } => of(ErrorCode::BadInput)
                .why("a backup only goes forward")
                .fix("take it from a replica that is not behind"),
            BackupError::NoCheckpoint => of(ErrorCode::NotReady)
                .why("no checkpoint was stable yet")
                .fix("try again once the ledger has more blocks than one checkpoint interval"),
            _ => of(ErrorCode::LedgerInvalid),
        }
    }
}

/// The state of a checkpoint, with what proves it.
struct Found {
    state: StoredState,
    certificate: BlockCertificate,
}

pub(crate) async fn create(context: &Context, out: &Path, file: &NodeFile) -> Outcome {
    let started = Instant::now();
    let config = load(file)?;
    let place = Place::find(&config.node.dir)?;
    let trust = place.follow(read_genesis(&config.node.genesis)?)?;
    let mut backup = Backup::open(out, trust.ledger())?;
    let had = backup.tip();
    let Found { state, certificate } = state_of(context, &config, &place, &trust).await?;
    let height = state.height;
    let source = RealDisk::open(&place.blocks).map_err(|error| Failure::io(&place.blocks, &error))?;
    let progress = Progress::bytes(context.output, place.bytes());
    // Another node may have given the state, and be ahead of this one.
    while backup.tip() < height {
        backup.copy_blocks(&source, height, |read| progress.at(read))?;
        if backup.tip() < height && started.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    progress.finish();
    // Who the members became meanwhile is known by now.
    let trust = place.follow(trust)?;
    backup.keep_handovers(&trust.handovers_to(trust.members().epoch()))?;
    let header = checked(&trust, &place, &backup, &state, &certificate)?;
    backup.finish(state, certificate)?;
    let document = json!({
        "schema": "quorate.backup.create.v1",
        "backup": out.display().to_string(),
        "ledger": trust.ledger().to_string(),
        "height": height.get(),
        "had": had.get(),
        "epoch": header.epoch.get(),
        "header": header_hash(&header).to_string(),
        "seconds": started.elapsed().as_secs_f64(),
    });
    context.output.data(&document, || {
        format!(
            "{} holds the ledger up to checkpoint {height}; {} blocks are new",
            out.display(),
            height.above(had)
        )
    });
    Ok(())
}

/// The header of the state's block, to which everything belongs.
fn checked(
    trust: &TrustRoot,
    place: &Place,
    backup: &Backup,
    state: &StoredState,
    certificate: &BlockCertificate,
) -> Outcome<Header> {
    let invalid = |why: String| {
        Failure::new(ErrorCode::LedgerInvalid)
            .what(format!("what {} holds is not what the members signed", place.named.display()))
            .why(why)
            .fix("quorate verify tells which of its blocks are good; take the backup from another replica")
    };
    let height = state.height;
    let header = backup.header(height)?;
    let header =
        header.ok_or_else(|| Failure::from(BackupError::Short { tip: backup.tip(), state: height }))?;
    trust.check_certificate(certificate).map_err(|error| invalid(error.to_string()))?;
    if certificate.header != header_hash(&header) {
        return Err(invalid(format!("the members signed another block {height}")));
    }
    let restored = Machine::restore(trust.genesis(), built_in_applications(), state.clone(), &header);
    restored.map_err(|error| invalid(error.to_string()))?;
    Ok(header)
}

/// From the files of a node that does not run, or over the client APIs.
async fn state_of(
    context: &Context,
    config: &FileConfig,
    place: &Place,
    trust: &TrustRoot,
) -> Outcome<Found> {
    match place.state()? {
        StateFile::State(state, Some(proof)) => {
            return Ok(Found { state, certificate: proof.certificate });
        }
        StateFile::InUse => {}
        StateFile::NotClosed => {
            return Err(Failure::new(ErrorCode::NotReady)
                .what(format!("{} was not closed", place.state.display()))
                .why("the node did not stop in order, and mends the file when it starts")
                .fix("start the node, and make the backup while it runs"));
        }
        StateFile::State(_, None) | StateFile::Empty => return Err(BackupError::NoCheckpoint.into()),
    }
    let mut context = context.clone();
    if context.global.endpoint.is_empty() {
        context.global.endpoint = vec![config.api.listen.to_string()];
    }
    context.global.genesis = Some(config.node.genesis.display().to_string());
    fetch(&context.client(None).await?, trust).await
}

/// Every part is checked against a checkpoint that a quorum signed: it does not matter who gives it.
async fn fetch(client: &Client, trust: &TrustRoot) -> Outcome<Found> {
    let (mut assembly, certificate) = client
        .state_parts(Seq::ZERO, |parts| {
            let proven = parts.certificate.kind == CertificateKind::Checkpoint
                && parts.certificate.header == header_hash(&parts.header)
                && trust.check_certificate(&parts.certificate).is_ok();
            let assembly = Assembly::new(&parts.header, parts.parts).ok().filter(|_| proven)?;
            Some((assembly, parts.certificate))
        })
        .await?;
    let height = assembly.height();
    let missing: Vec<usize> = assembly.missing().collect();
    for index in missing {
        let part = u32::try_from(index).expect("few thousand parts");
        client
            .state_leaves((height, part), |leaves| {
                let asked = (leaves.height, leaves.index) == (height, part);
                asked.then(|| assembly.accept(index, leaves.leaves).ok())?
            })
            .await?;
    }
    match assembly.finish() {
        Ok(state) => Ok(Found { state, certificate }),
        Err(_) => Err(Failure::new(ErrorCode::NotReady).what("parts of the state are missing")),
    }
}

pub(crate) fn verify(context: &Context, backup: PathBuf, replay: bool) -> Outcome {
    check_state(&backup, context.trust()?)?;
    verify::run(context, &Verify { what: None, path: Some(backup), replay, jobs: None })
}

/// Beyond what every ledger is verified for, a backup has the state of a checkpoint, with its certificate.
fn check_state(backup: &Path, trust: TrustRoot) -> Outcome<(Place, TrustRoot)> {
    let invalid = |what: &str, why: String| {
        Failure::new(ErrorCode::LedgerInvalid)
            .what(format!("{what} in {}", backup.display()))
            .why(why)
            .fix("use another backup, or add to this one: quorate backup create")
    };
    let place = Place::find(backup)?;
    let trust = place.follow(trust)?;
    match place.state()? {
        StateFile::State(_, Some(proof)) => {
            let signed = trust.check_certificate(&proof.certificate);
            signed
                .map_err(|error| invalid("the certificate of the state does not hold", error.to_string()))?;
            Ok((place, trust))
        }
        StateFile::NotClosed => {
            let why = "it is damaged, or the backup was cut short";
            Err(invalid("the state file was not closed", why.to_owned()))
        }
        StateFile::State(_, None) | StateFile::Empty | StateFile::InUse => {
            Err(BackupError::NoCheckpoint.into())
        }
    }
}

pub(crate) fn restore(context: &Context, backup: &Path, file: &NodeFile) -> Outcome {
    let config = load(file)?;
    let (place, trust) = check_state(backup, read_genesis(&config.node.genesis)?)?;
    verify::audit(context, &trust, &place, (false, None))?;
    let (store, height) = quorate_node::init_from_backup(&config, backup)?;
    let dir = config.node.dir.display().to_string();
    let document = json!({
        "schema": "quorate.backup.restore.v1",
        "dir": dir,
        "store": store.to_string(),
        "height": height.get(),
    });
    context.output.data(&document, || format!("made {dir}, with the ledger up to checkpoint {height}"));
    context.output.note(
        "the node follows without voting; once it runs and has caught up, quorate node recover lets it vote",
    );
    Ok(())
}
