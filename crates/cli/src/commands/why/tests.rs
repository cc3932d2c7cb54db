use super::*;

const NAMES: [&str; 4] = ["node0", "node1", "node2", "node3"];

/// Four members that all vote, hear each other, and wait for nothing.
fn healthy() -> Picture<'static> {
    let answers = (0..4).map(|member| Some(Ok(waits(member, "normal")))).collect();
    Picture { names: NAMES.to_vec(), quorum: 3, answers, stopped: BTreeMap::new() }
}

fn waits(member: u32, state: &str) -> v1::Waits {
    let status = v1::Status { member, state: state.to_owned(), executed: 10, ..v1::Status::default() };
    let links = (0..4).filter(|other| *other != member).map(|other| v1::LinkState {
        member: other,
        connected: true,
        heard_ms: Some(40),
    });
    v1::Waits { status: Some(status), links: links.collect(), ..v1::Waits::default() }
}

impl Picture<'_> {
    fn of(&mut self, member: usize) -> &mut v1::Waits {
        self.answers[member].as_mut().unwrap().as_mut().unwrap()
    }

    /// It is gone, and nobody hears it.
    fn kill(&mut self, member: usize) {
        self.answers[member] = Some(Err("refused".to_owned()));
        for other in (0..4).filter(|other| *other != member) {
            if self.waits(other).is_some() {
                self.cut(other, member);
            }
        }
    }

    /// `a` does not hear `b`.
    fn cut(&mut self, a: usize, b: usize) {
        let link = self.of(a).links.iter_mut().find(|link| index(link.member) == b).unwrap();
        link.heard_ms = Some(SILENT_MS + 1);
    }

    fn slot(&mut self, member: usize, step: &str, by: &[u32]) {
        let of = self.of(member);
        of.requests = 1;
        of.slot = Some(v1::SlotWait { seq: 11, step: step.to_owned(), by: by.to_vec() });
    }

    /// Replica and phase of each finding.
    fn found(&self, commits: Commits) -> Vec<(Option<&str>, String)> {
        let findings = self.findings(commits);
        findings
            .iter()
            .map(|found| (found.replica.map(|member| NAMES[member]), found.phase.clone()))
            .collect()
    }

    fn only(&self, commits: Commits) -> Finding {
        let findings = self.findings(commits);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings[0].clone()
    }
}

fn found(replica: &str, phase: &str) -> (Option<&'static str>, String) {
    (NAMES.into_iter().find(|name| *name == replica), phase.to_owned())
}

#[test]
fn where_all_is_well_nothing_is_found() {
    let picture = healthy();
    assert_eq!(picture.commits_since(&healthy()), Commits::Idle);
    assert_eq!((picture.found(Commits::Idle), picture.voting()), (vec![], 4));
    let mut busy = healthy();
    busy.slot(1, "prepares", &[1]);
    let mut later = healthy();
    later.of(2).status.as_mut().unwrap().executed = 11;
    later.slot(1, "prepares", &[]);
    assert_eq!(later.commits_since(&busy), Commits::Flow, "what waits changes, and blocks come");
    assert_eq!(later.found(Commits::Flow), []);
}

#[test]
fn what_waits_twice_and_does_not_move_is_blocked() {
    let mut picture = healthy();
    picture.slot(1, "commits", &[0, 1]);
    assert_eq!(picture.commits_since(&picture), Commits::Blocked);
    assert_eq!(picture.commits_since(&healthy()), Commits::Idle, "it has only begun to wait");
}

#[test]
fn a_member_that_is_down_is_told_from_one_whose_api_is() {
    let mut picture = healthy();
    picture.kill(2);
    assert_eq!(picture.found(Commits::Flow), [found("node2", "down")]);
    assert_eq!(picture.voting(), 3);
    let mut picture = healthy();
    picture.answers[2] = Some(Err("timed out".to_owned()));
    let finding = picture.only(Commits::Flow);
    assert_eq!(finding.phase, "api");
    assert!(finding.cause.contains("timed out") && finding.cause.contains("node0, node1 and node3"));
}

#[test]
fn two_that_are_down_leave_no_quorum_and_both_are_named() {
    let mut picture = healthy();
    picture.kill(2);
    picture.kill(3);
    picture.slot(1, "prepares", &[1]);
    let expected = [found("node2", "down"), found("node3", "down"), found("node2", "prepare")];
    assert_eq!(picture.found(Commits::Blocked), expected);
    let findings = picture.findings(Commits::Blocked);
    assert_eq!(findings[2].action, "start node2 and node3");
    assert!(findings[2].cause.contains("PREPAREs of node1 and needs 2"), "{}", findings[2].cause);
}

#[test]
fn a_backup_that_is_up_and_does_not_vote_is_named() {
    let mut picture = healthy();
    picture.kill(3);
    picture.slot(0, "commits", &[0, 1]);
    picture.slot(1, "prepares", &[1]);
    let findings = picture.findings(Commits::Blocked);
    assert_eq!(findings[1].phase, "commit", "the furthest is told");
    assert!(findings[1].cause.contains("those of node2 and node3 are missing"), "{}", findings[1].cause);
    assert_eq!(findings[1].action, "start node3; look at the logs of node2");
}

#[test]
fn a_primary_that_proposes_nothing_is_named_with_who_suspects_it() {
    let mut picture = healthy();
    picture.slot(1, "proposal", &[]);
    picture.of(1).oldest_ms = Some(700);
    picture.of(1).suspicions = vec![v1::SuspicionOf { member: 2, reason: "silence".to_owned() }];
    picture.of(1).timers = vec![v1::TimerLeft { timer: "request".to_owned(), left_ms: 300 }];
    let finding = picture.only(Commits::Blocked);
    assert_eq!((finding.replica, finding.phase.as_str()), (Some(0), "pre-prepare"));
    assert!(finding.cause.contains("waited 700 ms; node2 suspects it"), "{}", finding.cause);
    assert!(finding.action.contains("in 300 ms"), "{}", finding.action);
}

#[test]
fn a_view_that_does_not_open_names_who_holds_it_up() {
    let view = |by: &[u32], opened| v1::ViewChangeWait { view: 5, primary: 1, by: by.to_vec(), opened };
    let mut picture = healthy();
    picture.kill(0);
    for member in 1..4 {
        picture.of(member).requests = 1;
        picture.of(member).status.as_mut().unwrap().state = "view-change".to_owned();
        picture.of(member).view_change = Some(view(&[2, 3], false));
    }
    let findings = picture.findings(Commits::Blocked);
    let last = findings.last().unwrap();
    assert!(last.cause.contains("node0 and node1 sent none"), "{}", last.cause);
    for member in 1..4 {
        picture.of(member).view_change = Some(view(&[1, 2, 3], false));
    }
    let findings = picture.findings(Commits::Blocked);
    let last = findings.last().unwrap();
    assert_eq!((last.replica, last.phase.as_str()), (Some(1), "view-change"));
    assert!(last.cause.contains("node1 must send its NEW-VIEW"), "{}", last.cause);
    picture.of(3).view_change = Some(v1::ViewChangeWait { view: 6, ..view(&[1, 2, 3], true) });
    assert!(picture.findings(Commits::Blocked).last().unwrap().cause.contains("lacks something"));
}

#[test]
fn a_member_that_starts_names_whom_it_has_not_heard() {
    let mut picture = healthy();
    picture.kill(3);
    let waits = picture.of(0);
    waits.status.as_mut().unwrap().state = "starting".to_owned();
    waits.hello = Some(v1::MembersWait { height: 0, by: vec![1] });
    let findings = picture.findings(Commits::Idle);
    assert_eq!(findings[0].phase, "starting");
    assert!(findings[0].cause.contains("node1 did, node2 and node3 did not"), "{}", findings[0].cause);
}

#[test]
fn members_that_do_not_vote_say_why() {
    for (state, word) in
        [("learner", "does not vote"), ("halted", "stopped voting"), ("catching-up", "fetches blocks")]
    {
        let mut picture = healthy();
        picture.answers[1] = Some(Ok(waits(1, state)));
        picture.of(1).fetching = Some(4);
        let finding = picture.only(Commits::Flow);
        assert_eq!((finding.replica, finding.phase.as_str()), (Some(1), state));
        assert!(finding.cause.contains(word), "{}", finding.cause);
    }
}

#[test]
fn a_link_that_is_down_is_told_from_a_member_that_is_cut_off() {
    let mut picture = healthy();
    picture.cut(1, 3);
    let finding = picture.only(Commits::Flow);
    assert_eq!(finding.phase, "link");
    assert!(finding.cause.contains("node1 and node3"), "one direction is enough: {}", finding.cause);
    for other in [0, 1, 3] {
        picture.cut(other, 2);
    }
    assert_eq!(picture.found(Commits::Flow), [found("node2", "isolated"), found("node1", "link")]);
}

#[test]
fn a_full_window_names_who_did_not_sign_its_checkpoint() {
    let mut picture = healthy();
    picture.of(0).requests = 1;
    picture.of(0).checkpoint = Some(v1::MembersWait { height: 128, by: vec![0, 3] });
    let finding = picture.only(Commits::Blocked);
    assert_eq!((finding.replica, finding.phase.as_str()), (Some(1), "checkpoint"));
    assert!(finding.cause.contains("signed by node0 and node3 and needs 3; node1 and node2 did not"));
}

#[test]
fn who_was_not_asked_is_not_called_down() {
    let mut picture = healthy();
    picture.answers[2] = None;
    assert_eq!((picture.found(Commits::Idle), picture.voting()), (vec![], 4));
    picture.cut(0, 2);
    picture.cut(1, 2);
    picture.cut(3, 2);
    assert_eq!(picture.found(Commits::Idle), [found("node2", "down")]);
}
