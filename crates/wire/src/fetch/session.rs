//! A fetch session (KIP-227): the broker remembers the partitions, requests carry only what changed.
//!
//! Invariant: after the request that [`FetchSession::next_request`] built was answered without a session
//! error, the broker's view equals `wanted`. Any doubt (error 70, 71, 106, a lost connection) resets the
//! session, and the next request names everything again.

use super::answer::{FetchAnswer, FetchedPartition, TopicRef};
use super::request::{FetchLimits, PartitionFields, SessionFields, TopicIdentity, encode};
use crate::frame::Frame;
use crate::primitives::TopicId;
use std::collections::BTreeMap;

/// What is to be fetched from a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchTarget {
    /// Offset to read from.
    pub fetch_offset: i64,
    /// Leader epoch we know the partition by, −1 for none (KIP-320).
    pub current_leader_epoch: i32,
    /// Leader epoch of the last batch read, −1 for none: lets the broker notice divergence.
    pub last_fetched_epoch: i32,
}

/// Whole-request errors that end a session, by their Kafka code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker ended the fetch session with error {0}")]
pub struct SessionError(pub i16);

/// One broker's session. Partitions are known by the caller's own dense numbers.
#[derive(Debug, Default)]
pub struct FetchSession {
    id: i32,
    epoch: i32,
    /// By number: small and dense, so that a tree is searched faster than a number is hashed.
    wanted: BTreeMap<u32, Wanted>,
    /// Numbers whose request fields the broker does not have yet.
    changed: Vec<u32>,
    forgotten: Vec<(TopicIdentity, i32)>,
    by_name: BTreeMap<Box<[u8]>, BTreeMap<i32, u32>>,
    by_id: BTreeMap<TopicId, BTreeMap<i32, u32>>,
}

#[derive(Debug)]
struct Wanted {
    topic: TopicIdentity,
    partition: i32,
    target: FetchTarget,
    is_changed: bool,
    /// Named in a request of this session, perhaps one not answered yet: the broker has to be told to forget it.
    was_sent: bool,
}

impl FetchSession {
    /// Adds a partition under the caller's `number`, or changes what is fetched from it.
    pub fn want(&mut self, number: u32, topic: &TopicIdentity, partition: i32, target: FetchTarget) {
        if let Some(wanted) = self.wanted.get_mut(&number) {
            if wanted.target != target {
                wanted.target = target;
                if !std::mem::replace(&mut wanted.is_changed, true) {
                    self.changed.push(number);
                }
            }
            return;
        }
        // One that was to be forgotten is still in the broker's session.
        let still_there = self.forgotten.iter().position(|(t, p)| t == topic && *p == partition);
        let was_sent = still_there.map(|at| self.forgotten.swap_remove(at)).is_some();
        self.wanted
            .insert(number, Wanted { topic: topic.clone(), partition, target, is_changed: true, was_sent });
        self.changed.push(number);
        self.by_name.entry(topic.name.as_bytes().into()).or_default().insert(partition, number);
        self.by_id.entry(topic.id).or_default().insert(partition, number);
    }

    /// Takes a partition out.
    pub fn forget(&mut self, number: u32) {
        let Some(wanted) = self.wanted.remove(&number) else { return };
        self.changed.retain(|changed| *changed != number);
        let Wanted { topic, partition, was_sent, .. } = wanted;
        if let Some(partitions) = self.by_name.get_mut(topic.name.as_bytes()) {
            partitions.remove(&partition);
        }
        if let Some(partitions) = self.by_id.get_mut(&topic.id) {
            partitions.remove(&partition);
        }
        if was_sent {
            self.forgotten.push((topic, partition));
        }
    }

    /// Whether a partition is in the session.
    pub fn wants(&self, number: u32) -> bool {
        self.wanted.contains_key(&number)
    }

    /// Partitions in the session.
    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Whether there is nothing to fetch.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Starts over: the next request opens a new session with everything wanted.
    pub fn reset(&mut self) {
        (self.id, self.epoch) = (0, 0);
        self.forgotten.clear();
        self.name_all();
        for wanted in self.wanted.values_mut() {
            wanted.was_sent = false;
        }
    }

    /// Names every partition in the next request: brokers keep the limit of each as it was when it was last named.
    pub fn name_all(&mut self) {
        self.changed.clear();
        for (number, wanted) in &mut self.wanted {
            wanted.is_changed = true;
            self.changed.push(*number);
        }
    }

    /// The next request of the session.
    pub fn next_request(&mut self, version: i16, client_id: &str, limits: &FetchLimits) -> Frame {
        for number in &self.changed {
            if let Some(wanted) = self.wanted.get_mut(number) {
                wanted.is_changed = false;
                wanted.was_sent = true;
            }
        }
        let mut added: BTreeMap<&TopicIdentity, Vec<PartitionFields>> = BTreeMap::new();
        let named: Vec<&Wanted> = self.changed.iter().filter_map(|number| self.wanted.get(number)).collect();
        // Partitions of one topic mostly come together: its name is looked for once.
        for of_topic in named.chunk_by(|a, b| a.topic == b.topic) {
            let Some(first) = of_topic.first() else { continue };
            let fields = of_topic.iter().map(|wanted| PartitionFields {
                partition: wanted.partition,
                current_leader_epoch: wanted.target.current_leader_epoch,
                fetch_offset: wanted.target.fetch_offset,
                last_fetched_epoch: wanted.target.last_fetched_epoch,
            });
            added.entry(&first.topic).or_default().extend(fields);
        }
        let mut forgotten: BTreeMap<&TopicIdentity, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in &self.forgotten {
            forgotten.entry(topic).or_default().push(*partition);
        }
        let session = SessionFields { id: self.id, epoch: self.epoch };
        let (added, gone): (Vec<_>, Vec<_>) = (added.into_iter().collect(), forgotten.into_iter().collect());
        let frame = encode(version, client_id, &session, limits, &added, &gone);
        self.changed.clear();
        self.forgotten.clear();
        frame
    }

    /// Takes the answer to the last request: advances the session and numbers the partitions.
    ///
    /// Partitions that were taken out while the request was under way are left out of the result.
    ///
    /// # Errors
    /// When the broker ended the session; it has then been reset and the same fetch can be tried again.
    pub fn accept(&mut self, answer: FetchAnswer) -> Result<Vec<(u32, FetchedPartition)>, SessionError> {
        if answer.error_code != 0 {
            self.reset();
            return Err(SessionError(answer.error_code));
        }
        if self.epoch == 0 {
            self.id = answer.session_id;
        }
        // Without a session id the broker has no slot for us: every request is a full one.
        if self.id == 0 {
            self.reset();
        } else {
            self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        }
        let mut known = Vec::with_capacity(answer.partitions.len());
        let mut partitions = answer.partitions.into_iter();
        for (topic, count) in answer.topics {
            let numbers = match &topic {
                TopicRef::Name(name) => self.by_name.get(name.as_ref()),
                TopicRef::Id(id) => self.by_id.get(id),
            };
            let of_topic = partitions.by_ref().take(count);
            known.extend(of_topic.filter_map(|fetched| Some((*numbers?.get(&fetched.partition)?, fetched))));
        }
        Ok(known)
    }
}
