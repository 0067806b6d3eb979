//! Stage 3: where a partition's batches go: its target partition, that partition's leader, the lane to it.

use super::inspect::InspectedBatch;
use super::patch::RoutedBatch;
use crate::error::Side;
use crate::rate::RateLimit;
use crate::task::FlowTask;
use std::collections::BTreeMap;
use std::sync::Arc;
use verbatim_wire::fetch::{self, TopicIdentity};
use verbatim_wire::primitives::TopicId;
use verbatim_wire::produce;

/// A source topic and its target.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) source: TopicIdentity,
    pub(crate) target: TopicIdentity,
    pub(crate) source_traits: SourceTraits,
    pub(crate) target_traits: TargetTraits,
    /// How fast it is written.
    pub(crate) limit: Option<RateLimit>,
    /// Not copied any more.
    is_gone: bool,
    /// Numbers of its partitions.
    partitions: Vec<Option<u32>>,
}

/// What a source topic's configs say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceTraits {
    /// Its log may lose records to compaction; so it is where we may not know.
    pub(crate) may_be_compacted: bool,
}

/// What a target topic's configs say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetTraits {
    /// Largest batch it takes, in bytes.
    pub(crate) max_message_bytes: usize,
    /// It replaces the times of records by its own.
    pub(crate) is_append_time: bool,
    /// It is compacted: records need keys.
    pub(crate) is_compacted: bool,
    /// It is compacted and deletes nothing: DeleteRecords is refused.
    pub(crate) is_compacted_only: bool,
}

/// All topics of a flow.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    topics: Vec<Route>,
    by_target_name: BTreeMap<Arc<str>, usize>,
    by_target_id: BTreeMap<TopicId, usize>,
}

impl Routes {
    pub(crate) fn topic(&self, index: usize) -> Option<&Route> {
        self.topics.get(index)
    }

    /// Source or target names.
    pub(crate) fn names(&self, side: Side) -> Vec<Arc<str>> {
        let here = self.topics.iter().filter(|route| !route.is_gone);
        here.map(|route| route.side(side).name.clone()).collect()
    }

    /// The index of a topic, added if it is new.
    pub(crate) fn add(
        &mut self,
        source: TopicIdentity,
        target: TopicIdentity,
        source_traits: SourceTraits,
        target_traits: TargetTraits,
        limit: Option<RateLimit>,
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
            source_traits,
            target_traits,
            limit,
            is_gone: false,
            partitions: vec![],
        });
        index
    }

    /// Numbers of the partitions of a source topic.
    pub(crate) fn numbers(&self, source: &str) -> Vec<u32> {
        let route = self.topics.iter().find(|route| !route.is_gone && &*route.source.name == source);
        route.map_or_else(Vec::new, |route| route.partitions.iter().flatten().copied().collect())
    }

    /// Takes a topic out, by its source name.
    pub(crate) fn remove(&mut self, source: &str) {
        let route = self.topics.iter_mut().find(|route| !route.is_gone && &*route.source.name == source);
        if let Some(route) = route {
            route.is_gone = true;
            self.by_target_name.remove(&route.target.name);
            self.by_target_id.remove(&route.target.id);
        }
    }

    /// The source topic has become another of the same name.
    pub(crate) fn source_is_now(&mut self, index: usize, id: TopicId) {
        if let Some(route) = self.topics.get_mut(index) {
            route.source.id = id;
        }
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
        let all_have_ids = self.topics.iter().all(|route| route.is_gone || route.source.id != TopicId::ZERO);
        if fetch::uses_topic_ids(offered) && !all_have_ids { 12 } else { offered }
    }

    /// Topics can only be produced to by id where every topic has one.
    pub(crate) fn produce_version(&self, offered: i16) -> i16 {
        let all_have_ids = self.topics.iter().all(|route| route.is_gone || route.target.id != TopicId::ZERO);
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

impl FlowTask {
    /// The stage itself: a batch goes to the partition of the same number, as it is.
    pub(crate) fn route(&self, inspected: InspectedBatch) -> RoutedBatch {
        RoutedBatch {
            payload: inspected.batch.payload(),
            header: inspected.batch.header,
            tail: inspected.batch.tail,
            source_offset: inspected.batch.header.base_offset,
            stretches: None,
            source_next: inspected.next_offset,
            leader_epoch: inspected.batch.header.partition_leader_epoch,
            is_repacked: false,
        }
    }
}
