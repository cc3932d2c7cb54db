//! What a member's turn asks for: messages, execution, storage.

use super::{Cluster, Happening, Told};
use quorate_crypto::HashedBatch;
use quorate_engine::{Action, Event, Fetched, TransferRecord};
use quorate_ledger::{StateProof, StateStore};
use quorate_pbft::{Installed, Report};
use quorate_storage::StoredBlock;
use quorate_types::mutants::mutant;
use quorate_types::probes::hit;
use quorate_types::{Handover, ReplicaId, Seq, SignedTransaction, limits};
use std::sync::Arc;

impl Cluster {
    pub(super) fn perform(&mut self, member: ReplicaId, action: Action) {
        match action {
            Action::Send { to, message, class: _ } => {
                let to = self.instances_of(to);
                self.send(member, &to, message);
            }
            Action::Broadcast { message, class: _ } => {
                let others = self.others(member);
                self.send(member, &others, message);
            }
            Action::Execute { seq, batch } => self.execute(member, seq, batch),
            Action::MakeDurable { seq } => {
                let node = &mut self.nodes[member.index()];
                let Some(process) = &mut node.process else { return };
                if process.blocks.sync().is_err() {
                    return self.crash(member);
                }
                self.event(member, Event::CheckpointDurable { seq });
            }
            Action::StoreState { seq, certificate } => {
                let node = &mut self.nodes[member.index()];
                let Some(process) = &mut node.process else { return };
                let header = process.blocks.header(seq).ok().flatten();
                let proof = header.zip(certificate);
                let proof = proof.map(|(header, certificate)| StateProof { header, certificate });
                match process.machine.commit_to(&mut node.disks.state, seq, proof.as_ref()) {
                    Ok(true) => self.prune(member, seq),
                    Ok(false) => {}
                    Err(_) => self.crash(member),
                }
            }
            Action::StoreCertificate(certificate) => {
                self.checkers.certified(&certificate);
                let Some(process) = &mut self.nodes[member.index()].process else { return };
                if process.blocks.append_certificate(certificate.clone()).is_err() {
                    return self.crash(member);
                }
                self.event(member, Event::Certified(certificate));
            }
            Action::ReadState { to, fetch } => {
                let node = &mut self.nodes[member.index()];
                let Some(process) = &mut node.process else { return };
                match process.supply.answer(&fetch, &process.blocks, &node.disks.state) {
                    Ok(Some(message)) => self.event(member, Event::StateRead { to, message }),
                    Ok(None) => {}
                    Err(error) => self.cannot_read(member, &error),
                }
            }
            Action::KeepTransfer(record) => {
                let Some(process) = &mut self.nodes[member.index()].process else { return };
                // What cannot be kept is fetched again after a restart.
                let _ = match record {
                    TransferRecord::Begin(messages) => process.transfer.begin(&messages),
                    TransferRecord::Add(message) => process.transfer.add(&message),
                    TransferRecord::End => process.transfer.end(),
                };
            }
            Action::CloseEpoch { last: _ } => {
                let incarnation = self.nodes[member.index()].incarnation;
                self.plan(self.now + 1, Happening::OpenEpoch { member, incarnation });
            }
            Action::ReadHandover { to, epoch } => {
                let Some(process) = &self.nodes[member.index()].process else { return };
                match process.handovers.get(epoch) {
                    Ok(Some(Handover { certificate, .. })) => {
                        self.event(member, Event::HandoverRead { to, certificate });
                    }
                    Ok(None) => {}
                    Err(error) => self.cannot_read(member, &error),
                }
            }
            Action::PrepareInstall { seq } => self.event(member, Event::InstallState { seq }),
            Action::Install(fetched) => self.install(member, *fetched),
            Action::ReadBlocks { to, from } => self.read_blocks(member, to, from),
            Action::Answer { token, answer } => self.answers.push_back((token, answer)),
            Action::Report(report) => {
                self.checkers.reported(self.member_of(member), &report);
                if let (Some(script), Report::ViewActive { view, .. }) = (&mut self.script, &report) {
                    script.entered(self.now, *view);
                }
                self.reports.push((member, report));
            }
        }
    }

    fn execute(&mut self, member: ReplicaId, seq: Seq, batch: Option<Arc<HashedBatch>>) {
        let Some(process) = &mut self.nodes[member.index()].process else { return };
        let height = process.machine.height();
        if seq != height.next() {
            return self.checkers.out_of_order(member, seq, height);
        }
        let block = process.machine.execute(seq, batch);
        let stored = StoredBlock { block: block.block(), results: block.results.clone() };
        if process.blocks.append(stored).is_err() {
            // D3: what the block store cannot keep ends the process, before anyone hears of it.
            hit("a full disk stops a process");
            return self.crash(member);
        }
        self.checkers.executed(member, &block, &process.machine.state());
        if let Some(story) = &mut self.story {
            let (height, digest) = (block.header.height.get(), block.header.batch_digest);
            story.push(Told::Executed { member, height, digest });
        }
        let at = match &self.costs {
            Some(costs) => {
                let work = costs.block + costs.transaction * block.results.len() as u64;
                self.meters[member.index()].work(self.now, work)
            }
            None => self.now + self.nodes[member.index()].execution_micros,
        };
        self.done(member, at, Event::Executed(block));
    }

    /// The core hears of it at that moment, and not before what execution did earlier.
    fn done(&mut self, member: ReplicaId, at: u64, event: Event) {
        let node = &mut self.nodes[member.index()];
        let incarnation = node.incarnation;
        let Some(process) = &mut node.process else { return };
        if at <= self.now && process.untold == 0 {
            return self.event(member, event);
        }
        process.untold += 1;
        process.execution_done_at = process.execution_done_at.max(at);
        let at = process.execution_done_at;
        self.plan(at, Happening::Done { member, incarnation, event });
    }

    /// Removes old blocks, if this member keeps only some.
    fn prune(&mut self, member: ReplicaId, durable: Seq) {
        let node = &mut self.nodes[member.index()];
        let (Some(process), Some(retain)) = (&mut node.process, node.retain_blocks) else { return };
        let status = process.host.status();
        let needed = durable.min(status.stable).min(status.certified);
        if process.blocks.prune(needed.minus(retain)).is_err() {
            self.crash(member);
        }
    }

    /// T3: the state first, with what proves it, then the blocks.
    fn install(&mut self, member: ReplicaId, fetched: Fetched) {
        let Fetched { header, certificate, state } = fetched;
        let node = &mut self.nodes[member.index()];
        let proof = StateProof { header: header.clone(), certificate: certificate.clone() };
        let mut blocks_first = false;
        if mutant("m35")
            && let Some(process) = &mut node.process
        {
            blocks_first = process.blocks.restart_after(header.clone(), certificate.clone()).is_ok();
        }
        if !blocks_first && node.disks.state.replace(state.clone(), &proof).is_err() {
            return self.crash(member);
        }
        // Killed between the two: the next start finishes it.
        if self.cut_installs > 0 && self.samples.permille(self.cut_installs) {
            hit("a process is killed in the midst of an install");
            return self.crash(member);
        }
        let node = &mut self.nodes[member.index()];
        let Some(process) = &mut node.process else { return };
        if blocks_first && node.disks.state.replace(state.clone(), &proof).is_err() {
            return self.crash(member);
        }
        if process.blocks.restart_after(header.clone(), certificate.clone()).is_err() {
            return self.crash(member);
        }
        process.machine.install(state, &header).expect("every part was checked against the header");
        let installed = Installed::of(&header, certificate, process.machine.outlook());
        let admission = process.machine.state().admission_control();
        self.checkers.installed(member, &header, &process.machine.state());
        self.done(member, self.now, Event::Installed { installed: Box::new(installed), admission });
    }

    /// D4: what cannot be read back ends the process, and is the work of a disk that betrays.
    fn cannot_read(&mut self, member: ReplicaId, error: &dyn std::fmt::Display) {
        self.checkers.unreadable(member, error);
        self.crash(member);
    }

    fn read_blocks(&mut self, member: ReplicaId, to: ReplicaId, from: Seq) {
        let Some(process) = &mut self.nodes[member.index()].process else { return };
        let first = process.blocks.first();
        if from < first {
            return self.event(member, Event::BlocksGone { to, first });
        }
        let links = self.genesis.parameters.most_links();
        let read = process.blocks.certified_blocks(from, limits::FETCH_BLOCKS, limits::FETCH_BYTES, links);
        let blocks = match read {
            Ok(blocks) => blocks,
            Err(error) => return self.cannot_read(member, &error),
        };
        let blocks = blocks.into_iter().map(Arc::new).collect();
        self.event(member, Event::BlocksRead { to, blocks });
    }

    /// What a member that runs finds in its store of the transaction that took this one's number.
    ///
    /// # Panics
    /// If the simulated disk fails, which it does only on command.
    pub fn stored_outcome(&self, member: ReplicaId, asked: &SignedTransaction) -> StoredOutcome {
        let Some(process) = &self.nodes[member.index()].process else { return StoredOutcome::Pending };
        let asked = &asked.transaction;
        let links = self.genesis.parameters.most_links();
        let mut height = process.blocks.first();
        while height <= process.blocks.tip() {
            let stored = process.blocks.block(height).expect("a simulated disk works");
            let batch = stored.as_ref().and_then(|stored| stored.block.batch.as_ref());
            let took = batch.into_iter().flat_map(|batch| &batch.transactions).any(|signed| {
                let other = &signed.transaction;
                (other.sender, other.session, other.number) == (asked.sender, asked.session, asked.number)
            });
            if took {
                // A void inclusion before it is no outcome; who asks has been told that the number is used.
                let proof = process.blocks.proof(height, links).expect("a simulated disk works");
                return if proof.is_some() { StoredOutcome::Proven } else { StoredOutcome::Pending };
            }
            height = height.next();
        }
        if process.blocks.first() > Seq::new(1) { StoredOutcome::Pruned } else { StoredOutcome::Pending }
    }

    /// Whether nobody who runs and does not lie has the block with the outcome any more.
    pub fn is_outcome_pruned(&self, asked: &SignedTransaction) -> bool {
        let honest = |member: &ReplicaId| self.is_up(*member) && !self.checkers.faulty.contains(member);
        ReplicaId::all(self.members.count())
            .filter(honest)
            .all(|member| self.stored_outcome(member, asked) == StoredOutcome::Pruned)
    }
}

/// What a store holds of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredOutcome {
    Proven,
    /// Not there, or not certified yet.
    Pending,
    /// It is in no block that is still there.
    Pruned,
}
