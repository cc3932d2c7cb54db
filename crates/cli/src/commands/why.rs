//! `quorate why`: why nothing commits, or what would stop it next, from what every replica says that it waits for.

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::testnet::Testnet;
use crate::testnet::control::{self, Request};
use quorate_client::{Client, ErrorCode, v1};
use quorate_types::Members;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Between the two looks: what does not move in this time stands still.
const BETWEEN: Duration = Duration::from_millis(800);
/// Peers send something every second: who was not heard for this long is not in reach.
const SILENT_MS: u64 = 3_000;

/// What the ledger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commits {
    Flow,
    Idle,
    Blocked,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    replica: Option<usize>,
    phase: String,
    cause: String,
    action: String,
}

/// What every member said, by its number; `Err` with the reason if it said nothing, `None` if it was not asked.
struct Picture<'n> {
    names: Vec<&'n str>,
    quorum: usize,
    answers: Vec<Option<Result<v1::Waits, String>>>,
    /// What keeps those of a testnet from answering that do not run, by name, and what to do.
    stopped: BTreeMap<String, (String, String)>,
}

/// What the supervisor of a testnet knows, if commands here talk to one.
fn stopped_in_testnet(context: &Context) -> BTreeMap<String, (String, String)> {
    let dir = Context::surroundings().filter(|_| context.global.endpoint.is_empty());
    let asked = dir.and_then(|dir| Some((control::ask(&dir, &Request::Status).ok()?, dir)));
    let Some((reply, dir)) = asked else { return BTreeMap::new() };
    let told = reply.nodes.into_iter().enumerate().filter_map(|(index, node)| {
        let told = match node.state.as_str() {
            "paused" => (format!("{} is paused", node.name), format!("quorate testnet resume {index}")),
            "down" => {
                let words = last_words(&Testnet::node_dir(&dir, index).join("node.log"));
                let start = format!("quorate testnet start {index}");
                let (said, action) = match words {
                    None => (String::new(), start),
                    Some((error, None)) => {
                        (format!("; its log: {error}"), format!("mend that, then {start}"))
                    }
                    Some((error, Some(fix))) => {
                        (format!("; its log: {error}"), format!("{fix}; then {start}"))
                    }
                };
                (format!("{} does not run: {}{said}", node.name, node.ended), action)
            }
            _ => return None,
        };
        Some((node.name, told))
    });
    told.collect()
}

/// The last error in the last lines of a log, in one line, and what it says to do.
fn last_words(log: &Path) -> Option<(String, Option<String>)> {
    const MOST_LINES: usize = 20;
    let text = std::fs::read_to_string(log).ok()?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let last = &lines[lines.len().saturating_sub(MOST_LINES)..];
    let begin = last.iter().rposition(|line| line.contains("error[") || line.contains("ERROR"))?;
    let is_advice = |line: &&&str| line.starts_with("why:") || line.starts_with("fix:");
    let said: Vec<&str> = last[begin..].iter().take_while(|line| !is_advice(line)).copied().collect();
    let fix = last[begin..].iter().find_map(|line| line.strip_prefix("fix:"));
    let words = said.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    Some((words, fix.map(|fix| fix.trim().to_owned())))
}

pub(crate) async fn run(context: &Context) -> Outcome<u8> {
    let client = context.client(None).await.map_err(|failure| match failure.code {
        ErrorCode::Unreachable => Failure::new(ErrorCode::NoQuorum)
            .why("no replica accepted a connection")
            .fix("start the replicas: quorate testnet up, or quorate node run"),
        _ => failure,
    })?;
    let trust = client.trust();
    let before = Picture::take(trust.members(), &client).await;
    tokio::time::sleep(BETWEEN).await;
    let mut now = Picture::take(trust.members(), &client).await;
    now.stopped = stopped_in_testnet(context);
    let commits = now.commits_since(&before);
    let findings = now.findings(commits);
    let present = now.voting();
    let quorums = client.trust().members().quorums();
    let verdict = verdict(commits, present, now.quorum);
    let document = json!({
        "schema": "quorate.why.v1",
        "ledger": client.trust().ledger().to_string(),
        "commits": match commits { Commits::Flow => "flow", Commits::Idle => "idle", Commits::Blocked => "blocked" },
        "verdict": verdict,
        "present": present,
        "arithmetic": quorums.explain(),
        "findings": findings.iter().map(|finding| now.document(finding)).collect::<Vec<_>>(),
    });
    context.output.data(&document, || now.text(&verdict, &findings));
    Ok(match (commits, present) {
        (Commits::Blocked, _) => super::status::NO_QUORUM,
        (_, present) if present < now.quorum => super::status::NO_QUORUM,
        _ if !findings.is_empty() => super::status::DEGRADED,
        _ => 0,
    })
}

fn verdict(commits: Commits, present: usize, quorum: usize) -> String {
    let voters = format!("{present} replicas vote, commits need {quorum}");
    match commits {
        Commits::Flow => format!("commits flow: {voters}"),
        Commits::Idle if present < quorum => format!("nothing waits, and nothing could commit: {voters}"),
        Commits::Idle => format!("nothing waits: {voters}"),
        Commits::Blocked => format!("nothing commits: {voters}"),
    }
}

impl<'n> Picture<'n> {
    async fn take(members: &'n Members, client: &Client) -> Self {
        let names: Vec<&str> = members.iter().map(|(_, member)| member.name.as_str()).collect();
        let asked = client.waits().await;
        let all_asked = asked.len() >= names.len();
        let mut answers: Vec<Option<Result<v1::Waits, String>>> = vec![None; names.len()];
        let mut failed = Vec::new();
        for (endpoint, answer) in asked {
            match answer {
                Ok(waits) => {
                    let member = waits.status.as_ref().map_or(u32::MAX, |status| status.member);
                    if let Some(place) = answers.get_mut(index(member)) {
                        *place = Some(Ok(waits));
                    }
                }
                Err(why) => failed.push(format!("{endpoint}: {why}")),
            }
        }
        if all_asked {
            let why = failed.join("; ");
            for answer in answers.iter_mut().filter(|answer| answer.is_none()) {
                *answer = Some(Err(why.clone()));
            }
        }
        Self { names, quorum: members.quorums().strong(), answers, stopped: BTreeMap::new() }
    }

    fn said(&self) -> impl Iterator<Item = (usize, &v1::Waits)> {
        let said = self.answers.iter().enumerate();
        said.filter_map(|(member, answer)| Some((member, answer.as_ref()?.as_ref().ok()?)))
    }

    fn waits(&self, member: usize) -> Option<&v1::Waits> {
        self.answers.get(member)?.as_ref()?.as_ref().ok()
    }

    fn state(&self, member: usize) -> &str {
        self.waits(member).and_then(|waits| waits.status.as_ref()).map_or("", |status| &status.state)
    }

    /// Members that vote, as far as is known.
    fn voting(&self) -> usize {
        let voting = |member: &usize| match self.waits(*member) {
            Some(_) => matches!(self.state(*member), "normal" | "view-change"),
            // One that was not asked counts if others hear it.
            None => self.answers[*member].is_none() && self.heard_by(*member).next().is_some(),
        };
        (0..self.names.len()).filter(voting).count()
    }

    fn executed(&self, member: usize) -> u64 {
        self.waits(member).and_then(|waits| waits.status.as_ref()).map_or(0, |status| status.executed)
    }

    fn highest_executed(&self) -> u64 {
        (0..self.names.len()).map(|member| self.executed(member)).max().unwrap_or(0)
    }

    fn commits_since(&self, before: &Self) -> Commits {
        let something_waits =
            |picture: &Self| picture.said().any(|(_, waits)| waits.requests > 0 || waits.slot.is_some());
        if self.highest_executed() > before.highest_executed() {
            Commits::Flow
        } else if something_waits(self) && something_waits(before) {
            Commits::Blocked
        } else {
            Commits::Idle
        }
    }

    /// Whether this member hears that one.
    fn hears(&self, member: usize, other: usize) -> Option<bool> {
        let link = self.waits(member)?.links.iter().find(|link| index(link.member) == other)?;
        Some(link.connected && link.heard_ms.is_some_and(|heard| heard <= SILENT_MS))
    }

    fn heard_by(&self, member: usize) -> impl Iterator<Item = usize> {
        (0..self.names.len()).filter(move |other| self.hears(*other, member) == Some(true))
    }

    fn findings(&self, commits: Commits) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            (0..self.names.len()).filter_map(|member| self.of_member(member)).collect();
        findings.extend(self.of_links());
        findings.extend(self.of_disks());
        if commits == Commits::Blocked {
            findings.extend(self.of_view());
            findings.extend(self.of_slot());
            findings.extend(self.of_checkpoint());
            if findings.is_empty() {
                findings.push(Finding {
                    replica: None,
                    phase: "unknown".to_owned(),
                    cause: "requests wait, and every replica votes, is connected and waits for nothing that it names".to_owned(),
                    action: "ask again; if it stays so, send the developers quorate -o json why and the nodes' logs".to_owned(),
                });
            }
        }
        findings
    }

    /// What is wrong with a member by itself.
    fn of_member(&self, member: usize) -> Option<Finding> {
        let name = self.names[member];
        let finding = |phase: &str, cause: String, action: String| {
            Some(Finding { replica: Some(member), phase: phase.to_owned(), cause, action })
        };
        let Some(waits) = self.waits(member) else {
            if let Some((cause, action)) = self.stopped.get(name) {
                return finding("down", cause.clone(), action.clone());
            }
            let heard: Vec<usize> = self.heard_by(member).collect();
            if heard.is_empty() {
                let cause = format!("{name} does not answer, and none of its peers hears it");
                let action = format!(
                    "start {name} (quorate testnet start {member}, or quorate node run); if it runs, its log and its network tell more"
                );
                return finding("down", cause, action);
            }
            let Some(Err(why)) = &self.answers[member] else { return None };
            let cause =
                format!("{name} does not answer on its API ({why}), but {} hears it", self.list(&heard));
            return finding(
                "api",
                cause,
                format!("look whether the API port of {name} is open, and at its log"),
            );
        };
        let why = waits.status.as_ref().map(|status| status.why.clone()).unwrap_or_default();
        match self.state(member) {
            "starting" => {
                let by: Vec<usize> =
                    waits.hello.iter().flat_map(|hello| &hello.by).map(|by| index(*by)).collect();
                let missing = self.others(&[&by[..], &[member]].concat());
                let needed = self.quorum - 1;
                let cause = format!(
                    "{name} has started and may not vote before {needed} others answered its HELLO: {} did, {} did not",
                    self.list(&by),
                    self.list(&missing)
                );
                finding(
                    "starting",
                    cause,
                    format!("start {}, or mend their links to {name}", self.list(&missing)),
                )
            }
            "learner" => {
                let fix = ErrorCode::Amnesia.text().fix;
                finding("learner", format!("{name} does not vote: {why}"), fix.to_owned())
            }
            "halted" => {
                let action = format!(
                    "restart {name}: what is not certified is executed again; if it stops again, it computes otherwise than the others: stop it, let quorate verify compare name the block, the transaction and the key, and run the version that the others run, on another machine if need be"
                );
                finding("halted", format!("{name} stopped voting: {why}"), action)
            }
            "catching-up" => {
                let (from, to) = (waits.fetching.unwrap_or(0), self.highest_executed());
                let cause = format!("{name} fetches blocks from {from} on; others are at {to}");
                finding("catching-up", cause, format!("wait: {name} votes again by itself"))
            }
            _ => None,
        }
    }

    /// Whose disk fills up. It holds nothing up yet.
    fn of_disks(&self) -> Vec<Finding> {
        let alarms = |(member, waits): (usize, &v1::Waits)| {
            let alarms = waits.status.as_ref().map(|status| status.alarms.clone()).unwrap_or_default();
            alarms.into_iter().map(move |alarm| (member, alarm)).collect::<Vec<_>>()
        };
        let finding = |(member, alarm): (usize, String)| Finding {
            replica: Some(member),
            phase: "disk".to_owned(),
            cause: format!("{}: {alarm}", self.names[member]),
            action: "see How much is kept in docs/operating.md".to_owned(),
        };
        self.said().flat_map(alarms).map(finding).collect()
    }

    /// Which members cannot hear each other, though both run.
    fn of_links(&self) -> Vec<Finding> {
        let running: Vec<usize> = self.said().map(|(member, _)| member).collect();
        let deaf = |a: usize, b: usize| self.hears(a, b) == Some(false) || self.hears(b, a) == Some(false);
        let isolated: Vec<usize> = running
            .iter()
            .copied()
            .filter(|a| running.len() > 2 && running.iter().all(|b| a == b || deaf(*a, *b)))
            .collect();
        let mut findings: Vec<Finding> = isolated
            .iter()
            .map(|member| Finding {
                replica: Some(*member),
                phase: "isolated".to_owned(),
                cause: format!("{} runs, and none of the others is in its reach", self.names[*member]),
                action: format!(
                    "look at the network of {}: UDP to and from its peer port",
                    self.names[*member]
                ),
            })
            .collect();
        for (place, a) in running.iter().enumerate() {
            for b in running.iter().skip(place + 1) {
                if isolated.contains(a) || isolated.contains(b) || !deaf(*a, *b) {
                    continue;
                }
                let (a_name, b_name) = (self.names[*a], self.names[*b]);
                findings.push(Finding {
                    replica: Some(*a),
                    phase: "link".to_owned(),
                    cause: format!("{a_name} and {b_name} run and do not hear each other"),
                    action: format!(
                        "look at the network between {a_name} and {b_name}: UDP to their peer ports"
                    ),
                });
            }
        }
        findings
    }

    /// Who must open a view that is not open.
    fn of_view(&self) -> Option<Finding> {
        let waiting =
            self.said().filter_map(|(member, waits)| Some((member, waits, waits.view_change.as_ref()?)));
        let (member, waits, wait) = waiting.max_by_key(|(_, _, wait)| wait.view)?;
        let by: Vec<usize> = wait.by.iter().map(|by| index(*by)).collect();
        let (primary, view) = (index(wait.primary), wait.view);
        let name = self.names.get(primary).copied().unwrap_or("?");
        let cause = if by.len() < self.quorum {
            let missing = self.others(&by);
            format!(
                "view {view} cannot open: {} holds VIEW-CHANGEs of {} and needs {}; {} sent none",
                self.names[member],
                self.list(&by),
                self.quorum,
                self.list(&missing)
            )
        } else if wait.opened {
            format!(
                "view {view}: {} has the NEW-VIEW of {name} and lacks something that it names",
                self.names[member]
            )
        } else {
            format!(
                "view {view} is not open: {name} must send its NEW-VIEW, and {} has none",
                self.names[member]
            )
        };
        let next = left(waits, "new-view")
            .map_or(String::new(), |left| format!("; the next view is tried in {left} ms"));
        let action = if self.waits(primary).is_none() {
            format!("start {name}, or wait for a view whose primary runs{next}")
        } else {
            format!("look at {name} and its links{next}")
        };
        Some(Finding { replica: Some(primary), phase: "view-change".to_owned(), cause, action })
    }

    /// Whose votes the lowest open slot lacks.
    fn of_slot(&self) -> Option<Finding> {
        let open = self.said().filter(|(_, waits)| waits.view_change.is_none());
        let open = open.filter_map(|(member, waits)| Some((member, waits, waits.slot.as_ref()?)));
        // The one that has come furthest tells most.
        let (member, waits, slot) = open.max_by_key(|(_, _, slot)| (slot.seq, step_rank(&slot.step)))?;
        let primary = waits.status.as_ref().map_or(0, |status| index(status.primary));
        let (name, seq) = (self.names[member], slot.seq);
        let by: Vec<usize> = slot.by.iter().map(|by| index(*by)).collect();
        let (phase, needed, votes) = match slot.step.as_str() {
            "prepares" => ("prepare", self.quorum - 1, "PREPAREs"),
            "commits" => ("commit", self.quorum, "COMMITs"),
            "proposal" => return Some(self.no_proposal(member, waits, seq, primary)),
            "body" => {
                let cause = format!("block {seq}: {name} knows its digest and lacks its transactions");
                let action = format!("look at the links of {name}: any member that has the block gives it");
                return Some(Finding { replica: Some(member), phase: "body".to_owned(), cause, action });
            }
            _ => {
                let cause = format!("block {seq} is decided, and {name} has not executed it");
                let action = format!("look at the load and the log of {name}");
                return Some(Finding { replica: Some(member), phase: "execution".to_owned(), cause, action });
            }
        };
        let but: &[usize] = if phase == "prepare" { &[primary] } else { &[] };
        let missing = self.others(&[&by[..], but].concat());
        let cause = format!(
            "block {seq}: {name} holds {votes} of {} and needs {needed}; those of {} are missing",
            self.list(&by),
            self.list(&missing)
        );
        Some(Finding {
            replica: missing.first().copied(),
            phase: phase.to_owned(),
            cause,
            action: self.wake(&missing),
        })
    }

    fn no_proposal(&self, member: usize, waits: &v1::Waits, seq: u64, primary: usize) -> Finding {
        let (name, from) = (self.names.get(primary).copied().unwrap_or("?"), self.names[member]);
        let mut cause = format!("block {seq}: {name}, the primary, has proposed nothing that {from} holds");
        if let Some(oldest) = waits.oldest_ms {
            cause += &format!("; the oldest request has waited {oldest} ms");
        }
        let suspecting: Vec<usize> = waits.suspicions.iter().map(|one| index(one.member)).collect();
        if !suspecting.is_empty() {
            cause += &format!("; {} suspects it", self.list(&suspecting));
        }
        let left = left(waits, "request").or_else(|| left(waits, "order"));
        let next = left.map_or(String::new(), |left| format!("; {from} suspects it in {left} ms"));
        let action =
            format!("look at {name} and its links; a quorum that suspects it goes on without it{next}");
        Finding { replica: Some(primary), phase: "pre-prepare".to_owned(), cause, action }
    }

    fn of_checkpoint(&self) -> Option<Finding> {
        let (member, wait) =
            self.said().find_map(|(member, waits)| Some((member, waits.checkpoint.as_ref()?)))?;
        let by: Vec<usize> = wait.by.iter().map(|by| index(*by)).collect();
        let missing = self.others(&by);
        let cause = format!(
            "the window of {} is used up: checkpoint {} is signed by {} and needs {}; {} did not sign",
            self.names[member],
            wait.height,
            self.list(&by),
            self.quorum,
            self.list(&missing)
        );
        Some(Finding {
            replica: missing.first().copied(),
            phase: "checkpoint".to_owned(),
            cause,
            action: self.wake(&missing),
        })
    }

    /// What to do about members whose votes are missing.
    fn wake(&self, missing: &[usize]) -> String {
        let (down, up): (Vec<usize>, Vec<usize>) =
            missing.iter().partition(|member| self.waits(**member).is_none());
        match (down.is_empty(), up.is_empty()) {
            (false, true) => format!("start {}", self.list(&down)),
            (false, false) => format!("start {}; look at the logs of {}", self.list(&down), self.list(&up)),
            _ => format!("look at the logs, disks and links of {}", self.list(&up)),
        }
    }

    fn others(&self, but: &[usize]) -> Vec<usize> {
        (0..self.names.len()).filter(|member| !but.contains(member)).collect()
    }

    fn list(&self, members: &[usize]) -> String {
        let names: Vec<&str> = members.iter().filter_map(|member| self.names.get(*member).copied()).collect();
        match names.as_slice() {
            [] => "nobody".to_owned(),
            [one] => (*one).to_owned(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
        }
    }

    fn document(&self, finding: &Finding) -> Value {
        json!({
            "replica": finding.replica.and_then(|member| self.names.get(member)),
            "phase": finding.phase,
            "cause": finding.cause,
            "action": finding.action,
        })
    }

    fn text(&self, verdict: &str, findings: &[Finding]) -> String {
        let mut lines = vec![verdict.to_owned()];
        for finding in findings {
            let who = finding.replica.and_then(|member| self.names.get(member).copied()).unwrap_or("ledger");
            lines.push(format!("  {who}  {}", finding.phase));
            lines.push(format!("    why: {}", finding.cause));
            lines.push(format!("    fix: {}", finding.action));
        }
        if findings.is_empty() {
            lines.push("  every replica votes and hears the others".to_owned());
        }
        lines.join("\n")
    }
}

fn index(member: u32) -> usize {
    usize::try_from(member).unwrap_or(usize::MAX)
}

fn left(waits: &v1::Waits, timer: &str) -> Option<u64> {
    waits.timers.iter().find(|left| left.timer == timer).map(|left| left.left_ms)
}

/// How far a slot is that waits for this.
fn step_rank(step: &str) -> usize {
    ["proposal", "body", "prepares", "commits", "execution"]
        .iter()
        .position(|name| *name == step)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
