//! `quorate verify`: a replica's stored ledger against the genesis; needs the files, and neither a node nor a network.

mod compare;

use crate::args::{Verify as Command, VerifyWhat};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::progress::Progress;
use quorate_client::ErrorCode;
use quorate_ledger::{Machine, StoredState, built_in_applications, genesis_header};
use quorate_proof::TrustRoot;
use quorate_proof::chain::{
    Chain, ChainError, CheckedCertificate, CheckedContents, check_certificate, check_certificates,
    check_contents,
};
use quorate_storage::Handovers;
use quorate_storage::RealDisk;
use quorate_storage::blocks::audit::{AuditError, Tail, read_entries};
use quorate_storage::blocks::{Base, Entry, read_base};
use quorate_storage::state::{StateFile, read_state_file};
use quorate_types::{Header, Seq};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Entries that wait for a worker, and of a worker for the chain.
const AHEAD: usize = 128;
/// Entries that a worker checks at once, if so many wait.
const TOGETHER: usize = 64;

pub(crate) fn run(context: &Context, command: &Command) -> Outcome {
    if let Some(VerifyWhat::Compare { a, b }) = &command.what {
        return compare::run(context, a, b);
    }
    let Some(path) = &command.path else {
        return Err(Failure::input("no PATH", "there is nothing to verify"));
    };
    let place = Place::find(path)?;
    let trust = place.follow(context.trust()?)?;
    let started = Instant::now();
    let (verification, state, tail) = audit(context, &trust, &place, (command.replay, command.jobs))?;
    verification.print(context, &state, tail, started.elapsed());
    Ok(())
}

/// Checks all that is in a place, in so many threads; executes every block again if asked to.
pub(super) fn audit<'t>(
    context: &Context,
    trust: &'t TrustRoot,
    place: &Place,
    (replay, jobs): (bool, Option<u8>),
) -> Outcome<(Verification<'t>, StateFile, Tail)> {
    let state = place.state()?;
    let progress = Progress::bytes(context.output, place.bytes());
    let base = place.base(trust)?;
    let mut verification = Verification::new(trust, place, base, &state, replay)?;
    let read = verification.read(place, workers(jobs), &progress);
    progress.finish();
    let tail = read.map_err(|wrong| wrong.failure(place, &verification.chain))?;
    verification.check_state(&state).map_err(|wrong| wrong.failure(place, &verification.chain))?;
    Ok((verification, state, tail))
}

/// Threads that check blocks, if no number was asked for: all cores.
fn workers(asked: Option<u8>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.map_or_else(cores, |asked| usize::from(asked.max(1)))
}

/// Where the files are.
pub(super) struct Place {
    pub(super) named: PathBuf,
    pub(super) blocks: PathBuf,
    pub(super) state: PathBuf,
    handovers: PathBuf,
}

impl Place {
    /// A node's directory, its data directory, or one that holds block files alone.
    pub(super) fn find(path: &Path) -> Outcome<Self> {
        for data in [path.join("data"), path.to_owned()] {
            if data.join("blocks").is_dir() {
                let (blocks, state) = (data.join("blocks"), data.join("state.redb"));
                let handovers = data.join("handovers");
                return Ok(Self { named: path.to_owned(), blocks, state, handovers });
            }
        }
        let is_block_file = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "blk"))
        };
        let mut files = std::fs::read_dir(path).map_err(|error| Failure::io(path, &error))?;
        if files.any(is_block_file) {
            let (blocks, state) = (path.to_owned(), path.join("state.redb"));
            return Ok(Self { named: path.to_owned(), blocks, state, handovers: path.join("handovers") });
        }
        let what = format!("{} holds no ledger", path.display());
        let why = "it has no directory blocks, neither itself nor in data, and no file *.blk";
        Err(Failure::input(what, why).fix("quorate verify mynet/node0, or the data directory of a node"))
    }

    /// What is trusted, with the members of later epochs: from the genesis on each set is named by the one before.
    pub(super) fn follow(&self, mut trust: TrustRoot) -> Outcome<TrustRoot> {
        let Ok(disk) = RealDisk::open(&self.handovers) else { return Ok(trust) };
        let handovers = Handovers::new(disk, trust.ledger());
        loop {
            let epoch = trust.members().epoch();
            let invalid = |why: String| {
                Failure::new(ErrorCode::LedgerInvalid)
                    .what(format!("the end of epoch {epoch} in {} does not hold", self.named.display()))
                    .why(why)
            };
            let found = handovers.get(epoch).map_err(|error| invalid(error.to_string()))?;
            let Some(handover) = found else { return Ok(trust) };
            trust.follow(&handover).map_err(|error| invalid(error.to_string()))?;
        }
    }

    /// Of all block files together.
    pub(super) fn bytes(&self) -> u64 {
        let files = std::fs::read_dir(&self.blocks).into_iter().flatten();
        files.filter_map(|file| file.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// What lies below the first stored block, if that is not block 1.
    fn base(&self, trust: &TrustRoot) -> Outcome<Option<Base>> {
        let disk = RealDisk::open(&self.blocks).map_err(|error| Failure::io(&self.blocks, &error))?;
        read_base(&disk, trust.ledger()).map_err(|error| Failure::io(&self.blocks, &error))
    }

    pub(super) fn state(&self) -> Outcome<StateFile> {
        read_state_file(&self.state).map_err(|error| {
            Failure::new(ErrorCode::LedgerInvalid)
                .what(format!("{} cannot be read", self.state.display()))
                .why(error.to_string())
        })
    }
}

/// What ends a verification.
enum Wrong {
    Chain(ChainError),
    File(AuditError),
    /// The blocks hold, but something beside them does not.
    Beside(Seq, String),
}

impl Wrong {
    fn failure(self, place: &Place, chain: &Chain) -> Failure {
        let (good, why) = match self {
            Self::File(AuditError::Io(error)) => return Failure::io(&place.blocks, &error),
            Self::File(error) => (chain.height(), format!("{error}, after block {}", chain.height())),
            Self::Chain(error) => (error.height.previous(), error.to_string()),
            Self::Beside(height, why) => (height, why),
        };
        let good = good.min(chain.certified());
        Failure::new(ErrorCode::LedgerInvalid)
            .what(format!("the ledger in {} is not what the members signed", place.named.display()))
            .why(format!("{why}; the blocks up to {good} are good"))
            .fix("compare with another replica's: it has the same blocks, and its verification tells whose are wrong")
    }
}

impl From<ChainError> for Wrong {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

/// An entry that was checked by itself.
enum Checked {
    Block(Box<CheckedContents>),
    Certificate(CheckedCertificate),
}

/// Checks entries together. One result for each, in order.
fn check(trust: &TrustRoot, entries: &[Numbered<Entry>]) -> Vec<Result<Checked, ChainError>> {
    let (mut blocks, mut certificates) = (Vec::new(), Vec::new());
    for (entry, _) in entries {
        match entry {
            Entry::Block(stored) => blocks.push((&stored.block, &stored.results[..])),
            Entry::Certificate(certificate) => certificates.push(certificate),
        }
    }
    let mut contents = check_contents(trust, &blocks).into_iter();
    let mut certificates = check_certificates(trust, &certificates).into_iter();
    let of = |(entry, _): &Numbered<Entry>| match entry {
        Entry::Block(_) => contents.next().expect("one for each").map(Box::new).map(Checked::Block),
        Entry::Certificate(_) => certificates.next().expect("one for each").map(Checked::Certificate),
    };
    entries.iter().map(of).collect()
}

pub(super) struct Verification<'t> {
    trust: &'t TrustRoot,
    chain: Chain,
    /// Executes every block again, if that was asked for.
    machine: Option<Machine>,
    /// The header that the stored state must belong to, once it came.
    state_header: Option<Header>,
    state_height: Option<Seq>,
}

impl<'t> Verification<'t> {
    fn new(
        trust: &'t TrustRoot,
        place: &Place,
        base: Option<Base>,
        state: &StateFile,
        replay: bool,
    ) -> Outcome<Self> {
        let unusable = |error: quorate_ledger::LedgerError| {
            Failure::input("the genesis cannot be used", error.to_string())
        };
        let genesis = genesis_header(trust.genesis()).map_err(unusable)?;
        let chain = match &base {
            None => Ok(Chain::new(&genesis)),
            Some(base) => check_certificate(trust, &base.certificate)
                .and_then(|certificate| Chain::from_base(trust, &base.header, certificate)),
        };
        let chain = chain.map_err(|error| Wrong::Chain(error).failure(place, &Chain::new(&genesis)))?;
        if let Some(base) = base.as_ref().filter(|_| replay) {
            let what = format!("{} cannot be replayed", place.named.display());
            let why = format!(
                "its blocks up to {} were pruned, and with them what the state came from",
                base.header.height
            );
            return Err(
                Failure::input(what, why).fix("leave --replay out, or use a replica that keeps all blocks")
            );
        }
        let machine = || Machine::genesis(trust.genesis(), built_in_applications());
        let machine = replay.then(machine).transpose().map_err(unusable)?;
        let state_height = match state {
            StateFile::State(state, _) => Some(state.height),
            _ => None,
        };
        let start = base.map_or(genesis, |base| base.header);
        let state_header = Some(start).filter(|header| state_height == Some(header.height));
        Ok(Self { trust, chain, machine, state_header, state_height })
    }

    /// Reads all block files: one thread reads, some check, and this one puts in order.
    fn read(&mut self, place: &Place, workers: usize, progress: &Progress) -> Result<Tail, Wrong> {
        let disk = RealDisk::open(&place.blocks).map_err(|error| Wrong::File(error.into()))?;
        let trust = self.trust;
        std::thread::scope(|scope| {
            let (mut entries, mut checked) = (Vec::new(), Vec::new());
            for _ in 0..workers {
                let (into, from) = sync_channel(AHEAD);
                let (out, results) = sync_channel(AHEAD);
                entries.push(into);
                checked.push(results);
                scope.spawn(move || work(trust, &from, &out));
            }
            let reader = scope.spawn(move || {
                let mut turn = entries.iter().cycle();
                read_entries(&disk, trust.ledger(), |entry, read| {
                    turn.next().is_some_and(|worker| worker.send((entry, read)).is_ok())
                })
            });
            // Whoever comes next has the next entry.
            for results in checked.iter().cycle() {
                let Ok((result, read)) = results.recv() else { break };
                self.take(result?)?;
                progress.at(read);
            }
            drop(checked);
            reader.join().expect("reading does not panic").map_err(Wrong::File)
        })
    }

    fn take(&mut self, checked: Checked) -> Result<(), Wrong> {
        let contents = match checked {
            Checked::Certificate(certificate) => return Ok(self.chain.certify(certificate)?),
            Checked::Block(contents) => contents,
        };
        self.chain.link(&contents)?;
        let header = contents.header();
        if self.state_height == Some(header.height) {
            self.state_header = Some(header.clone());
        }
        if let Some(machine) = &mut self.machine {
            let executed = machine.execute(header.height, contents.batch().cloned());
            machine.committed(header.height);
            if executed.header != *header {
                let why = format!("executing block {} again gives another header", header.height);
                return Err(Wrong::Beside(header.height.previous(), why));
            }
        }
        Ok(())
    }

    /// The stored state is that after the block that it names.
    fn check_state(&self, state: &StateFile) -> Result<(), Wrong> {
        let StateFile::State(state, _) = state else { return Ok(()) };
        let height = self.chain.height();
        let wrong = |why| Err(Wrong::Beside(height, why));
        let Some(header) = &self.state_header else {
            return wrong(format!("the state is of block {}, and the blocks end at {height}", state.height));
        };
        match Machine::restore(
            self.trust.genesis(),
            built_in_applications(),
            StoredState::clone(state),
            header,
        ) {
            Ok(_) => Ok(()),
            Err(error) => wrong(error.to_string()),
        }
    }

    fn print(&self, context: &Context, state: &StateFile, tail: Tail, took: Duration) {
        let (chain, totals) = (&self.chain, self.chain.totals());
        let (height, certified) = (chain.height(), chain.certified());
        let head = chain.hash_at(certified).expect("what is certified came").to_string();
        let state = state_text(state);
        let found = json!({
            "schema": "quorate.verify.v1",
            "valid": true,
            "ledger": self.trust.ledger().to_string(),
            "blocks": height.get(),
            "pruned": chain.start().get(),
            "certified": certified.get(),
            "head": head,
            "transactions": totals.transactions,
            "certificates": totals.certificates,
            "signatures": totals.signatures,
            "fewest_signatures": totals.fewest,
            "signers": self.signers(),
            "state": state,
            "replayed": self.machine.is_some(),
            "torn_bytes": tail.torn,
            "seconds": took.as_secs_f64(),
            "cpu_seconds": quorate_node::metrics::process_usage().0,
        });
        if chain.start() > Seq::ZERO {
            context
                .output
                .note(format!("note: the blocks up to {} were pruned; its certificate holds", chain.start()));
        }
        if tail.torn > 0 {
            let torn = tail.torn;
            context
                .output
                .note(format!("note: the last {torn} bytes are no whole block; a node cuts them off"));
        }
        if certified < height {
            let (first, count) = (certified.next(), height.above(certified));
            context.output.note(format!(
                "note: {count} blocks from {first} on have no certificate yet: nobody vouches for them"
            ));
        }
        context.output.data(&found, || self.lines(&found));
    }

    /// Everyone who signed, once, in whatever epoch.
    fn signers(&self) -> Vec<&str> {
        let named = self.chain.signers().iter().filter_map(|(epoch, signer)| {
            let member = self.trust.members_of(*epoch)?.get(*signer)?;
            Some(member.name.as_str())
        });
        let mut names: Vec<&str> = Vec::new();
        for name in named {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn lines(&self, found: &Value) -> String {
        let (trust, totals) = (self.trust, self.chain.totals());
        let count = trust.members().count();
        let quorum = trust.members().quorums().strong();
        let mut lines = vec![format!(
            "  genesis  {}  {}  {count} members, quorum {quorum}",
            trust.genesis().name,
            trust.ledger(),
        )];
        let mut pass = |check: &str, what: String| lines.push(format!("    PASS  {check:<24} {what}"));
        let first = self.chain.start().next();
        pass("hash chain", format!("blocks {first} to {}", found["blocks"]));
        pass(
            "commit certificates",
            format!(
                "{} signatures by {}, at least {} a certificate",
                totals.signatures,
                self.signers().join(", "),
                totals.fewest
            ),
        );
        pass("roots", format!("{} transactions and their results", totals.transactions));
        pass("client signatures", format!("{} transactions", totals.transactions));
        pass("no transaction twice", format!("{} transactions", totals.transactions));
        if self.machine.is_some() {
            pass("replay", "every block gives its header again".to_owned());
        }
        let state = found["state"].as_str().unwrap_or_default().to_owned();
        match self.state_height {
            Some(_) => pass("state", state),
            None => lines.push(format!("    SKIP  {:<24} {state}", "state")),
        }
        let (head, seconds) = (&found["head"], found["seconds"].as_f64().unwrap_or_default());
        let head = head.as_str().unwrap_or_default();
        lines
            .push(format!("  valid: certified up to block {} {head}, in {seconds:.1} s", found["certified"]));
        lines.join("\n")
    }
}

fn state_text(state: &StateFile) -> String {
    match state {
        StateFile::State(state, _) => format!("that after block {}", state.height),
        StateFile::Empty => "none is stored".to_owned(),
        StateFile::InUse => "a running node has the file open".to_owned(),
        StateFile::NotClosed => "the file was not closed; the node mends it when it starts".to_owned(),
    }
}

type Numbered<T> = (T, u64);

/// Checks entries until no more come or nobody wants them.
fn work(
    trust: &TrustRoot,
    entries: &Receiver<Numbered<Entry>>,
    checked: &SyncSender<Numbered<Result<Checked, ChainError>>>,
) {
    while let Ok(first) = entries.recv() {
        let mut together = vec![first];
        together.extend(entries.try_iter().take(TOGETHER - 1));
        for (result, (_, read)) in check(trust, &together).into_iter().zip(&together) {
            if checked.send((result, *read)).is_err() {
                return;
            }
        }
    }
}
