//! Recordings: every input of the core of one process, with a digest of what each led to, and every signature it made.
//! [`replay`] runs the core again from the file alone, in another process and without the key.
//!
//! A file is a sequence of frames, each a length (4 bytes, big-endian) and so many bytes of `quorate_codec`. The first is the
//! start; a frame that is cut short by a kill ends the recording.

use quorate_codec::{Caps, DecodeError, decode, decode_message, encode, encode_message};
use quorate_crypto::{
    Cache, Claim, Ed25519Verifier, Rule, Signer, Verified, Verifier, sha256, verify_all, verify_one,
};
use quorate_engine::Recorder;
use quorate_pbft::{Config, Execution, Input, Installed, Outbox, Recovered, Replica, Tuning, Verdict};
use quorate_proof::TrustRoot;
use quorate_proof::genesis_file;
use quorate_types::{
    BlockCertificate, Digest, Epoch, LedgerTime, MemberSet, Members, Message, Monotonic, Now, Number,
    Outlook, PublicKey, Record, ReplicaId, Seq, SessionId, Signature, SignedTransaction, Wall,
};
use std::collections::VecDeque;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub mod show;

const VERSION: u32 = 3;

/// Signatures in the order in which they were made.
type Signatures = Arc<Mutex<VecDeque<Signature>>>;

type Executed = (Seq, Digest, LedgerTime, Vec<(PublicKey, SessionId, Number)>, Outlook);
type RecordedInstall = (Seq, Digest, LedgerTime, Outlook, BlockCertificate);
/// Version, genesis file, epoch, its members, member, whether it may vote, nonce, clocks; then what was found on disk.
type StartFrame = (
    (u32, String, (Epoch, MemberSet), (ReplicaId, bool), [u8; 32], (u64, u64)),
    (Vec<Record>, (Seq, Digest, LedgerTime), Vec<(Seq, Digest)>, Seq, Vec<(Seq, Digest)>, (Outlook, Seq)),
);
/// Clocks, kind and payload of the input.
type InputFrame = ((u64, u64), u8, Vec<u8>);
/// The signatures made, and the digest of verdict, records and effects.
type OutcomeFrame = (Vec<Signature>, Digest);

const REQUESTS: u8 = 0;
const MESSAGE: u8 = 1;
const DEADLINE: u8 = 2;
const PRIMARY_SILENT: u8 = 3;
const PRIMARY_HEARD: u8 = 4;
const PEER_CONNECTED: u8 = 5;
const EXECUTED: u8 = 6;
const CHECKPOINT_DURABLE: u8 = 7;
const STATE_FETCHED: u8 = 8;
const INSTALLED: u8 = 9;

/// A signer that remembers what it signed for the recording, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct RecordingSigner<S> {
    pub(crate) signer: S,
    pub(crate) made: Option<Signatures>,
}

impl<S: Signer> Signer for RecordingSigner<S> {
    fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        let signature = self.signer.sign(bytes);
        if let Some(made) = &self.made {
            made.lock().unwrap_or_else(PoisonError::into_inner).push_back(signature);
        }
        signature
    }
}

/// Feeds what a value is made of to SHA-256.
struct Sha256Hasher(Vec<u8>);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

fn digest_of(verdict: Option<&Verdict>, outbox: &Outbox) -> Digest {
    let mut hasher = Sha256Hasher(Vec::new());
    verdict.hash(&mut hasher);
    outbox.hash(&mut hasher);
    sha256(&hasher.0)
}

/// What a recording begins with.
pub(crate) struct Beginning<'b> {
    pub(crate) genesis_text: &'b str,
    pub(crate) config: &'b Config,
    /// The members of the configuration.
    pub(crate) seats: &'b MemberSet,
    pub(crate) now: Now,
    pub(crate) records: Vec<Record>,
    pub(crate) recovered: &'b Recovered,
}

/// Writes a recording. A write that fails ends the recording, not the node.
#[derive(Debug)]
pub(crate) struct FileRecorder {
    file: Option<File>,
    path: PathBuf,
    made: Signatures,
}

fn clocks(now: Now) -> (u64, u64) {
    (now.monotonic.0, now.wall.0)
}

impl FileRecorder {
    /// Begins a recording in a directory, under a name of its own.
    pub(crate) fn begin(directory: &Path, beginning: &Beginning<'_>, made: Signatures) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(format!("{:016}-{}.recording", beginning.now.wall.0, beginning.config.me));
        let file = File::options().write(true).create_new(true).open(&path)?;
        let mut recorder = Self { file: Some(file), path, made };
        let Recovered { records: _, executed, batches, certified, headers, outlook, disputed } =
            beginning.recovered;
        let Config { me, nonce, may_vote, ref members, .. } = *beginning.config;
        let set = (members.epoch(), beginning.seats.clone());
        let start: StartFrame = (
            (VERSION, beginning.genesis_text.to_owned(), set, (me, may_vote), nonce, clocks(beginning.now)),
            (
                beginning.records.clone(),
                *executed,
                batches.clone(),
                *certified,
                headers.clone(),
                (*outlook, *disputed),
            ),
        );
        recorder.write(&encode(&start));
        Ok(recorder)
    }

    /// What the start led to.
    pub(crate) fn started(&mut self, outbox: &Outbox) {
        self.outcome_of(None, outbox);
    }

    fn write(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let frame = [&length.to_be_bytes(), bytes].concat();
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.write_all(&frame) {
            tracing::warn!(event = "recording_ended", path = %self.path.display(), %error, "the recording ends here: {error}");
            self.file = None;
        }
    }

    fn outcome_of(&mut self, verdict: Option<&Verdict>, outbox: &Outbox) {
        let made: Vec<Signature> =
            std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner)).into();
        let outcome: OutcomeFrame = (made, digest_of(verdict, outbox));
        self.write(&encode(&outcome));
    }
}

fn input_frame(now: Now, input: &Input) -> InputFrame {
    let (kind, payload) = match input {
        Input::Requests(requests) => {
            let signed: Vec<SignedTransaction> =
                requests.iter().map(|request| request.signed().clone()).collect();
            (REQUESTS, encode(&signed))
        }
        Input::Message { from, message } => {
            (MESSAGE, encode(&(*from, encode_message(&message.to_message()))))
        }
        Input::Deadline => (DEADLINE, Vec::new()),
        Input::PrimarySilent => (PRIMARY_SILENT, Vec::new()),
        Input::PrimaryHeard => (PRIMARY_HEARD, Vec::new()),
        Input::PeerConnected { peer } => (PEER_CONNECTED, encode(peer)),
        Input::Executed(execution) => {
            let Execution { seq, header_hash, time, consumed, outlook } = execution;
            let executed: Executed = (*seq, *header_hash, *time, consumed.clone(), *outlook);
            (EXECUTED, encode(&executed))
        }
        Input::CheckpointDurable { seq } => (CHECKPOINT_DURABLE, encode(seq)),
        Input::StateFetched { seq } => (STATE_FETCHED, encode(seq)),
        Input::Installed(installed) => {
            let Installed { seq, header_hash, time, outlook, certificate } = &**installed;
            let recorded: RecordedInstall = (*seq, *header_hash, *time, *outlook, certificate.clone());
            (INSTALLED, encode(&recorded))
        }
    };
    (clocks(now), kind, payload)
}

impl Recorder for FileRecorder {
    fn input(&mut self, now: Now, input: &Input) {
        self.write(&encode(&input_frame(now, input)));
    }

    fn outcome(&mut self, verdict: &Verdict, outbox: &Outbox) {
        self.outcome_of(Some(verdict), outbox);
    }
}

/// Why a recording does not replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{0}: {1}")]
    Read(PathBuf, io::Error),
    #[error("frame {0} is malformed: {1}")]
    Malformed(usize, String),
    /// The core did something else than was recorded.
    #[error("input {input} ({what}) led to something else than was recorded")]
    Differs { input: u64, what: &'static str },
}

/// What a replay came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    pub inputs: u64,
    pub signatures: u64,
    /// The position at the end.
    pub status: quorate_pbft::ReplicaStatus,
    /// Bytes behind the last whole frame: the process was killed while it wrote.
    pub cut_bytes: usize,
}

/// Gives the recorded signatures, each only for the bytes that it signs.
#[derive(Clone, Debug)]
struct ReplaySigner {
    key: PublicKey,
    recorded: Signatures,
}

impl Signer for ReplaySigner {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        let next = self.recorded.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let claim =
            |signature| Claim { key: self.key, message: bytes.to_vec(), signature, rule: Rule::Zip215 };
        // A signature of other bytes, or none, differs from every recorded one and shows in the digest.
        next.filter(|signature| Ed25519Verifier.verify(&[claim(*signature)]) == [true])
            .unwrap_or(Signature([0; 64]))
    }
}

/// The frames of a file, one after the other.
struct Frames {
    bytes: Vec<u8>,
    at: usize,
    count: usize,
}

impl Frames {
    fn open(path: &Path) -> Result<Self, ReplayError> {
        let read = |error| ReplayError::Read(path.to_owned(), error);
        let mut bytes = Vec::new();
        File::open(path).map_err(read)?.read_to_end(&mut bytes).map_err(read)?;
        Ok(Self { bytes, at: 0, count: 0 })
    }

    fn next_bytes(&mut self) -> Option<&[u8]> {
        let head = self.bytes.get(self.at..self.at + 4)?;
        let length = u32::from_be_bytes(head.try_into().ok()?) as usize;
        let frame = self.bytes.get(self.at + 4..(self.at + 4).checked_add(length)?)?;
        self.at += 4 + length;
        self.count += 1;
        Some(frame)
    }

    fn next<T>(&mut self, read: impl Fn(&[u8]) -> Result<T, DecodeError>) -> Result<Option<T>, ReplayError> {
        let count = self.count;
        let frame = self.next_bytes().map(read).transpose();
        frame.map_err(|error| ReplayError::Malformed(count, error.to_string()))
    }
}

/// Runs the core again from a recording.
///
/// # Errors
/// If the file cannot be read, or the core does something else than it did.
pub fn replay(path: &Path) -> Result<Replayed, ReplayError> {
    let mut frames = Frames::open(path)?;
    let mut replayer = Replayer::start(&mut frames)?;
    let mut replayed = 0;
    let mut end = frames.at;
    while let Some(frame) = frames.next(decode::<InputFrame>)? {
        let Some(outcome) = frames.next(decode::<OutcomeFrame>)? else { break };
        replayed += 1;
        replayer.turn(replayed, frame, outcome)?;
        end = frames.at;
    }
    Ok(Replayed {
        inputs: replayed,
        signatures: replayer.signatures,
        status: replayer.replica.status(),
        cut_bytes: frames.bytes.len() - end,
    })
}

struct Replayer {
    members: Members,
    caps: Caps,
    cache: Cache,
    recorded: Signatures,
    signatures: u64,
    replica: Replica<ReplaySigner>,
}

/// The ledger of a recording.
fn trusted(version: u32, genesis_text: &str) -> Result<TrustRoot, ReplayError> {
    let malformed = |why: String| ReplayError::Malformed(0, why);
    if version != VERSION {
        return Err(malformed(format!("version {version}, this program reads {VERSION}")));
    }
    let genesis = genesis_file::parse(genesis_text).map_err(|error| malformed(error.to_string()))?;
    TrustRoot::from_genesis(genesis).map_err(|error| malformed(error.to_string()))
}

fn now((monotonic, wall): (u64, u64)) -> Now {
    Now { monotonic: Monotonic(monotonic), wall: Wall(wall) }
}

impl Replayer {
    fn start(frames: &mut Frames) -> Result<Self, ReplayError> {
        let malformed = |why: String| ReplayError::Malformed(0, why);
        let missing = || malformed("the start is missing".to_owned());
        let (start, found) = frames.next(decode::<StartFrame>)?.ok_or_else(missing)?;
        let (made, digest) = frames.next(decode::<OutcomeFrame>)?.ok_or_else(missing)?;
        let (version, genesis_text, (epoch, seats), (me, may_vote), nonce, at) = start;
        let trust = trusted(version, &genesis_text)?;
        let (records, executed, batches, certified, headers, (outlook, disputed)) = found;
        let cache = Cache::new(1 << 16);
        let members = seats.members(trust.ledger(), epoch).map_err(|error| malformed(error.to_string()))?;
        let records = verify_all(&members, &Ed25519Verifier, &cache, records)
            .into_iter()
            .collect::<Result<Vec<Verified<_>>, _>>()
            .map_err(|why| malformed(format!("a record does not verify: {why}")))?;
        let recovered = Recovered { records, executed, batches, certified, headers, outlook, disputed };
        let member = members.get(me).ok_or_else(|| malformed("the member is none".to_owned()))?;
        let signatures = made.len() as u64;
        let recorded = Signatures::new(Mutex::new(made.into()));
        let signer = ReplaySigner { key: member.vote, recorded: recorded.clone() };
        let parameters = trust.genesis().parameters.clone();
        let caps = Caps::new(&members, &parameters);
        let config =
            Config { me, members: members.clone(), may_vote, parameters, tuning: Tuning::default(), nonce };
        let mut outbox = Outbox::new();
        let replica = Replica::start(config, signer, recovered, now(at), &mut outbox);
        if digest_of(None, &outbox) != digest {
            return Err(ReplayError::Differs { input: 0, what: "the start" });
        }
        Ok(Self { members, caps, cache, recorded, signatures, replica })
    }

    fn turn(&mut self, number: u64, frame: InputFrame, outcome: OutcomeFrame) -> Result<(), ReplayError> {
        let (at, kind, payload) = frame;
        let (made, digest) = outcome;
        let malformed = |why: String| ReplayError::Malformed(usize::try_from(2 * number).unwrap_or(0), why);
        let (what, input) = self.input(kind, &payload).map_err(malformed)?;
        self.signatures += made.len() as u64;
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
        // The core may take it for granted that its host executes what it asked for, in order. A damaged file may not.
        let status = self.replica.status();
        if let Input::Executed(execution) = &input
            && (execution.seq != status.executed.next() || execution.seq > status.committed)
        {
            return Err(ReplayError::Differs { input: number, what });
        }
        let mut outbox = Outbox::new();
        let verdict = self.replica.handle(now(at), input, &mut outbox);
        let unused = !self.recorded.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if unused || digest_of(Some(&verdict), &outbox) != digest {
            return Err(ReplayError::Differs { input: number, what });
        }
        Ok(())
    }

    /// An input, verified as it was when it came.
    fn input(&self, kind: u8, payload: &[u8]) -> Result<(&'static str, Input), String> {
        let members = &self.members;
        let text = |error: DecodeError| error.to_string();
        Ok(match kind {
            REQUESTS => {
                let signed: Vec<SignedTransaction> = decode(payload).map_err(text)?;
                let requests = verify_all(members, &Ed25519Verifier, &self.cache, signed);
                let requests = requests.into_iter().collect::<Result<Vec<_>, _>>();
                ("requests", Input::Requests(requests.map_err(|why| why.to_string())?))
            }
            MESSAGE => {
                let (from, bytes): (ReplicaId, Vec<u8>) = decode(payload).map_err(text)?;
                let message: Message = decode_message(&bytes, &self.caps).map_err(text)?;
                let message = verify_one(members, &Ed25519Verifier, &self.cache, message);
                ("a message", Input::Message { from, message: message.map_err(|why| why.to_string())? })
            }
            DEADLINE => ("a deadline", Input::Deadline),
            PRIMARY_SILENT => ("a silent primary", Input::PrimarySilent),
            PRIMARY_HEARD => ("a primary that is heard", Input::PrimaryHeard),
            PEER_CONNECTED => ("a connection", Input::PeerConnected { peer: decode(payload).map_err(text)? }),
            EXECUTED => {
                let (seq, header_hash, time, consumed, outlook): Executed = decode(payload).map_err(text)?;
                ("an execution", Input::Executed(Execution { seq, header_hash, time, consumed, outlook }))
            }
            CHECKPOINT_DURABLE => {
                ("a durable checkpoint", Input::CheckpointDurable { seq: decode(payload).map_err(text)? })
            }
            STATE_FETCHED => ("a fetched state", Input::StateFetched { seq: decode(payload).map_err(text)? }),
            INSTALLED => {
                let (seq, header_hash, time, outlook, certificate): RecordedInstall =
                    decode(payload).map_err(text)?;
                let installed = Installed { seq, header_hash, time, outlook, certificate };
                ("an installed state", Input::Installed(Box::new(installed)))
            }
            other => return Err(format!("kind {other}")),
        })
    }
}
