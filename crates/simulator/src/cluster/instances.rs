//! Processes beside members: a member's key may be in two processes at once. To everyone else the two are one member that
//! contradicts itself.

use super::Cluster;
use crate::replica::Node;
use quorate_types::ReplicaId;

impl Cluster {
    /// Adds a second process with a member's key, and its own disks and clock, that has not started. It is named by a number
    /// above those of the members; the member counts as faulty from here on.
    ///
    /// # Panics
    /// With 65,536 processes.
    pub fn add_twin(&mut self, member: ReplicaId) -> ReplicaId {
        let twin = ReplicaId::new(u16::try_from(self.nodes.len()).expect("few processes"));
        let mut node = Node::new(member);
        // Starts are counted apart, so that HELLOs of the two have different nonces.
        node.incarnation = u64::from(twin.get()) << 32;
        self.nodes.push(node);
        self.twins.push(member);
        self.checkers.faulty.extend([member, twin]);
        twin
    }

    /// Every process: the members, then the twins.
    pub fn instances(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let twins = u16::try_from(self.twins.len()).unwrap_or(u16::MAX);
        ReplicaId::all(self.members.count().saturating_add(twins))
    }

    /// The member whose key a process has.
    pub fn member_of(&self, instance: ReplicaId) -> ReplicaId {
        let twin = instance.index().checked_sub(usize::from(self.members.count()));
        twin.map_or(instance, |twin| self.twins[twin])
    }

    /// The processes that have a member's key.
    pub(super) fn instances_of(&self, member: ReplicaId) -> Vec<ReplicaId> {
        self.instances().filter(|instance| self.member_of(*instance) == member).collect()
    }

    /// The processes that have another key than this one: those it can talk to.
    pub(super) fn others(&self, instance: ReplicaId) -> Vec<ReplicaId> {
        let member = self.member_of(instance);
        self.instances().filter(|other| self.member_of(*other) != member).collect()
    }
}
