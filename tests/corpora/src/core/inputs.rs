//! What three lying peers can say: anything under their own signatures, and what the member signed itself.

use super::said::Said;
use crate::cursor::Cursor;
use crate::member::{START_MS, ledger, transaction};
use crate::scheme::FakeSigner;
use quorate_crypto::{
    HashedBatch, Signer, base_proof_digest, null_batch_digest, prepared_set_digest, view_change_digest,
};
use quorate_ledger::{Machine, built_in_applications};
use quorate_pbft::ReplicaStatus;
use quorate_types::{
    BaseProof, Batch, Block, BlockCertificate, CertificateKind, CertifiedBlock, CommitCertificate, Digest,
    Epoch, Fetch, Header, Hello, HelloReply, LedgerTime, Message, NewView, Notice, PreparedCertificate,
    Proposal, ReplicaId, Seq, Signature, SignedStatement, SlotStatus, Statement, StatementKind, Status,
    Suspicion, View, ViewChange,
};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

type Sent = (ReplicaId, Message);

/// A block of the chain that comes about if every slot is decided as honest members would.
struct Link {
    header: Header,
    hash: Digest,
    batch: Arc<Batch>,
}

const CHAIN: u64 = 40;

fn chain() -> &'static [Link] {
    static LINKS: OnceLock<Vec<Link>> = OnceLock::new();
    LINKS.get_or_init(|| {
        let mut machine =
            Machine::genesis(&ledger().genesis, built_in_applications()).expect("a good genesis");
        (1..=CHAIN)
            .map(|height| {
                let transactions = vec![transaction(0, height)];
                let batch = Arc::new(Batch { time: LedgerTime(START_MS + 1_000), transactions });
                let hashed = Arc::new(HashedBatch::new(batch.clone()));
                let block = machine.execute(Seq::new(height), Some(hashed));
                Link { header: block.header.clone(), hash: block.header_hash, batch }
            })
            .collect()
    })
}

fn link(seq: Seq) -> Option<&'static Link> {
    chain().get(usize::try_from(seq.get()).ok()?.checked_sub(1)?)
}

/// Batches that are in no chain.
fn other_batches() -> &'static [Arc<Batch>] {
    static BATCHES: OnceLock<Vec<Arc<Batch>>> = OnceLock::new();
    BATCHES.get_or_init(|| {
        let batch = |time, transactions| Arc::new(Batch { time: LedgerTime(time), transactions });
        vec![
            batch(START_MS + 1_000, Vec::new()),
            batch(START_MS + 1_000, vec![transaction(1, 0)]),
            batch(0, vec![transaction(1, 1), transaction(2, 0)]),
            batch(u64::MAX, vec![transaction(1, 2)]),
            batch(START_MS + 1_000, vec![transaction(1, 3), transaction(1, 3)]),
            batch(START_MS + 1_000, vec![transaction(3, 0)]),
        ]
    })
}

fn digest_of(batch: &Arc<Batch>) -> Digest {
    HashedBatch::new(batch.clone()).digest()
}

/// The HELLO replies of peers that hold nothing.
pub(super) fn greetings(me: ReplicaId, nonce: u8) -> Vec<Sent> {
    let reply = HelloReply { nonce: [nonce; 32], view: None, vote: None, commits: Vec::new() };
    let greeting = Message::Notice(Notice::HelloReply(Box::new(reply)));
    ReplicaId::all(4).filter(|peer| *peer != me).map(|peer| (peer, greeting.clone())).collect()
}

/// Where the member stands, and what it has said.
pub(super) struct World<'s> {
    pub(super) status: ReplicaStatus,
    pub(super) said: &'s Said,
}

impl World<'_> {
    fn others(&self) -> Vec<ReplicaId> {
        ReplicaId::all(4).filter(|peer| *peer != self.said.me).collect()
    }

    fn primary(view: View) -> ReplicaId {
        ledger().members.primary(view)
    }

    /// A statement under a member's signature: the member's own only if it made it.
    fn signed(&self, signer: ReplicaId, statement: Statement) -> Option<SignedStatement> {
        if signer == self.said.me {
            return self.said.signed(&statement);
        }
        let bytes = statement.signed_bytes(ledger().members.ledger(), Epoch::ZERO);
        let signature = FakeSigner::member(signer.get()).sign(&bytes);
        Some(SignedStatement { epoch: Epoch::ZERO, signer, statement, signature })
    }

    fn signature(&self, signer: ReplicaId, statement: &Statement) -> Option<Signature> {
        self.signed(signer, statement.clone()).map(|signed| signed.signature)
    }

    /// Signatures of up to `count` members on a statement, some member left out, sorted.
    fn signatures(
        &self,
        statement: &Statement,
        without: Option<ReplicaId>,
        count: usize,
        cursor: &mut Cursor<'_>,
    ) -> Vec<(ReplicaId, Signature)> {
        let first = u16::from(cursor.u8() % 4);
        let mut signatures: Vec<_> = (0..4)
            .map(|offset| ReplicaId::new((first + offset) % 4))
            .filter(|signer| Some(*signer) != without)
            .filter_map(|signer| Some((signer, self.signature(signer, statement)?)))
            .take(count)
            .collect();
        signatures.sort_unstable_by_key(|(signer, _)| *signer);
        signatures
    }

    fn view(&self, cursor: &mut Cursor<'_>) -> View {
        let now = self.status.view;
        let near = [now, now, now, now.next(), now.next(), now.plus(2), now.plus(3), now.previous()];
        let far = [View::ZERO, View::MAX, View::MAX.previous(), View::new(1 << 40)];
        if cursor.u8() < 240 { cursor.one_of(&near) } else { cursor.one_of(&far) }
    }

    fn seq(&self, cursor: &mut Cursor<'_>) -> Seq {
        let ReplicaStatus { executed, base, .. } = self.status;
        let next_checkpoint = Seq::new((executed.get() / 4).saturating_add(1).saturating_mul(4));
        match cursor.u8() {
            other @ 0..=199 => executed.plus(u64::from(other % 10)),
            200..=219 => next_checkpoint,
            220..=229 => executed.minus(cursor.u8().into()),
            230..=239 => base.plus(8 + u64::from(cursor.u8() % 12)),
            _ => cursor.one_of(&[Seq::ZERO, Seq::MAX, Seq::MAX.previous(), Seq::new(1 << 40), base]),
        }
    }

    fn batch(seq: Seq, cursor: &mut Cursor<'_>) -> Arc<Batch> {
        match (cursor.u8(), link(seq)) {
            (0..=159, Some(link)) => link.batch.clone(),
            _ => cursor.one_of(other_batches()),
        }
    }

    fn digest(seq: Seq, cursor: &mut Cursor<'_>) -> Digest {
        match cursor.u8() {
            other @ 0..=15 => [null_batch_digest(), Digest::ZERO][usize::from(other % 2)],
            _ => digest_of(&Self::batch(seq, cursor)),
        }
    }

    fn header(seq: Seq, cursor: &mut Cursor<'_>) -> Digest {
        match (cursor.u8(), link(seq)) {
            (0..=223, Some(link)) => link.hash,
            _ => Digest([1; 32]),
        }
    }

    /// What the present primary proposes in the next slot, with the votes of all peers, some of whom may be left out.
    pub(super) fn slot(&self, cursor: &mut Cursor<'_>) -> Vec<Sent> {
        let view = self.status.view;
        let seq = self.status.committed.next();
        let primary = Self::primary(view);
        let mut sent = Vec::new();
        let digest = if primary == self.said.me {
            let own = |signed: &&SignedStatement| match signed.statement {
                Statement::PrePrepare { view: v, seq: s, .. } => (v, s) == (view, seq),
                _ => false,
            };
            match self.said.all().find(own).map(|signed| &signed.statement) {
                Some(Statement::PrePrepare { digest, .. }) => *digest,
                _ => return sent,
            }
        } else {
            let batch = Self::batch(seq, cursor);
            let digest = digest_of(&batch);
            let pre_prepare = self.signed(primary, Statement::PrePrepare { view, seq, digest });
            let proposal = pre_prepare.map(|pre_prepare| Message::Proposal(Proposal { pre_prepare, batch }));
            sent.extend(proposal.map(|proposal| (primary, proposal)));
            digest
        };
        let without = cursor.u8();
        for statement in [Statement::Prepare { view, seq, digest }, Statement::Commit { view, seq, digest }] {
            for peer in self.others() {
                let votes = peer != primary || !matches!(statement, Statement::Prepare { .. });
                let left_out = without == u8::try_from(peer.get()).expect("few");
                let vote = self.signed(peer, statement.clone()).filter(|_| votes && !left_out);
                sent.extend(vote.map(|vote| (peer, Message::Vote(vote))));
            }
        }
        sent
    }

    /// Every peer attests a block, or a checkpoint.
    pub(super) fn all_vote(&self, cursor: &mut Cursor<'_>) -> Vec<Sent> {
        let seq = if cursor.flag() { self.status.certified.next() } else { self.seq(cursor) };
        let header = Self::header(seq, cursor);
        let statement = if cursor.flag() {
            Statement::Attest { seq, header }
        } else {
            let checkpoint = Seq::new(seq.get() / 4 * 4);
            Statement::Checkpoint { seq: checkpoint, header: Self::header(checkpoint, cursor) }
        };
        let vote = |peer: ReplicaId| Some((peer, Message::Vote(self.signed(peer, statement.clone())?)));
        self.others().into_iter().filter_map(vote).collect()
    }

    /// Every peer leaves for one view; then its primary opens it, perhaps.
    pub(super) fn all_leave(&self, cursor: &mut Cursor<'_>) -> Vec<Sent> {
        let view = self.view(cursor);
        let mut sent = Vec::new();
        let mut all: BTreeMap<ReplicaId, Arc<ViewChange>> = BTreeMap::new();
        for peer in self.others() {
            if let Some(view_change) = self.view_change(peer, view, cursor) {
                all.insert(peer, view_change.clone());
                sent.push((peer, Message::ViewChange(view_change)));
            }
        }
        if let Some(own) = self.said.view_changes.get(&view) {
            all.insert(self.said.me, own.clone());
        }
        if cursor.u8() < 200 {
            let new_view = self.new_view(view, all.into_values().collect(), cursor);
            sent.extend(new_view.map(|new_view| (Self::primary(view), Message::NewView(new_view))));
        }
        sent
    }

    /// One message of one peer.
    pub(super) fn message(&self, cursor: &mut Cursor<'_>) -> Option<Sent> {
        let from = cursor.one_of(&self.others());
        let signer = if cursor.u8() < 200 { from } else { ReplicaId::new(u16::from(cursor.u8() % 4)) };
        let message = match cursor.below(15) {
            0 | 1 => self.proposal(signer, cursor)?,
            2..=4 => Message::Vote(self.signed(signer, self.vote(cursor))?),
            5 => Message::ViewChange(self.view_change(signer, self.view(cursor), cursor)?),
            6 => {
                let view = self.view(cursor);
                let others = self.others().into_iter().chain([self.said.me]);
                let all = others.filter_map(|peer| self.view_change(peer, view, cursor)).collect();
                Message::NewView(self.new_view(view, all, cursor)?)
            }
            7 => Message::CommitCertificate(self.commit_certificate(cursor)),
            8 => {
                let seq = self.seq(cursor);
                Message::BlockCertificate(self.block_certificate(seq, cursor))
            }
            9 => Message::Body(Self::batch(self.seq(cursor), cursor)),
            10 => self.block(cursor)?,
            11 => {
                let count = cursor.u8() % 4;
                Message::Forward(
                    (0..count).map(|_| transaction(cursor.u8() % 4, cursor.u8().into())).collect(),
                )
            }
            12 => {
                let (first, second) = (self.vote(cursor), self.vote(cursor));
                Message::Evidence(Box::new((self.signed(signer, first)?, self.signed(signer, second)?)))
            }
            _ => Message::Notice(self.notice(cursor)),
        };
        Some((from, message))
    }

    fn vote(&self, cursor: &mut Cursor<'_>) -> Statement {
        let (view, seq) = (self.view(cursor), self.seq(cursor));
        match cursor.below(5) {
            0 => Statement::Prepare { view, seq, digest: Self::digest(seq, cursor) },
            1 => Statement::Commit { view, seq, digest: Self::digest(seq, cursor) },
            2 => Statement::Attest { seq, header: Self::header(seq, cursor) },
            3 => Statement::Checkpoint { seq, header: Self::header(seq, cursor) },
            _ => Statement::PrePrepare { view, seq, digest: Self::digest(seq, cursor) },
        }
    }

    fn proposal(&self, signer: ReplicaId, cursor: &mut Cursor<'_>) -> Option<Message> {
        let (view, seq) = (self.view(cursor), self.seq(cursor));
        let batch = Self::batch(seq, cursor);
        let signer = if cursor.u8() < 200 { Self::primary(view) } else { signer };
        let pre_prepare =
            self.signed(signer, Statement::PrePrepare { view, seq, digest: digest_of(&batch) })?;
        Some(Message::Proposal(Proposal { pre_prepare, batch }))
    }

    fn commit_certificate(&self, cursor: &mut Cursor<'_>) -> CommitCertificate {
        let (view, seq) = (self.view(cursor), self.seq(cursor));
        let digest = Self::digest(seq, cursor);
        let mut certificate =
            CommitCertificate { epoch: Epoch::ZERO, view, seq, digest, commits: Vec::new() };
        certificate.commits = self.signatures(&certificate.commit(), None, 3, cursor);
        certificate
    }

    fn block_certificate(&self, height: Seq, cursor: &mut Cursor<'_>) -> BlockCertificate {
        let kind = cursor.one_of(&[CertificateKind::Checkpoint, CertificateKind::Attest]);
        let header = Self::header(height, cursor);
        let mut certificate =
            BlockCertificate { epoch: Epoch::ZERO, height, header, kind, signatures: Vec::new() };
        certificate.signatures = self.signatures(&certificate.statement(), None, 3, cursor);
        certificate
    }

    fn block(&self, cursor: &mut Cursor<'_>) -> Option<Message> {
        let height = self.seq(cursor);
        let first = link(height)?;
        let last = height.plus(cursor.one_of(&[0, 0, 0, 1, 3]));
        let links: Vec<Header> = (height.next().get()..=last.get())
            .map(|at| link(Seq::new(at)).map(|link| link.header.clone()))
            .collect::<Option<_>>()?;
        let mut header = first.header.clone();
        if cursor.u8() > 240 {
            header.state_root = Digest([9; 32]);
        }
        let mut certificate = self.block_certificate(last, cursor);
        certificate.header = quorate_crypto::header_hash(links.last().unwrap_or(&header));
        certificate.signatures = self.signatures(&certificate.statement(), None, 3, cursor);
        let block = Block { header, batch: Some(first.batch.clone()) };
        Some(Message::Block(Arc::new(CertifiedBlock { block, links, certificate })))
    }

    fn prepared(&self, seq: Seq, below: View, cursor: &mut Cursor<'_>) -> PreparedCertificate {
        let view = cursor.one_of(&[below.previous(), below.minus(2), View::ZERO, below]);
        let primary = Self::primary(view);
        let mut certificate = PreparedCertificate {
            epoch: Epoch::ZERO,
            view,
            seq,
            digest: Self::digest(seq, cursor),
            proposal: Signature([0; 64]),
            prepares: Vec::new(),
        };
        if let Some(signature) = self.signature(primary, &certificate.pre_prepare()) {
            certificate.proposal = signature;
        }
        certificate.prepares = self.signatures(&certificate.prepare(), Some(primary), 2, cursor);
        certificate
    }

    fn view_change(&self, signer: ReplicaId, view: View, cursor: &mut Cursor<'_>) -> Option<Arc<ViewChange>> {
        if signer == self.said.me {
            return self.said.view_changes.get(&view).cloned();
        }
        let base_proof = match cursor.u8() {
            0..=79 => BaseProof::Genesis,
            other => {
                let certificate = match other {
                    80..=199 => self.checkpoint(self.status.base, cursor),
                    200..=229 => self.checkpoint(Seq::new(self.seq(cursor).get() / 4 * 4), cursor),
                    _ => self.block_certificate(self.seq(cursor), cursor),
                };
                if certificate.height == Seq::ZERO {
                    BaseProof::Genesis
                } else {
                    BaseProof::Checkpoint(certificate)
                }
            }
        };
        let mut seq = base_proof.base();
        let mut prepared = Vec::new();
        for _ in 0..cursor.u8() % 5 {
            seq = seq.plus(cursor.one_of(&[1, 1, 1, 2, 5, 0, u64::MAX]));
            prepared.push(self.prepared(seq, view, cursor));
        }
        let statement = Statement::ViewChange {
            view,
            base: base_proof.base(),
            base_proof: base_proof_digest(&base_proof),
            prepared: prepared_set_digest(&prepared),
        };
        let statement = self.signed(signer, statement)?;
        Some(Arc::new(ViewChange { statement, base_proof, prepared }))
    }

    fn checkpoint(&self, height: Seq, cursor: &mut Cursor<'_>) -> BlockCertificate {
        let mut certificate = self.block_certificate(height, cursor);
        certificate.kind = CertificateKind::Checkpoint;
        certificate.signatures = self.signatures(&certificate.statement(), None, 3, cursor);
        certificate
    }

    /// What three of these lead to (V7), or nearly.
    fn new_view(
        &self,
        view: View,
        mut view_changes: Vec<Arc<ViewChange>>,
        cursor: &mut Cursor<'_>,
    ) -> Option<Arc<NewView>> {
        view_changes.sort_by_key(|view_change| view_change.statement.signer);
        if view_changes.len() > 3 {
            view_changes.remove(cursor.below(4));
        }
        let mut min = view_changes.iter().map(|view_change| view_change.base_proof.base()).max()?;
        let mut highest: BTreeMap<Seq, (View, Digest)> = BTreeMap::new();
        for entry in view_changes.iter().flat_map(|view_change| &view_change.prepared) {
            let known = highest.get(&entry.seq).is_some_and(|(view, _)| *view >= entry.view);
            if entry.seq > min && !known {
                highest.insert(entry.seq, (entry.view, entry.digest));
            }
        }
        let last = highest.keys().next_back().map_or(0, |last| last.above(min)).min(300);
        let chosen_digest =
            |seq: Seq| highest.get(&seq).map_or_else(null_batch_digest, |(_, digest)| *digest);
        let mut proposals: Vec<Digest> = (1..=last).map(|offset| chosen_digest(min.plus(offset))).collect();
        match cursor.u8() {
            240..=243 => drop(proposals.pop()),
            244..=247 => proposals.push(null_batch_digest()),
            248..=251 => min = min.next(),
            _ => {}
        }
        let signer = Self::primary(view);
        let name = |view_change: &Arc<ViewChange>| {
            (view_change.statement.signer, view_change_digest(view_change, ledger().members.ledger()))
        };
        let chosen = view_changes.iter().map(name).collect();
        let statement = Statement::NewView { view, chosen, min, proposals: proposals.clone() };
        let statement = self.signed(signer, statement)?;
        let signatures = proposals
            .iter()
            .zip(1..)
            .map(|(digest, offset)| Statement::PrePrepare { view, seq: min.plus(offset), digest: *digest })
            .map(|statement| self.signature(signer, &statement))
            .collect::<Option<_>>()?;
        if cursor.u8() > 200 {
            view_changes.clear();
        }
        Some(Arc::new(NewView { statement, proposals: signatures, view_changes }))
    }

    fn notice(&self, cursor: &mut Cursor<'_>) -> Notice {
        match cursor.below(6) {
            0 | 1 => Notice::Status(self.lying_status(cursor)),
            2 => Notice::Ping { number: cursor.u8().into() },
            3 => Notice::Pong { number: cursor.u8().into() },
            4 => {
                let seq = self.seq(cursor);
                let sender = ReplicaId::new(cursor.one_of(&[0, 1, 2, 3, 4, u16::MAX]));
                let digest = Self::digest(seq, cursor);
                Notice::Fetch(match cursor.below(3) {
                    0 => Fetch::Body { seq, digest },
                    1 => Fetch::ViewChange { sender, digest },
                    _ => Fetch::Blocks { from: seq },
                })
            }
            _ => {
                let nonce = [cursor.u8() % 4; 32];
                let own: Vec<&SignedStatement> = self.said.all().collect();
                let mut pick = |about_views: bool| {
                    let of_kind = |signed: &&&SignedStatement| {
                        let attests = signed.statement.view().is_none();
                        signed.statement.seq().is_none() == about_views && !attests
                    };
                    let some: Vec<_> = own.iter().filter(of_kind).collect();
                    (!some.is_empty() && cursor.flag()).then(|| (**cursor.one_of(&some)).clone())
                };
                let (view, vote, commit) = (pick(true), pick(false), pick(false));
                let is_commit = |signed: &SignedStatement| signed.statement.kind() == StatementKind::Commit;
                let commits = commit.filter(is_commit).into_iter().collect();
                if cursor.flag() {
                    Notice::Hello(Hello { nonce })
                } else {
                    Notice::HelloReply(Box::new(HelloReply { nonce, view, vote, commits }))
                }
            }
        }
    }

    fn lying_status(&self, cursor: &mut Cursor<'_>) -> Status {
        fn bitmap(cursor: &mut Cursor<'_>) -> u128 {
            cursor.one_of(&[0, 0b111, 0b1110, u128::MAX, 1 << 100])
        }
        let epoch = Epoch::new(cursor.one_of(&[0, 0, 0, 1, u64::MAX]));
        let mut seq = self.status.executed;
        let slots = (0..cursor.u8() % 17)
            .map(|_| {
                seq = seq.plus(cursor.one_of(&[1, 1, 1, 0, 7, u64::MAX]));
                SlotStatus {
                    seq,
                    proposal: cursor.flag(),
                    committed: cursor.flag(),
                    wants_body: cursor.flag().then(|| Self::digest(seq, cursor)),
                    prepares: bitmap(cursor),
                    commits: bitmap(cursor),
                }
            })
            .collect();
        Status {
            epoch,
            view: self.view(cursor),
            active: cursor.flag(),
            suspicion: cursor.one_of(&[
                None,
                Some(Suspicion::RequestTimeout),
                Some(Suspicion::Silence),
                Some(Suspicion::Misbehaviour),
                Some(Suspicion::BadTime),
            ]),
            base: self.seq(cursor),
            stable: self.seq(cursor),
            executed: self.seq(cursor),
            certified: self.seq(cursor),
            view_changes: bitmap(cursor),
            slots,
            checkpoints: bitmap(cursor),
            attests: bitmap(cursor),
        }
    }
}
