//! One classic consumer group.
//!
//! ```text
//!            join                 all joined, or time is up            leader syncs
//!   Empty ---------> Preparing ------------------------------> Completing ---------> Stable
//!     ^                  ^                                          |                   |
//!     |                  +------- join, leave, session expired -----+-------------------+
//!     +--- last member gone (from any state)
//! ```
//! Time is an argument; sessions are looked at whenever the group is touched. A static member that comes back
//! replaces its older self, which starts a rebalance (Kafka can skip that).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::error::ErrorCode;
use crate::groups::offsets::CommittedOffset;

/// State of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum GroupState {
    #[default]
    Empty,
    Preparing,
    Completing,
    Stable,
}

impl GroupState {
    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    /// Names and metadata, most wanted first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// Waits in JoinGroup for the next generation.
    pub(crate) is_joining: bool,
    pub(crate) last_seen: Instant,
}

/// A group: its offsets, and its members if it has any.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) offsets: BTreeMap<(String, i32), CommittedOffset>,
    pub(crate) state: GroupState,
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: BTreeMap<String, Member>,
    /// Member ids handed out and not yet used (KIP-394).
    pub(crate) promised: BTreeSet<String>,
    deadline: Option<Instant>,
}

impl Group {
    /// Lets a member join; the answer is due when it no longer [`Member::is_joining`].
    pub(crate) fn join(
        &mut self,
        member_id: &str,
        protocol_type: &str,
        mut member: Member,
        now: Instant,
    ) -> Result<(), ErrorCode> {
        self.tick(now);
        let common = |name: &str| self.members.iter().all(|(id, it)| id == member_id || it.offers(name));
        let fits = self.members.is_empty() || self.protocol_type == protocol_type;
        if member.protocols.is_empty() || !fits || !member.protocols.iter().any(|(name, _)| common(name)) {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        if let Some(instance_id) = &member.instance_id {
            self.members
                .retain(|id, known| id == member_id || known.instance_id.as_ref() != Some(instance_id));
        }
        self.promised.remove(member_id);
        protocol_type.clone_into(&mut self.protocol_type);
        let known = self.members.get(member_id);
        let unchanged = known.is_some_and(|known| known.protocols == member.protocols);
        let settled = match self.state {
            GroupState::Completing => unchanged,
            GroupState::Stable => unchanged && self.leader.as_deref() != Some(member_id),
            GroupState::Empty | GroupState::Preparing => false,
        };
        member.is_joining = !settled;
        member.assignment = known.map(|known| known.assignment.clone()).unwrap_or_default();
        self.members.insert(member_id.to_owned(), member);
        if !settled {
            self.prepare(now);
            self.tick(now);
        }
        Ok(())
    }

    /// Takes the leader's assignments.
    pub(crate) fn assign(&mut self, member_id: &str, assignments: &BTreeMap<String, Bytes>) {
        if self.state == GroupState::Completing && self.leader.as_deref() == Some(member_id) {
            for (id, member) in &mut self.members {
                member.assignment = assignments.get(id).cloned().unwrap_or_default();
            }
            self.state = GroupState::Stable;
        }
    }

    /// Removes a member.
    pub(crate) fn leave(&mut self, member_id: &str, now: Instant) -> Result<(), ErrorCode> {
        if self.promised.remove(member_id) {
            return Ok(());
        }
        self.members.remove(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        self.member_gone(now);
        Ok(())
    }

    /// Lets time pass: expires sessions and ends a rebalance that waited long enough.
    pub(crate) fn tick(&mut self, now: Instant) {
        let before = self.members.len();
        self.members.retain(|_, member| member.is_joining || now < member.last_seen + member.session_timeout);
        if self.members.len() < before {
            self.member_gone(now);
        }
        let late = self.deadline.is_some_and(|deadline| now >= deadline);
        if self.state == GroupState::Preparing && (late || self.members.values().all(|it| it.is_joining)) {
            self.members.retain(|_, member| member.is_joining);
            self.begin_generation(now);
        }
    }

    /// When [`Group::tick`] will have something to do.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        let sessions = self.members.values().filter(|member| !member.is_joining);
        let expiries = sessions.map(|member| member.last_seen + member.session_timeout);
        expiries.chain(self.deadline.filter(|_| self.state == GroupState::Preparing)).min()
    }

    /// A member of the current generation, whose session goes on.
    pub(crate) fn seen(
        &mut self,
        member_id: &str,
        generation: i32,
        now: Instant,
    ) -> Result<&mut Member, ErrorCode> {
        self.tick(now);
        let current = self.generation;
        let member = self.members.get_mut(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if generation != current {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        member.last_seen = now;
        Ok(member)
    }

    /// Whether a plain OffsetCommit is allowed.
    pub(crate) fn check_commit(
        &mut self,
        member_id: &str,
        generation: i32,
        now: Instant,
    ) -> Result<(), ErrorCode> {
        self.tick(now);
        // Whatever member is named: without a generation it is none (`ClassicGroup.validateOffsetCommit`).
        if generation < 0 {
            return if self.members.is_empty() { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) };
        }
        self.seen(member_id, generation, now)?;
        if self.state == GroupState::Completing {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        Ok(())
    }

    /// Whether a TxnOffsetCommit is allowed: membership counts only when it is claimed.
    pub(crate) fn check_transactional_member(
        &self,
        member_id: &str,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if !member_id.is_empty() && !self.members.contains_key(member_id) {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if generation >= 0 && generation != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        Ok(())
    }

    fn member_gone(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.state = GroupState::Empty;
            self.generation += 1;
            self.leader = None;
            self.protocol = None;
        } else {
            // It may be the one everybody waited for: whoever waits ticks next.
            self.prepare(now);
        }
    }

    fn prepare(&mut self, now: Instant) {
        if self.state != GroupState::Preparing {
            self.state = GroupState::Preparing;
            let longest = self.members.values().map(|member| member.rebalance_timeout).max();
            self.deadline = Some(now + longest.unwrap_or_default());
        }
    }

    fn begin_generation(&mut self, now: Instant) {
        self.generation += 1;
        self.deadline = None;
        if self.members.is_empty() {
            self.state = GroupState::Empty;
            self.leader = None;
            self.protocol = None;
            return;
        }
        self.state = GroupState::Completing;
        let leader = self.leader.take().filter(|leader| self.members.contains_key(leader));
        self.leader = leader.or_else(|| self.members.keys().next().cloned());
        self.protocol = self.chosen_protocol();
        for member in self.members.values_mut() {
            member.is_joining = false;
            member.last_seen = now;
            member.assignment = Bytes::new();
        }
    }

    /// The leader's first choice that all members offer.
    fn chosen_protocol(&self) -> Option<String> {
        let leader = self.members.get(self.leader.as_ref()?)?;
        let offered = leader.protocols.iter().map(|(name, _)| name);
        offered.into_iter().find(|name| self.members.values().all(|it| it.offers(name))).cloned()
    }
}

impl Member {
    /// Metadata for a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    fn offers(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}
