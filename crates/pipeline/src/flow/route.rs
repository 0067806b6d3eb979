//! Stage 3: where a partition's batches go: its target partition, that partition's leader, the lane to it.

use super::inspect::InspectedBatch;
use super::patch::RoutedBatch;
use crate::config::FlowConfig;
use crate::error::{Side, StopReason};
use crate::partition::{Partition, State};
use crate::task::FlowTask;
use crate::task::events::Event;
use crate::task::timers::Timer;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;
use verbatim_wire::cluster::{Backoff, BrokerError, ClusterError, Metadata, TopicMetadata};
use verbatim_wire::fetch::{self, TopicIdentity};
use verbatim_wire::primitives::TopicId;
use verbatim_wire::produce;

/// A source topic and its target.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) source: TopicIdentity,
    pub(crate) target: TopicIdentity,
    /// Largest batch the target takes, in bytes.
    pub(crate) target_max_message_bytes: usize,
    /// Numbers of its partitions.
    partitions: Vec<Option<u32>>,
}

/// All topics of a flow.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    topics: Vec<Route>,
    by_target_name: HashMap<Arc<str>, usize>,
    by_target_id: HashMap<TopicId, usize>,
}

impl Routes {
    pub(crate) fn topic(&self, index: usize) -> Option<&Route> {
        self.topics.get(index)
    }

    /// Source or target names.
    pub(crate) fn names(&self, side: Side) -> Vec<Arc<str>> {
        self.topics.iter().map(|route| route.side(side).name.clone()).collect()
    }

    /// The index of a topic, added if it is new.
    pub(crate) fn add(
        &mut self,
        source: TopicIdentity,
        target: TopicIdentity,
        max_message_bytes: usize,
    ) -> usize {
        if let Some(index) = self.by_target_name.get(&target.name) {
            return *index;
        }
        let index = self.topics.len();
        self.by_target_name.insert(target.name.clone(), index);
        self.by_target_id.insert(target.id, index);
        self.topics.push(Route {
            source,
            target,
            target_max_message_bytes: max_message_bytes,
            partitions: vec![],
        });
        index
    }

    /// Numbers a partition; `false` if it has a number already.
    pub(crate) fn number(&mut self, topic: usize, partition: i32, number: u32) -> bool {
        let (Some(route), Ok(at)) = (self.topics.get_mut(topic), usize::try_from(partition)) else {
            return false;
        };
        if route.partitions.len() <= at {
            route.partitions.resize(at + 1, None);
        }
        match route.partitions.get_mut(at) {
            Some(slot @ None) => {
                *slot = Some(number);
                true
            }
            _ => false,
        }
    }

    /// The partition a Produce answer speaks of.
    pub(crate) fn answered(&self, answer: &produce::ProducedPartition) -> Option<u32> {
        let index = if answer.topic_id == TopicId::ZERO {
            self.by_target_name.get(std::str::from_utf8(&answer.topic_name).ok()?)?
        } else {
            self.by_target_id.get(&answer.topic_id)?
        };
        *self.topics.get(*index)?.partitions.get(usize::try_from(answer.partition).ok()?)?
    }

    /// Topics can only be fetched by id where every topic has one.
    pub(crate) fn fetch_version(&self, offered: i16) -> i16 {
        let all_have_ids = self.topics.iter().all(|route| route.source.id != TopicId::ZERO);
        if fetch::uses_topic_ids(offered) && !all_have_ids { 12 } else { offered }
    }

    /// Topics can only be produced to by id where every topic has one.
    pub(crate) fn produce_version(&self, offered: i16) -> i16 {
        let all_have_ids = self.topics.iter().all(|route| route.target.id != TopicId::ZERO);
        if produce::uses_topic_ids(offered) && !all_have_ids { 12 } else { offered }
    }
}

impl Route {
    pub(crate) fn side(&self, side: Side) -> &TopicIdentity {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }
}

/// Whether leaders have to be asked for again.
#[derive(Debug)]
pub(crate) struct LeaderWatch {
    is_wanted: bool,
    is_asking: bool,
    not_before: Option<Instant>,
    backoff: Backoff,
}

impl LeaderWatch {
    pub(crate) fn new(config: &FlowConfig, seed: u64) -> Self {
        let backoff = Backoff::new(config.first_retry, config.last_retry, seed);
        Self { is_wanted: false, is_asking: false, not_before: None, backoff }
    }

    pub(crate) fn want(&mut self) {
        self.is_wanted = true;
    }
}

impl FlowTask {
    /// The stage itself: a batch goes to the partition of the same number, as it is.
    pub(crate) fn route(&self, inspected: &InspectedBatch) -> RoutedBatch {
        RoutedBatch {
            payload: inspected.batch.payload(),
            header: inspected.batch.header,
            source_offset: inspected.batch.header.base_offset,
            source_next: inspected.next_offset,
            leader_epoch: inspected.batch.header.partition_leader_epoch,
            is_repacked: false,
        }
    }

    /// Sets a partition on its way: to the next state that its leaders allow.
    pub(crate) fn locate(&mut self, number: u32) {
        let Some(partition) = self.partition(number) else { return };
        partition.state = State::Locating;
        let target = partition.target.leader;
        if partition.source.leader.is_none() {
            self.source_leaders.want();
        }
        match target {
            Some(leader) => {
                if let Some(partition) = self.partition(number) {
                    partition.state = State::Resuming;
                }
                self.to_resume.entry(leader).or_default().push(number);
            }
            None => self.target_leaders.want(),
        }
    }

    pub(crate) fn pause_is_over(&mut self, number: u32, now: Instant) {
        if self.partition(number).is_some_and(|p| matches!(p.state, State::Pausing(until) if until <= now)) {
            self.locate(number);
        }
    }

    pub(crate) fn ask_for_leaders(&mut self, side: Side, now: Instant) {
        let watch = self.leaders(side);
        if !watch.is_wanted || watch.is_asking {
            return;
        }
        if let Some(at) = watch.not_before.filter(|at| *at > now) {
            return self.timers.set(at, Timer::leaders(side));
        }
        watch.is_wanted = false;
        let names = self.routes.names(side);
        if names.is_empty() {
            return;
        }
        self.leaders(side).is_asking = true;
        let cluster = if side == Side::Source { self.source.clone() } else { self.target.clone() };
        self.beside(async move { Event::Leaders { side, outcome: cluster.metadata(Some(&names)).await } });
    }

    pub(crate) fn leaders_heard(
        &mut self,
        side: Side,
        outcome: Result<Arc<Metadata>, ClusterError>,
        now: Instant,
    ) {
        let pause = self.leaders(side).backoff.pause();
        let watch = self.leaders(side);
        watch.is_asking = false;
        watch.not_before = Some(now + pause);
        let metadata = match outcome {
            Ok(metadata) => metadata,
            Err(error) => {
                tracing::warn!(%error, "{side} cluster: asking for leaders failed; trying again");
                return watch.want();
            }
        };
        let mut all_found = true;
        for number in (0u32..).take(self.partitions.len()) {
            all_found &= match side {
                Side::Source => self.source_leader_heard(number, &metadata, now),
                Side::Target => self.target_leader_heard(number, &metadata, now),
            };
        }
        let watch = self.leaders(side);
        if all_found {
            watch.backoff.reset();
        } else {
            watch.want();
        }
    }

    /// Returns whether the leader is known now.
    fn source_leader_heard(&mut self, number: u32, metadata: &Metadata, now: Instant) -> bool {
        if !self.topic_is_there(number, Side::Source, metadata, now) {
            return true;
        }
        let name = self.name(number);
        let found = metadata.partition(&name.topic, name.partition).filter(|found| found.leader >= 0);
        let leader = found.map(|found| (found.leader, found.leader_epoch));
        let Some(partition) = self.partition(number) else { return true };
        if leader.is_none() && partition.source.leader.is_some() {
            return true; // Being elected: the old leader will say so when it is asked.
        }
        let has_moved = partition.source.leader != leader || partition.source.fetched_from.is_none();
        partition.source.leader = leader;
        if has_moved && partition.state.is_copying() && partition.ending.is_none() {
            self.leave_session(number);
            self.join_session(number);
        }
        leader.is_some()
    }

    fn target_leader_heard(&mut self, number: u32, metadata: &Metadata, now: Instant) -> bool {
        if !self.topic_is_there(number, Side::Target, metadata, now) {
            return true;
        }
        let Some(partition) = self.partitions.get(number as usize) else { return true };
        if !matches!(partition.state, State::Locating) {
            return true;
        }
        let Some(route) = self.routes.topic(partition.topic) else { return true };
        let found = metadata.partition(&route.target.name, partition.partition);
        let leader = found.map(|found| found.leader).filter(|leader| *leader >= 0);
        if let Some(partition) = self.partition(number) {
            partition.target.leader = leader;
        }
        if leader.is_some() {
            self.locate(number);
        }
        leader.is_some()
    }

    /// Whether the topic is still the one we know. A topic that stays away, or comes back as another one,
    /// stops its partitions.
    fn topic_is_there(&mut self, number: u32, side: Side, metadata: &Metadata, now: Instant) -> bool {
        let patience = self.config.missing_topic_patience;
        let Some(partition) = self.partitions.get_mut(number as usize) else { return false };
        if partition.state.is_stopped() {
            return false;
        }
        let Some(known) = self.routes.topic(partition.topic).map(|route| route.side(side)) else {
            return false;
        };
        let found = metadata.topic(&known.name);
        let gone = |topic: &TopicMetadata| topic.error == BrokerError::UNKNOWN_TOPIC_OR_PARTITION;
        let missing_since = partition.missing_since(side);
        if found.is_none_or(gone) {
            let since = *missing_since.get_or_insert(now);
            let missing_for = now.duration_since(since);
            if missing_for >= patience {
                let reason = StopReason::TopicGone { side, seconds: missing_for.as_secs() };
                self.stop(number, &Arc::new(reason));
            }
            self.leaders(side).want();
            return false;
        }
        *missing_since = None;
        let is_another = found.is_some_and(|topic| {
            topic.error == BrokerError::NONE && topic.identity.id != known.id && known.id != TopicId::ZERO
        });
        if is_another {
            self.stop(number, &Arc::new(StopReason::Recreated { side }));
        }
        !is_another
    }
}

impl Partition {
    fn missing_since(&mut self, side: Side) -> &mut Option<Instant> {
        match side {
            Side::Source => &mut self.source.missing_since,
            Side::Target => &mut self.target.missing_since,
        }
    }
}
