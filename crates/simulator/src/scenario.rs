//! Scenarios: a script on one side, what happened on the other, both in one text file.
//!
//! ```text
//! # N1: comments cite the clause.
//! cluster n=4
//! submit 1 c0/0 put a 1
//! > 1 forwards
//! deliver
//! > 0 says PRE-PREPARE view 0 seq 1 d1
//! ```
//!
//! A line that begins with `>` is what the command above it led to. With `QUORATE_REWRITE=1` the test writes what happens
//! now instead of comparing; the diff is then read by a person.

mod lies;

use crate::cluster::{Cluster, CrashPoint, InFlight, Network, Setup, Told};
use quorate_crypto::{null_batch_digest, transaction_id};
use quorate_engine::Answer;
use quorate_pbft::{Phase, Report};
use quorate_types::{
    Digest, Message, Notice, Operation, Operations, ReplicaId, SignedTransaction, Statement, TransactionId,
    TransactionResult,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

/// How many messages one command may deliver: a storm is an error, not a hang.
const MOST_DELIVERIES: usize = 100_000;

/// Runs a scenario file and returns it with what happened now.
///
/// # Errors
/// If a command is not understood, or a property did not hold.
pub fn run(text: &str) -> Result<String, String> {
    let mut runner: Option<Runner> = None;
    let mut out = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.starts_with('>') {
            continue;
        }
        out.push_str(line);
        out.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |why: String| format!("line {}: {line}: {why}", number + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        let told = match (&mut runner, words.as_slice()) {
            (None, ["cluster", options @ ..]) => {
                runner = Some(Runner::new(options).map_err(at)?);
                String::new()
            }
            (None, _) => return Err(at("the first command is cluster".to_owned())),
            (Some(runner), words) => runner.command(words).map_err(at)?,
        };
        for line in told.lines() {
            let _ = writeln!(out, "> {line}");
        }
        if let Some(violation) = runner.as_ref().and_then(|runner| runner.cluster.checkers.violations.first())
        {
            return Err(at(format!("{}: {}", violation.property, violation.what)));
        }
    }
    Ok(out)
}

struct Runner {
    cluster: Cluster,
    /// Digests by the order in which they were first seen.
    names: BTreeMap<Digest, String>,
    /// Statements already told.
    told: BTreeSet<String>,
    transactions: BTreeMap<TransactionId, String>,
    signed: BTreeMap<String, SignedTransaction>,
    reports: usize,
    /// Members whose messages are dropped in both directions.
    isolated: BTreeSet<ReplicaId>,
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn member(text: &str) -> Result<ReplicaId, String> {
    number(text).map(ReplicaId::new)
}

fn members(text: &str) -> Result<Vec<ReplicaId>, String> {
    text.split(',').map(member).collect()
}

/// The value of `name=` among the words.
fn option<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// The word after `name`.
fn after<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    let at = words.iter().position(|word| *word == name)?;
    words.get(at + 1).copied()
}

/// The kind of a message, as scenarios name it.
fn kind(message: &Message) -> &'static str {
    match message {
        Message::Proposal(_) => "pre-prepare",
        Message::Vote(signed) => match signed.statement {
            Statement::Prepare { .. } => "prepare",
            Statement::Commit { .. } => "commit",
            Statement::Attest { .. } => "attest",
            _ => "checkpoint",
        },
        Message::ViewChange(_) => "view-change",
        Message::NewView(_) => "new-view",
        Message::CommitCertificate(_) => "commit-certificate",
        Message::BlockCertificate(_) => "block-certificate",
        Message::Body(_) => "body",
        Message::Block(_) => "block",
        Message::Forward(_) => "forward",
        Message::Evidence(_) => "evidence",
        Message::Notice(notice) => match notice {
            Notice::Status(_) => "status",
            Notice::Ping { .. } | Notice::Pong { .. } => "ping",
            Notice::Fetch(_) => "fetch",
            Notice::Hello(_) | Notice::HelloReply(_) => "hello",
            Notice::Pruned { .. } => "pruned",
        },
        Message::StateParts(_) => "state-parts",
        Message::StateLeaves(_) => "state-leaves",
    }
}

impl Runner {
    fn new(options: &[&str]) -> Result<Self, String> {
        let mut setup = Setup::of(option(options, "n").map_or(Ok(4), number)?);
        let parameters = &mut setup.parameters;
        for (name, field) in [
            ("checkpoint", &mut parameters.checkpoint_every),
            ("window", &mut parameters.window),
            ("depth", &mut parameters.depth),
        ] {
            if let Some(value) = option(options, name) {
                *field = number(value)?;
            }
        }
        if let Some(value) = option(options, "faults") {
            setup.faults = Some(number(value)?);
            setup.allow_crash_only = true;
        }
        let mut cluster = Cluster::new(&setup, Network::Manual(std::collections::VecDeque::new()), 1);
        cluster.set_durability_checks(1_000);
        cluster.set_gather_requests(option(options, "gather").map_or(Ok(0), number)?);
        for id in ReplicaId::all(setup.n) {
            cluster.start(id);
        }
        let mut runner = Self {
            cluster,
            names: BTreeMap::from([(null_batch_digest(), "null".to_owned())]),
            told: BTreeSet::new(),
            transactions: BTreeMap::new(),
            signed: BTreeMap::new(),
            reports: 0,
            isolated: BTreeSet::new(),
        };
        runner.deliver(&|_| true)?;
        runner.cluster.story = Some(Vec::new());
        runner.reports = runner.cluster.reports.len();
        Ok(runner)
    }

    fn command(&mut self, words: &[&str]) -> Result<String, String> {
        let mut out = String::new();
        match words {
            ["submit", gateway, name, operation @ ..] => self.submit(member(gateway)?, name, operation)?,
            ["deliver", filter @ ..] => self.deliver(&filter_of(filter)?)?,
            ["drop", filter @ ..] => self.discard(&filter_of(filter)?),
            ["hold", filter @ ..] => {
                // Everything but these is delivered, again and again, until nothing else waits.
                let held = filter_of(filter)?;
                self.deliver(&move |message: &InFlight| !held(message))?;
            }
            ["run", time] => self.run_for(number(time)?)?,
            ["wait", time] => {
                self.cluster.run_for(Duration::from_millis(number(time)?));
                self.cluster.settle();
            }
            ["crash", who] => members(who)?.into_iter().for_each(|id| self.cluster.crash(id)),
            ["crash", who, "before-sync"] => self.cluster.crash_at(member(who)?, CrashPoint::BeforeSync),
            ["crash", who, "after", effects] => {
                self.cluster.crash_at(member(who)?, CrashPoint::AfterEffects(number(effects)?));
            }
            ["start", who] => {
                for id in members(who)? {
                    if let Err(why) = self.cluster.try_start(id) {
                        let _ = writeln!(out, "{id} does not start: {why}");
                    }
                }
            }
            ["disk", who, "fails"] => self.cluster.fail_syncs(member(who)?),
            ["flip", who, offset] => self.cluster.flip_in_log(member(who)?, number(offset)?)?,
            ["flood", gateway, client, count] => {
                let refused = self.flood(member(gateway)?, number(client)?, number(count)?);
                let _ = writeln!(out, "{refused}");
            }
            ["isolate", who] => self.isolated.extend(members(who)?),
            ["heal"] => self.isolated.clear(),
            ["faulty", who] => self.cluster.checkers.faulty.extend(members(who)?),
            ["clock", who, ahead] => self.cluster.set_clock(member(who)?, number(ahead)?),
            ["lie", who, statement @ ..] => self.lie(member(who)?, statement)?,
            ["status"] => self.status(&mut out),
            ["timeouts"] => self.timeouts(&mut out),
            ["queue"] => self.queue(&mut out),
            ["expect", property @ ..] => self.expect(property)?,
            _ => return Err("not understood".to_owned()),
        }
        self.cluster.settle();
        self.tell(&mut out);
        Ok(out)
    }

    fn submit(&mut self, gateway: ReplicaId, name: &str, operation: &[&str]) -> Result<(), String> {
        if let Some(signed) = self.signed.get(name).cloned() {
            let _ = self.cluster.submit(gateway, signed);
            return Ok(());
        }
        let (client, rest) =
            name.strip_prefix('c').and_then(|rest| rest.split_once('/')).ok_or("a name is c0/1")?;
        // c0/1b is another transaction with the number of c0/1.
        let transaction_number = number(rest.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()))?;
        let bytes = |text: &str| text.as_bytes().to_vec();
        let (valid_for, operation) = match operation {
            [valid, rest @ ..] if valid.starts_with("valid=") => (number(&valid[6..])?, rest),
            all => (600_000, all),
        };
        let operation = match operation {
            [] => Operation::Put { key: bytes("k"), value: bytes(name) },
            ["put", key, value] => Operation::Put { key: bytes(key), value: bytes(value) },
            ["get", key] => Operation::Get { key: bytes(key) },
            ["cas", key, expected, value] => {
                Operation::Cas { key: bytes(key), expected: Some(bytes(expected)), value: bytes(value) }
            }
            _ => return Err("operations: put, get, cas".to_owned()),
        };
        let place = (1, transaction_number);
        let signed =
            self.cluster.transaction(number(client)?, place, valid_for, &Operations(vec![operation]));
        self.transactions.insert(transaction_id(&signed.transaction), name.to_owned());
        self.signed.insert(name.to_owned(), signed.clone());
        let _ = self.cluster.submit(gateway, signed);
        Ok(())
    }

    /// Many transactions of one client at once; tells how many were refused, and why.
    fn flood(&mut self, gateway: ReplicaId, client: usize, count: u64) -> String {
        for number in 0..count {
            let put = Operation::Put { key: b"k".to_vec(), value: number.to_be_bytes().to_vec() };
            // Sessions of their own: a session's window is a limit of its own.
            let place = (number / 512, number % 512);
            let signed = self.cluster.transaction(client, place, 600_000, &Operations(vec![put]));
            let _ = self.cluster.submit(gateway, signed);
        }
        self.cluster.settle();
        let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
        self.cluster.answers.retain(|(_, answer)| match answer {
            Answer::Refused(refusal) => {
                *refused.entry(refusal.code.text().what).or_default() += 1;
                false
            }
            _ => true,
        });
        let lines: Vec<String> =
            refused.iter().map(|(why, count)| format!("{count} of {client} are refused: {why}")).collect();
        lines.join("\n")
    }

    /// Delivers what the filter takes, in order, until none of it waits.
    fn deliver(&mut self, wanted: &dyn Fn(&InFlight) -> bool) -> Result<(), String> {
        for _ in 0..MOST_DELIVERIES {
            self.cluster.settle();
            let isolated = &self.isolated;
            let Network::Manual(waiting) = &mut self.cluster.network else { return Ok(()) };
            waiting.retain(|message| !isolated.contains(&message.from) && !isolated.contains(&message.to));
            let Some(at) = waiting.iter().position(wanted) else { return Ok(()) };
            if let Some(message) = waiting.remove(at) {
                self.cluster.deliver(&message);
            }
        }
        Err("the cluster does not come to rest".to_owned())
    }

    fn discard(&mut self, wanted: &dyn Fn(&InFlight) -> bool) {
        if let Network::Manual(waiting) = &mut self.cluster.network {
            waiting.retain(|message| !wanted(message));
        }
    }

    /// Time passes in steps of 10 ms, everything is delivered.
    fn run_for(&mut self, milliseconds: u64) -> Result<(), String> {
        for _ in 0..milliseconds / 10 {
            self.deliver(&|_| true)?;
            self.cluster.run_for(Duration::from_millis(10));
        }
        self.deliver(&|_| true)
    }

    fn status(&self, out: &mut String) {
        for id in ReplicaId::all(self.cluster.members().count()) {
            let Some(status) = self.cluster.status(id) else {
                let _ = writeln!(out, "{id} is down");
                continue;
            };
            let phase = match status.phase {
                Phase::Starting => "starting",
                Phase::Normal => "normal",
                Phase::ViewChange => "view-change",
                Phase::CatchingUp => "catching-up",
                Phase::Learner => "learner",
                Phase::Halted => "halted",
            };
            let _ = writeln!(
                out,
                "{id} {phase} view {} executed {} certified {} base {} stable {} custody {}{}",
                status.view,
                status.executed,
                status.certified,
                status.base,
                status.stable,
                status.custody,
                if status.suspicion.is_some() { " suspects" } else { "" }
            );
        }
    }

    /// V6, V10: the one timeout of each member.
    fn timeouts(&self, out: &mut String) {
        for id in ReplicaId::all(self.cluster.members().count()) {
            if let Some(status) = self.cluster.status(id) {
                let _ = writeln!(out, "{id} waits {} ms", status.view_timeout_ms);
            }
        }
    }

    fn queue(&self, out: &mut String) {
        let Network::Manual(waiting) = &self.cluster.network else { return };
        let mut counts: BTreeMap<(&str, ReplicaId, ReplicaId), usize> = BTreeMap::new();
        for message in waiting {
            *counts.entry((kind(message.message()), message.from, message.to)).or_default() += 1;
        }
        for ((kind, from, to), count) in counts {
            let _ = writeln!(out, "{kind} {from} to {to}: {count}");
        }
    }

    /// `expect executed 1,2 3`: these members have executed so far.
    fn expect(&self, words: &[&str]) -> Result<(), String> {
        let ["executed", who, height] = words else { return Err("expect executed WHO HEIGHT".to_owned()) };
        let height: u64 = number(height)?;
        for id in members(who)? {
            let executed = self.cluster.status(id).map(|status| status.executed.get());
            if executed != Some(height) {
                return Err(format!("{id} has executed {executed:?}, not {height}"));
            }
        }
        Ok(())
    }

    fn name(&mut self, digest: Digest) -> String {
        let next = format!("d{}", self.names.len());
        self.names.entry(digest).or_insert(next).clone()
    }

    /// What happened since the last command: statements said for the first time, executions, answers, reports.
    fn tell(&mut self, out: &mut String) {
        for told in self.cluster.story.replace(Vec::new()).unwrap_or_default() {
            let line = match told {
                Told::Executed { member, height, digest } => {
                    format!("{member} executes {height} {}", self.name(digest))
                }
                Told::Sent { from, to: _, message } => match self.said(from, &message) {
                    Some(line) if self.told.insert(line.clone()) => line,
                    _ => continue,
                },
                Told::Crashed { .. } | Told::Started { .. } => continue,
            };
            let _ = writeln!(out, "{line}");
        }
        let reports: Vec<_> = self.cluster.reports[self.reports..].to_vec();
        self.reports = self.cluster.reports.len();
        for (id, report) in reports {
            if let Some(text) = report_text(&report) {
                let _ = writeln!(out, "{id} {text}");
            }
        }
        while let Some((_, answer)) = self.cluster.answers.pop_front() {
            let _ = writeln!(out, "{}", self.answer_text(&answer));
        }
    }

    /// A statement that a member says for itself.
    fn said(&mut self, from: ReplicaId, message: &Message) -> Option<String> {
        let signed = match message {
            Message::Vote(signed) => signed,
            Message::Proposal(proposal) => &proposal.pre_prepare,
            Message::ViewChange(view_change) => &view_change.statement,
            Message::NewView(new_view) => &new_view.statement,
            _ => return None,
        };
        if signed.signer != from {
            return None;
        }
        Some(match signed.statement.clone() {
            Statement::PrePrepare { view, seq, digest } => {
                format!("{from} says PRE-PREPARE view {view} seq {seq} {}", self.name(digest))
            }
            Statement::Prepare { view, seq, digest } => {
                format!("{from} says PREPARE view {view} seq {seq} {}", self.name(digest))
            }
            Statement::Commit { view, seq, digest } => {
                format!("{from} says COMMIT view {view} seq {seq} {}", self.name(digest))
            }
            Statement::Attest { seq, .. } => format!("{from} says ATTEST {seq}"),
            Statement::Checkpoint { seq, .. } => format!("{from} says CHECKPOINT {seq}"),
            Statement::ViewChange { view, base, .. } => {
                let prepared = match message {
                    Message::ViewChange(view_change) => view_change
                        .prepared
                        .iter()
                        .map(|entry| format!(" {}:{}@{}", entry.seq, self.name(entry.digest), entry.view))
                        .collect(),
                    _ => String::new(),
                };
                format!("{from} says VIEW-CHANGE {view} base {base} P{prepared}")
            }
            Statement::NewView { view, chosen, min, proposals } => {
                let from_whom: Vec<String> = chosen.iter().map(|(sender, _)| sender.to_string()).collect();
                let proposals: String =
                    proposals.iter().map(|digest| format!(" {}", self.name(*digest))).collect();
                format!("{from} says NEW-VIEW {view} of {} min {min} O{proposals}", from_whom.join(","))
            }
        })
    }

    fn answer_text(&self, answer: &Answer) -> String {
        let name = |id: &TransactionId| self.transactions.get(id).cloned().unwrap_or_else(|| id.to_string());
        match answer {
            Answer::Refused(refusal) => format!("a client is refused: {}", refusal.code.text().what),
            Answer::Outcome(outcome) | Answer::Superseded(outcome) => {
                let result =
                    outcome.block.transactions().nth(outcome.index as usize).map(|(_, _, result)| result);
                let word = match result {
                    Some(TransactionResult::Committed { .. }) => "committed",
                    Some(TransactionResult::Failed { .. }) => "failed",
                    _ => "void",
                };
                let superseded = if matches!(answer, Answer::Superseded(_)) { "superseded by " } else { "" };
                format!(
                    "a client learns: {superseded}{} {word} in {}",
                    name(&outcome.id),
                    outcome.block.header.height
                )
            }
        }
    }
}

/// Which messages a command is about.
type Filter = Box<dyn Fn(&InFlight) -> bool>;

/// `[KIND,KIND] [from A,B] [to C]`: which messages a command is about.
fn filter_of(words: &[&str]) -> Result<Filter, String> {
    let kinds: Option<Vec<String>> = words
        .first()
        .filter(|word| **word != "from" && **word != "to")
        .map(|word| word.split(',').map(ToOwned::to_owned).collect());
    let from = after(words, "from").map(members).transpose()?;
    let to = after(words, "to").map(members).transpose()?;
    Ok(Box::new(move |message: &InFlight| {
        kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|wanted| wanted == kind(message.message())))
            && from.as_ref().is_none_or(|from| from.contains(&message.from))
            && to.as_ref().is_none_or(|to| to.contains(&message.to))
    }))
}

fn report_text(report: &Report) -> Option<String> {
    Some(match report {
        Report::ViewChangeStarted { view, reason } => format!("leaves for view {view} ({reason:?})"),
        Report::ViewActive { view, primary } => format!("is in view {view} of primary {primary}"),
        Report::Suspects { suspicion, .. } => format!("suspects the primary ({suspicion:?})"),
        Report::SuspicionWithdrawn { .. } => "suspects no more".to_owned(),
        Report::CheckpointStable { seq } => format!("has stable checkpoint {seq}"),
        Report::CatchingUp { from, to } => format!("catches up from {from} to {to}"),
        Report::StateInstalled { seq } => format!("installed the state after {seq}"),
        Report::CaughtUp { at } => format!("caught up at {at}"),
        Report::EvidenceFound(evidence) => format!("has evidence against {}", evidence.culprit()),
        Report::Diverged { seq, .. } => format!("diverged at {seq}"),
        Report::Contradiction { seq } => format!("sees a contradiction at {seq}"),
        Report::ViewsExhausted => "has no view left".to_owned(),
        Report::Amnesia => "has forgotten votes".to_owned(),
        Report::HelloComplete => "may speak".to_owned(),
    })
}
