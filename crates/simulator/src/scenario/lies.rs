//! What faulty members say in scenarios.

use super::{Runner, after, members, number, option};
use quorate_crypto::{HashedBatch, base_proof_digest, prepared_set_digest, transaction_id};
use quorate_types::{
    BaseProof, Batch, Digest, LedgerTime, Message, Notice, Operation, Operations, PreparedCertificate,
    Proposal, ReplicaId, Seq, SignedTransaction, Statement, Status, Suspicion, View, ViewChange,
};
use std::sync::Arc;

impl Runner {
    /// What a faulty member says, signed with its own key, to whom it likes.
    pub(super) fn lie(&mut self, from: ReplicaId, words: &[&str]) -> Result<(), String> {
        let view = View::new(option(words, "view").map_or(Ok(0), number)?);
        let seq = Seq::new(option(words, "seq").map_or(Ok(0), number)?);
        let to = members(after(words, "to").ok_or("to whom?")?)?;
        let digest = option(words, "digest").map_or(Ok(Digest([9; 32])), |name| self.digest_named(name))?;
        let message = match words.first() {
            Some(&"pre-prepare") => self.proposal(from, (view, seq), words)?,
            Some(&"prepare") => {
                Message::Vote(self.cluster.signed_by(from, Statement::Prepare { view, seq, digest }))
            }
            Some(&"commit") => {
                Message::Vote(self.cluster.signed_by(from, Statement::Commit { view, seq, digest }))
            }
            Some(&"checkpoint") => {
                Message::Vote(self.cluster.signed_by(from, Statement::Checkpoint { seq, header: digest }))
            }
            Some(&"view-change") => self.view_change(from, view, words)?,
            Some(&"suspicion") => self.suspicion(view),
            _ => return Err("pre-prepare, prepare, commit, checkpoint, view-change, suspicion".to_owned()),
        };
        self.cluster.checkers.faulty.insert(from);
        for receiver in to {
            self.cluster.forge(from, receiver, message.clone());
            self.cluster.settle();
        }
        Ok(())
    }

    fn digest_named(&self, name: &str) -> Result<Digest, String> {
        let found = self.names.iter().find(|(_, known)| *known == name).map(|(digest, _)| *digest);
        found.ok_or_else(|| format!("no digest is called {name}"))
    }

    fn proposal(
        &mut self,
        from: ReplicaId,
        (view, seq): (View, Seq),
        words: &[&str],
    ) -> Result<Message, String> {
        let name =
            option(words, "of").ok_or("of=c0/0: a transaction that was submitted or not, or of=nothing")?;
        let transactions = match (name, self.signed.get(name)) {
            ("nothing", _) => Vec::new(),
            (_, Some(signed)) => vec![signed.clone()],
            (_, None) => vec![self.make(name)?],
        };
        let late: u64 = option(words, "early").map_or(Ok(0), number)?;
        let time = LedgerTime(1_000_000_000_000 + self.cluster.now() / 1_000 + late);
        let batch = Batch { time, transactions };
        let digest = HashedBatch::new(Arc::new(batch.clone())).digest();
        self.name(digest);
        let pre_prepare = self.cluster.signed_by(from, Statement::PrePrepare { view, seq, digest });
        Ok(Message::Proposal(Proposal { pre_prepare, batch: Arc::new(batch) }))
    }

    /// A client's transaction that no gateway has seen.
    fn make(&mut self, name: &str) -> Result<SignedTransaction, String> {
        let (client, rest) =
            name.strip_prefix('c').and_then(|rest| rest.split_once('/')).ok_or("a name is c0/1")?;
        let transaction_number = number(rest.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()))?;
        let operation = Operation::Put { key: b"k".to_vec(), value: name.as_bytes().to_vec() };
        let operations = Operations(vec![operation]);
        let signed = self.cluster.transaction(number(client)?, (1, transaction_number), 600_000, &operations);
        self.cluster.checkers.submitted(&signed);
        self.transactions.insert(transaction_id(&signed.transaction), name.to_owned());
        self.signed.insert(name.to_owned(), signed.clone());
        Ok(signed)
    }

    /// A VIEW-CHANGE that forgets everything, or claims `prepared=SEQ:DIGEST` with signatures of `by=`.
    fn view_change(&mut self, from: ReplicaId, view: View, words: &[&str]) -> Result<Message, String> {
        let mut prepared = Vec::new();
        if let Some(claim) = option(words, "prepared") {
            let (seq, name) = claim.split_once(':').ok_or("prepared=1:d1")?;
            let digest = self.digest_named(name)?;
            let by = members(option(words, "by").ok_or("by=2,3")?)?;
            let entry_view = View::new(option(words, "in").map_or(Ok(0), number)?);
            prepared.push(self.certificate(entry_view, Seq::new(number(seq)?), digest, &by));
        }
        let base_proof = BaseProof::Genesis;
        let statement = Statement::ViewChange {
            view,
            base: Seq::ZERO,
            base_proof: base_proof_digest(&base_proof),
            prepared: prepared_set_digest(&prepared),
        };
        let statement = self.cluster.signed_by(from, statement);
        Ok(Message::ViewChange(Arc::new(ViewChange { statement, base_proof, prepared })))
    }

    /// A STATUS that suspects the primary and knows of nothing.
    fn suspicion(&self, view: View) -> Message {
        Message::Notice(Notice::Status(Status {
            epoch: self.cluster.members().epoch(),
            view,
            active: true,
            suspicion: Some(Suspicion::Silence),
            base: Seq::ZERO,
            stable: Seq::ZERO,
            executed: Seq::ZERO,
            certified: Seq::ZERO,
            view_changes: 0,
            slots: Vec::new(),
            checkpoints: 0,
            attests: 0,
        }))
    }

    /// A prepared certificate as colluding members can make one: with their keys only.
    fn certificate(&self, view: View, seq: Seq, digest: Digest, by: &[ReplicaId]) -> PreparedCertificate {
        let primary = self.cluster.members().primary(view);
        let sign = |signer, statement| self.cluster.signed_by(signer, statement).signature;
        PreparedCertificate {
            epoch: self.cluster.members().epoch(),
            view,
            seq,
            digest,
            proposal: sign(primary, Statement::PrePrepare { view, seq, digest }),
            prepares: by
                .iter()
                .map(|id| (*id, sign(*id, Statement::Prepare { view, seq, digest })))
                .collect(),
        }
    }
}
