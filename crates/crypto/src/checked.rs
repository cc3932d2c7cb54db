//! Messages and records with their digests recomputed (M3), and what of them needs a signature check.

use crate::digest::{
    base_proof_digest, header_hash, last_linked, null_batch_digest, prepared_set_digest, sha256,
    transaction_id,
};
use crate::sparse::parts::root_of;
use crate::verify::{Attested, Claim, Malformed, Rule};
use quorate_types::mutants::mutant;
use quorate_types::{
    BaseProof, Batch, BlockCertificate, CertificateKind, CertifiedBlock, CommitCertificate, Digest, Epoch,
    Governance, Header, HelloReply, LedgerTime, Members, Message, NewView, Notice, PreparedCertificate,
    Proposal, Record, ReplicaId, Reservation, Signature, SignedStatement, SignedTransaction, StateLeaves,
    StateParts, Statement, StatementKind, TransactionId, ViewChange, governance, limits,
};
use std::sync::Arc;

/// Adds the signatures that a transaction stands on: its sender's, and of a change of the members those of whoever is to join (G5). A payload that
/// does not read back fails when it is executed.
pub fn add_claims_of(signed: &SignedTransaction, claims: &mut Vec<Claim>) {
    let transaction = &signed.transaction;
    claims.push(Claim {
        key: transaction.sender,
        message: transaction.signed_bytes(),
        signature: signed.signature,
        rule: Rule::Zip215,
    });
    if transaction.app == governance::APP {
        let asked = Governance::from_payload(&transaction.payload);
        let proofs = asked.iter().flat_map(|asked| asked.proofs(&transaction.ledger));
        // No key of small order passes the strict rule: under such a one a signature proves nothing.
        let strict = |(key, message, signature)| Claim { key, message, signature, rule: Rule::Strict };
        claims.extend(proofs.map(strict));
    }
}

/// A transaction with its id computed. Only hashing makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HashedTransaction {
    id: TransactionId,
    signed: SignedTransaction,
}

impl HashedTransaction {
    /// Computes the id.
    pub fn new(signed: SignedTransaction) -> Self {
        Self { id: transaction_id(&signed.transaction), signed }
    }

    pub fn id(&self) -> TransactionId {
        self.id
    }

    pub fn signed(&self) -> &SignedTransaction {
        &self.signed
    }
}

/// A batch with its digest and its transactions' ids computed. Only hashing makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HashedBatch {
    batch: Arc<Batch>,
    digest: Digest,
    ids: Vec<TransactionId>,
}

impl HashedBatch {
    /// Computes the ids and the digest.
    pub fn new(batch: Arc<Batch>) -> Self {
        let ids = batch.transactions.iter().map(|signed| transaction_id(&signed.transaction)).collect();
        Self::with_ids(batch, ids)
    }

    /// Makes a batch of transactions whose ids are known.
    pub fn of(time: LedgerTime, transactions: Vec<HashedTransaction>) -> Self {
        let ids = transactions.iter().map(HashedTransaction::id).collect();
        let transactions = transactions.into_iter().map(|hashed| hashed.signed).collect();
        Self::with_ids(Arc::new(Batch { time, transactions }), ids)
    }

    fn with_ids(batch: Arc<Batch>, ids: Vec<TransactionId>) -> Self {
        let digest = sha256(&batch.digest_bytes(&ids));
        Self { batch, digest, ids }
    }

    pub fn batch(&self) -> &Arc<Batch> {
        &self.batch
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The ids, in the order of the transactions.
    pub fn ids(&self) -> &[TransactionId] {
        &self.ids
    }

    /// Each transaction with its id, in order, to be held apart from the batch.
    pub fn hashed_transactions(&self) -> impl Iterator<Item = HashedTransaction> {
        self.transactions().map(|(id, signed)| HashedTransaction { id, signed: signed.clone() })
    }

    /// Transactions with their ids, in order.
    pub fn transactions(&self) -> impl Iterator<Item = (TransactionId, &SignedTransaction)> {
        self.ids.iter().copied().zip(&self.batch.transactions)
    }
}

/// A [`Message`] with every digest recomputed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CheckedMessage {
    Proposal {
        pre_prepare: SignedStatement,
        batch: Arc<HashedBatch>,
    },
    /// PREPARE, COMMIT, ATTEST or CHECKPOINT.
    Vote(SignedStatement),
    ViewChange(Arc<ViewChange>),
    NewView(Arc<NewView>),
    CommitCertificate(CommitCertificate),
    BlockCertificate(BlockCertificate),
    Body(Arc<HashedBatch>),
    Block(Arc<CheckedBlock>),
    Forward(Vec<HashedTransaction>),
    /// Two statements of one signer; whether they contradict each other is the core's to say.
    Evidence(Box<(SignedStatement, SignedStatement)>),
    Notice(Notice),
    /// The certificate is of the header, and the parts have its root.
    StateParts(Box<StateParts>),
    /// Of these nothing is known: whoever has the parts can tell.
    StateLeaves(Box<StateLeaves>),
}

impl CheckedMessage {
    /// The message as it travels.
    pub fn to_message(&self) -> Message {
        match self {
            Self::Proposal { pre_prepare, batch } => {
                Message::Proposal(Proposal { pre_prepare: pre_prepare.clone(), batch: batch.batch().clone() })
            }
            Self::Vote(signed) => Message::Vote(signed.clone()),
            Self::ViewChange(view_change) => Message::ViewChange(view_change.clone()),
            Self::NewView(new_view) => Message::NewView(new_view.clone()),
            Self::CommitCertificate(certificate) => Message::CommitCertificate(certificate.clone()),
            Self::BlockCertificate(certificate) => Message::BlockCertificate(certificate.clone()),
            Self::Body(batch) => Message::Body(batch.batch().clone()),
            Self::Block(block) => Message::Block(Arc::new(block.to_certified_block())),
            Self::Forward(transactions) => {
                Message::Forward(transactions.iter().map(|hashed| hashed.signed().clone()).collect())
            }
            Self::Evidence(pair) => Message::Evidence(pair.clone()),
            Self::Notice(notice) => Message::Notice(notice.clone()),
            Self::StateParts(state) => Message::StateParts(state.clone()),
            Self::StateLeaves(leaves) => Message::StateLeaves(leaves.clone()),
        }
    }
}

/// A certified block whose header hash and batch digest were recomputed and match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckedBlock {
    pub header: Header,
    pub header_hash: Digest,
    /// `None` for the null batch.
    pub batch: Option<Arc<HashedBatch>>,
    /// From this block up to the certificate's (M8).
    pub links: Vec<Header>,
    pub certificate: BlockCertificate,
}

impl CheckedBlock {
    /// The certificate, if it is this block's own and not a later one's.
    pub fn own_certificate(&self) -> Option<&BlockCertificate> {
        Some(&self.certificate).filter(|certificate| certificate.height == self.header.height)
    }

    /// The block as it travels.
    pub fn to_certified_block(&self) -> CertifiedBlock {
        CertifiedBlock {
            block: quorate_types::Block {
                header: self.header.clone(),
                batch: self.batch.as_ref().map(|batch| batch.batch().clone()),
            },
            links: self.links.clone(),
            certificate: self.certificate.clone(),
        }
    }
}

/// A [`Record`] with every digest recomputed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CheckedRecord {
    Anchor { epoch: Epoch, view: quorate_types::View, active: bool, base: BaseProof, stable: BaseProof },
    Proposal { pre_prepare: SignedStatement, batch: Arc<HashedBatch> },
    Body(Arc<HashedBatch>),
    Vote(SignedStatement),
    Prepared(PreparedCertificate),
    Committed(CommitCertificate),
    Block(Arc<CheckedBlock>),
    ViewChange(Arc<ViewChange>),
    NewView(Arc<NewView>),
    Base(BlockCertificate),
    Stable(BlockCertificate),
    Reserved(Reservation),
}

struct Claims<'a> {
    members: &'a Members,
    out: &'a mut Vec<Claim>,
}

impl Claims<'_> {
    fn member(
        &mut self,
        epoch: Epoch,
        signer: ReplicaId,
        statement: &Statement,
        signature: Signature,
    ) -> Result<(), Malformed> {
        if epoch != self.members.epoch() && !mutant("m38") {
            return Err(Malformed::OtherEpoch);
        }
        let member = self.members.get(signer).ok_or(Malformed::NotAMember)?;
        let rule = match statement.kind() {
            // What leaves for clients must pass in every library (M8).
            StatementKind::Attest | StatementKind::Checkpoint => Rule::Strict,
            _ => Rule::Zip215,
        };
        let message = statement.signed_bytes(self.members.ledger(), epoch);
        self.out.push(Claim { key: member.vote, message, signature, rule });
        Ok(())
    }

    fn statement(&mut self, signed: &SignedStatement) -> Result<(), Malformed> {
        self.member(signed.epoch, signed.signer, &signed.statement, signed.signature)
    }

    fn statement_of(&mut self, signed: &SignedStatement, kinds: &[StatementKind]) -> Result<(), Malformed> {
        if !kinds.contains(&signed.statement.kind()) {
            return Err(Malformed::WrongKind);
        }
        self.statement(signed)
    }

    fn signed_transaction(&mut self, signed: &SignedTransaction) -> Result<(), Malformed> {
        let transaction = &signed.transaction;
        if transaction.ledger != *self.members.ledger() {
            return Err(Malformed::OtherLedger);
        }
        if !transaction.within_limits(limits::MAX_TRANSACTION_BYTES) {
            return Err(Malformed::TooLarge);
        }
        add_claims_of(signed, self.out);
        Ok(())
    }

    fn batch(&mut self, batch: Arc<Batch>) -> Result<Arc<HashedBatch>, Malformed> {
        if batch.transactions.len() > limits::MAX_BATCH_TRANSACTIONS as usize
            || batch.size() > limits::MAX_BATCH_BYTES as usize
        {
            return Err(Malformed::TooLarge);
        }
        for signed in &batch.transactions {
            self.signed_transaction(signed)?;
        }
        Ok(Arc::new(HashedBatch::new(batch)))
    }

    fn proposal(&mut self, proposal: Proposal) -> Result<(SignedStatement, Arc<HashedBatch>), Malformed> {
        self.statement_of(&proposal.pre_prepare, &[StatementKind::PrePrepare])?;
        let batch = self.batch(proposal.batch)?;
        match &proposal.pre_prepare.statement {
            Statement::PrePrepare { digest, .. } if *digest == batch.digest() => {}
            _ => return Err(Malformed::DigestMismatch),
        }
        Ok((proposal.pre_prepare, batch))
    }

    /// Signatures by distinct members, sorted, exactly `count` of them.
    fn list(
        &mut self,
        epoch: Epoch,
        statement: &Statement,
        signatures: &[(ReplicaId, Signature)],
        count: usize,
    ) -> Result<(), Malformed> {
        let sorted = signatures.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !sorted || signatures.len() != count {
            return Err(Malformed::BadList);
        }
        for (signer, signature) in signatures {
            self.member(epoch, *signer, statement, *signature)?;
        }
        Ok(())
    }

    fn block_certificate(&mut self, certificate: &BlockCertificate) -> Result<(), Malformed> {
        let strong = self.members.quorums().strong();
        self.list(certificate.epoch, &certificate.statement(), &certificate.signatures, strong)
    }

    fn checkpoint(&mut self, certificate: &BlockCertificate) -> Result<(), Malformed> {
        if certificate.kind != CertificateKind::Checkpoint {
            return Err(Malformed::WrongKind);
        }
        self.block_certificate(certificate)
    }

    fn commit_certificate(&mut self, certificate: &CommitCertificate) -> Result<(), Malformed> {
        let strong = self.members.quorums().strong();
        self.list(certificate.epoch, &certificate.commit(), &certificate.commits, strong)
    }

    /// N5, V3: the proposal by the primary of its view, q−1 PREPAREs by distinct backups.
    fn prepared(&mut self, certificate: &PreparedCertificate) -> Result<(), Malformed> {
        let primary = self.members.primary(certificate.view);
        if certificate.prepares.iter().any(|(signer, _)| *signer == primary) {
            return Err(Malformed::BadList);
        }
        self.member(certificate.epoch, primary, &certificate.pre_prepare(), certificate.proposal)?;
        let count = self.members.quorums().strong() - 1;
        self.list(certificate.epoch, &certificate.prepare(), &certificate.prepares, count)
    }

    fn base_proof(&mut self, proof: &BaseProof) -> Result<(), Malformed> {
        match proof {
            BaseProof::Checkpoint(certificate) => self.checkpoint(certificate),
            opening if *opening == self.members.opening() => Ok(()),
            BaseProof::Genesis | BaseProof::Opening(_) => Err(Malformed::OtherEpoch),
        }
    }

    /// Signatures and digests of a VIEW-CHANGE; its rules (V3) are the core's.
    fn view_change(&mut self, view_change: &ViewChange) -> Result<(), Malformed> {
        self.statement_of(&view_change.statement, &[StatementKind::ViewChange])?;
        let Statement::ViewChange { base, base_proof, prepared, .. } = &view_change.statement.statement
        else {
            return Err(Malformed::WrongKind);
        };
        if *base_proof != base_proof_digest(&view_change.base_proof)
            || *base != view_change.base_proof.base()
            || *prepared != prepared_set_digest(&view_change.prepared)
        {
            return Err(Malformed::DigestMismatch);
        }
        self.base_proof(&view_change.base_proof)?;
        view_change.prepared.iter().try_for_each(|certificate| self.prepared(certificate))
    }

    /// Signatures of a NEW-VIEW, of the PRE-PREPAREs of O, and of the VIEW-CHANGEs that ride along.
    fn new_view(&mut self, new_view: &NewView) -> Result<(), Malformed> {
        self.statement_of(&new_view.statement, &[StatementKind::NewView])?;
        let signed = &new_view.statement;
        let Statement::NewView { view, min, proposals, .. } = &signed.statement else {
            return Err(Malformed::WrongKind);
        };
        if proposals.len() != new_view.proposals.len()
            || proposals.len() as u64 > limits::MAX_WINDOW
            || new_view.view_changes.len() > usize::from(self.members.count())
        {
            return Err(Malformed::BadList);
        }
        let mut seq = *min;
        for (digest, signature) in proposals.iter().zip(&new_view.proposals) {
            seq = seq.next();
            let statement = Statement::PrePrepare { view: *view, seq, digest: *digest };
            self.member(signed.epoch, signed.signer, &statement, *signature)?;
        }
        new_view.view_changes.iter().try_for_each(|view_change| self.view_change(view_change))
    }

    fn block(&mut self, certified: &CertifiedBlock) -> Result<Arc<CheckedBlock>, Malformed> {
        let CertifiedBlock { block, links, certificate } = certified;
        if block.header.ledger != *self.members.ledger() {
            return Err(Malformed::OtherLedger);
        }
        let header_hash = header_hash(&block.header);
        let batch = block.batch.clone().map(|batch| self.batch(batch)).transpose()?;
        let digest = batch.as_ref().map_or_else(null_batch_digest, |batch| batch.digest());
        if links.len() as u64 > limits::MAX_LINKS {
            return Err(Malformed::BadList);
        }
        let (height, tip) = last_linked(&block.header, links).ok_or(Malformed::DigestMismatch)?;
        if certificate.header != tip || certificate.height != height || block.header.batch_digest != digest {
            return Err(Malformed::DigestMismatch);
        }
        if !mutant("m33") {
            self.block_certificate(certificate)?;
        }
        Ok(Arc::new(CheckedBlock {
            header: block.header.clone(),
            header_hash,
            batch,
            links: links.clone(),
            certificate: certificate.clone(),
        }))
    }

    fn state_parts(&mut self, state: &StateParts) -> Result<(), Malformed> {
        let StateParts { header, certificate, parts } = state;
        if header.ledger != *self.members.ledger() {
            return Err(Malformed::OtherLedger);
        }
        if certificate.header != header_hash(header) || certificate.height != header.height {
            return Err(Malformed::DigestMismatch);
        }
        // Signatures before hundreds of hashes would be cheaper, but they are checked later, together with those of others.
        if root_of(parts) != Some(header.state_root) {
            return Err(Malformed::DigestMismatch);
        }
        // G2: how the epoch before ended its handover has proven.
        if self.members.after_header() == Some(certificate.header) && header.height == self.members.after() {
            return Ok(());
        }
        self.block_certificate(certificate)
    }

    fn hello_reply(&mut self, reply: &HelloReply) -> Result<(), Malformed> {
        if let Some(signed) = &reply.view {
            self.statement_of(signed, &[StatementKind::ViewChange, StatementKind::NewView])?;
        }
        if let Some(signed) = &reply.vote {
            let votes = [StatementKind::PrePrepare, StatementKind::Prepare, StatementKind::Commit];
            self.statement_of(signed, &votes)?;
        }
        if reply.commits.len() as u64 > limits::MAX_WINDOW {
            return Err(Malformed::BadList);
        }
        reply.commits.iter().try_for_each(|signed| self.statement_of(signed, &[StatementKind::Commit]))
    }
}

const VOTES: [StatementKind; 4] =
    [StatementKind::Prepare, StatementKind::Commit, StatementKind::Attest, StatementKind::Checkpoint];

impl Attested for Message {
    type Checked = CheckedMessage;

    fn check(self, members: &Members, out: &mut Vec<Claim>) -> Result<CheckedMessage, Malformed> {
        let mut claims = Claims { members, out };
        Ok(match self {
            Message::Proposal(proposal) => {
                let (pre_prepare, batch) = claims.proposal(proposal)?;
                CheckedMessage::Proposal { pre_prepare, batch }
            }
            Message::Vote(signed) => {
                claims.statement_of(&signed, &VOTES)?;
                CheckedMessage::Vote(signed)
            }
            Message::ViewChange(view_change) => {
                claims.view_change(&view_change)?;
                CheckedMessage::ViewChange(view_change)
            }
            Message::NewView(new_view) => {
                claims.new_view(&new_view)?;
                CheckedMessage::NewView(new_view)
            }
            Message::CommitCertificate(certificate) => {
                claims.commit_certificate(&certificate)?;
                CheckedMessage::CommitCertificate(certificate)
            }
            Message::BlockCertificate(certificate) => {
                claims.block_certificate(&certificate)?;
                CheckedMessage::BlockCertificate(certificate)
            }
            Message::Body(batch) => CheckedMessage::Body(claims.batch(batch)?),
            Message::Block(block) => CheckedMessage::Block(claims.block(&block)?),
            Message::Forward(transactions) => {
                if transactions.len() > limits::MAX_BATCH_TRANSACTIONS as usize {
                    return Err(Malformed::TooLarge);
                }
                // The limits first: what exceeds them may have no signed bytes to hash.
                transactions.iter().try_for_each(|signed| claims.signed_transaction(signed))?;
                CheckedMessage::Forward(transactions.into_iter().map(HashedTransaction::new).collect())
            }
            Message::Evidence(pair) => {
                if pair.0.signer != pair.1.signer {
                    return Err(Malformed::BadList);
                }
                claims.statement(&pair.0)?;
                claims.statement(&pair.1)?;
                CheckedMessage::Evidence(pair)
            }
            Message::Notice(notice) => {
                if let Notice::HelloReply(reply) = &notice {
                    claims.hello_reply(reply)?;
                }
                CheckedMessage::Notice(notice)
            }
            Message::StateParts(mut state) => {
                claims.state_parts(&state)?;
                // Nobody here could check another one, and it goes into the store with the state.
                if let Some(closing) =
                    members.closing().filter(|known| known.header == state.certificate.header)
                {
                    state.certificate = closing.clone();
                }
                CheckedMessage::StateParts(state)
            }
            Message::StateLeaves(leaves) => CheckedMessage::StateLeaves(leaves),
        })
    }
}

impl Attested for Record {
    type Checked = CheckedRecord;

    fn check(self, members: &Members, out: &mut Vec<Claim>) -> Result<CheckedRecord, Malformed> {
        let mut claims = Claims { members, out };
        Ok(match self {
            Record::Anchor { epoch, view, active, base, stable } => {
                claims.base_proof(&base)?;
                if let BaseProof::Checkpoint(certificate) = &stable {
                    // Any certified block may be stable during a transfer (T1).
                    claims.block_certificate(certificate)?;
                }
                CheckedRecord::Anchor { epoch, view, active, base, stable }
            }
            Record::Proposal(proposal) => {
                let (pre_prepare, batch) = claims.proposal(proposal)?;
                CheckedRecord::Proposal { pre_prepare, batch }
            }
            Record::Body(batch) => CheckedRecord::Body(claims.batch(batch)?),
            Record::Vote(signed) => {
                claims.statement_of(&signed, &VOTES)?;
                CheckedRecord::Vote(signed)
            }
            Record::Prepared(certificate) => {
                claims.prepared(&certificate)?;
                CheckedRecord::Prepared(certificate)
            }
            Record::Committed(certificate) => {
                claims.commit_certificate(&certificate)?;
                CheckedRecord::Committed(certificate)
            }
            Record::Block(block) => CheckedRecord::Block(claims.block(&block)?),
            Record::ViewChange(view_change) => {
                claims.view_change(&view_change)?;
                CheckedRecord::ViewChange(view_change)
            }
            Record::NewView(new_view) => {
                claims.new_view(&new_view)?;
                CheckedRecord::NewView(new_view)
            }
            Record::Base(certificate) => {
                claims.checkpoint(&certificate)?;
                CheckedRecord::Base(certificate)
            }
            Record::Stable(certificate) => {
                claims.block_certificate(&certificate)?;
                CheckedRecord::Stable(certificate)
            }
            Record::Reserved(reservation) if reservation.epoch == members.epoch() => {
                CheckedRecord::Reserved(reservation)
            }
            Record::Reserved(_) => return Err(Malformed::OtherEpoch),
        })
    }
}

impl Attested for SignedTransaction {
    type Checked = HashedTransaction;

    fn check(self, members: &Members, out: &mut Vec<Claim>) -> Result<HashedTransaction, Malformed> {
        Claims { members, out }.signed_transaction(&self)?;
        Ok(HashedTransaction::new(self))
    }
}

impl Attested for BlockCertificate {
    type Checked = BlockCertificate;

    fn check(self, members: &Members, out: &mut Vec<Claim>) -> Result<BlockCertificate, Malformed> {
        Claims { members, out }.block_certificate(&self)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
