//! The real store: one compacted topic per flow on the target cluster, `__verbatim.<flow>`.

use super::entry::{self, Entry, Written};
use super::lease::{Claim, Claimed, Holder, TRUST, TTL_MS};
use super::origins::STATE_TOPICS;
use super::{
    MapChunk, OffsetMap, PartitionChange, PositionError, PositionStore, ProducerRole, StoredPartition,
    StoredState, Storing, Summary,
};
use crate::error::PartitionName;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use verbatim_wire::cluster::{
    BrokerError, Cluster, ClusterError, NewTopic, PartitionLog, PlainRecord, plain_batch, plain_records,
};
use verbatim_wire::records::Batch;

/// Replicas of the state topic, where the cluster has as many brokers.
const REPLICATION_FACTOR: usize = 3;
/// Bytes of keys and values in one batch: far below any broker's message limit.
const BATCH_BYTES: usize = 200_000;
/// Time stamps of the broker put claims in time: one clock for all instances.
const TIMESTAMP_TYPE: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// Positions in a topic.
#[derive(Debug)]
pub struct TopicPositions {
    log: PartitionLog,
    lease: Mutex<Lease>,
}

/// This instance among the others.
#[derive(Debug)]
struct Lease {
    /// Name of this instance: random.
    owner: String,
    holder: Holder,
    /// Up to where the log has been read for claims.
    read_to: i64,
    /// There has been a claim since the last one was given up.
    has_claimed: bool,
    /// The claim is to be given up before there is another.
    is_given_up: bool,
}

impl TopicPositions {
    /// The store of flow `flow` on `target`; creates its topic if it is missing.
    ///
    /// # Errors
    /// When the target does not answer or does not let us create the topic.
    pub async fn open(target: Cluster, flow: &str) -> Result<Self, PositionError> {
        let NewTopic { name: topic, .. } = Self::state_topic(flow, 1);
        let failed = |source| PositionError::Cluster { topic: topic.clone(), source };
        let metadata = target.metadata(Some(std::slice::from_ref(&topic))).await.map_err(failed)?;
        let found =
            metadata.topic(&topic).map_or(BrokerError::UNKNOWN_TOPIC_OR_PARTITION, |found| found.error);
        if found == BrokerError::UNKNOWN_TOPIC_OR_PARTITION {
            target.create_topic(Self::state_topic(flow, metadata.brokers().len())).await.map_err(failed)?;
        }
        let owner = format!("{:016x}", RandomState::new().build_hasher().finish());
        let lease =
            Lease { owner, holder: Holder::default(), read_to: 0, has_claimed: false, is_given_up: false };
        Ok(Self { log: PartitionLog::first(target, topic), lease: Mutex::new(lease) })
    }

    /// The topic that keeps the state of flow `flow`, as created on a target of `brokers` brokers.
    pub fn state_topic(flow: &str, brokers: usize) -> NewTopic {
        let (timestamp_type, append_time) = TIMESTAMP_TYPE;
        let configs = [("cleanup.policy", "compact"), (timestamp_type, append_time)];
        NewTopic {
            name: format!("{STATE_TOPICS}{flow}").into(),
            partitions: 1,
            replication_factor: i16::try_from(brokers.clamp(1, REPLICATION_FACTOR)).unwrap_or(1),
            configs: configs.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    fn failed(&self, source: ClusterError) -> PositionError {
        PositionError::Cluster { topic: self.log.topic.clone(), source }
    }

    async fn read(&self) -> Result<StoredState, PositionError> {
        let mut lease = self.lease.lock().await;
        let mut facts = Facts::default();
        for batch in self.log.read(0).await.map_err(|error| self.failed(error))? {
            let is_new = batch.header.base_offset >= lease.read_to;
            lease.read_to = lease.read_to.max(batch.header.next_offset());
            for entry in self.entries(&batch)? {
                match entry {
                    Entry::Lease { owner, ttl_ms } if is_new => {
                        lease.holder.read(
                            &owner,
                            batch.header.base_offset,
                            batch.header.max_timestamp,
                            ttl_ms,
                        );
                    }
                    entry => facts.apply(entry),
                }
            }
        }
        Ok(facts.state())
    }

    fn entries(&self, batch: &Batch) -> Result<Vec<Entry>, PositionError> {
        let records = plain_records(batch).map_err(|unreadable| PositionError::Batch {
            topic: self.log.topic.clone(),
            offset: unreadable.offset,
        })?;
        let entry = |record: PlainRecord| {
            let key = record.key.unwrap_or_default();
            let key = String::from_utf8_lossy(&key);
            let value = record.value.map(|value| String::from_utf8_lossy(&value).into_owned());
            entry::read(&key, value.as_deref()).map_err(|source| PositionError::Entry {
                topic: self.log.topic.clone(),
                offset: record.offset,
                source,
            })
        };
        records.into_iter().map(entry).collect()
    }

    /// Appends in as few batches as their size allows; returns where the last one is, and the broker's time then.
    async fn write(&self, entries: Vec<Written>) -> Result<(i64, i64), PositionError> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(-1);
        let mut appended = (-1, -1);
        let mut entries = entries.iter().peekable();
        while entries.peek().is_some() {
            let mut bytes = 0;
            let mut some: Vec<(&String, Option<&String>)> = Vec::new();
            while let Some((key, value)) = entries.next_if(|_| bytes < BATCH_BYTES) {
                bytes += key.len() + value.as_ref().map_or(0, String::len);
                some.push((key, value.as_ref()));
            }
            let batch = plain_batch(now_ms, some).map_err(|_| PositionError::Encode)?;
            let done = self.log.append(&batch).await.map_err(|error| self.failed(error))?;
            appended = (done.base_offset, done.log_append_time_ms);
        }
        Ok(appended)
    }

    async fn try_claim(&self) -> Result<Claimed, PositionError> {
        let mut lease = self.lease.lock().await;
        if lease.is_given_up {
            self.give_up(&mut lease).await?;
        }
        let sent = Instant::now();
        lease.has_claimed = true;
        let (_, time_ms) = self.write(vec![entry::lease(&lease.owner, TTL_MS)]).await?;
        if time_ms < 0 {
            // The topic was made by others. Without the broker's time there is no order in time.
            let (name, value) = TIMESTAMP_TYPE;
            let set = [(name.to_owned(), value.to_owned())];
            let altered = self.log.cluster.alter_topic_configs(&self.log.topic, &set, &[]).await;
            altered.map_err(|error| self.failed(error))?;
            return Ok(Claimed::Theirs(Duration::from_millis(500)));
        }
        for batch in self.log.read(lease.read_to).await.map_err(|error| self.failed(error))? {
            if batch.header.base_offset < lease.read_to {
                continue;
            }
            lease.read_to = batch.header.next_offset();
            for entry in self.entries(&batch)? {
                if let Entry::Lease { owner, ttl_ms } = entry {
                    lease.holder.read(&owner, batch.header.base_offset, batch.header.max_timestamp, ttl_ms);
                }
            }
        }
        Ok(match lease.holder.number_of(&lease.owner) {
            Some(number) => Claimed::Ours(Claim { number, until: sent + TRUST }),
            None => {
                let left = u64::try_from(lease.holder.left_ms(time_ms)).unwrap_or(0);
                Claimed::Theirs(Duration::from_millis(left.max(1)))
            }
        })
    }

    async fn give_up(&self, lease: &mut Lease) -> Result<(), PositionError> {
        if lease.has_claimed {
            lease.is_given_up = true;
            self.write(vec![entry::lease(&lease.owner, 0)]).await?;
            (lease.has_claimed, lease.is_given_up) = (false, false);
        }
        Ok(())
    }
}

impl PositionStore for TopicPositions {
    fn load(&self) -> Storing<'_, StoredState> {
        Box::pin(self.read())
    }

    fn save_producer<'a>(&'a self, role: ProducerRole<'a>, producer: (i64, i16)) -> Storing<'a, ()> {
        Box::pin(async move { self.write(vec![entry::producer(role, producer)]).await.map(drop) })
    }

    fn save(&self, changes: Vec<PartitionChange>) -> Storing<'_, ()> {
        let entries = changes.iter().flat_map(entry::change).collect();
        Box::pin(async move { self.write(entries).await.map(drop) })
    }

    fn widened_policy<'a>(&'a self, topic: &'a str) -> Storing<'a, Option<String>> {
        Box::pin(async move { Ok(self.read().await?.widened_policies.remove(topic)) })
    }

    fn note_widened_policy<'a>(&'a self, topic: &'a str, policy: Option<&'a str>) -> Storing<'a, ()> {
        Box::pin(async move { self.write(vec![entry::policy(topic, policy)]).await.map(drop) })
    }

    fn claim(&self) -> Storing<'_, Claimed> {
        Box::pin(self.try_claim())
    }

    fn release(&self) -> Storing<'_, ()> {
        Box::pin(async move {
            let mut lease = self.lease.lock().await;
            self.give_up(&mut lease).await
        })
    }
}

/// What the log says so far, fact by fact.
#[derive(Debug, Default)]
struct Facts {
    state: StoredState,
    summaries: HashMap<PartitionName, Summary>,
    chunks: HashMap<PartitionName, BTreeMap<i64, MapChunk>>,
    gaps: HashMap<PartitionName, BTreeMap<i64, super::Gap>>,
}

impl Facts {
    fn apply(&mut self, entry: Entry) {
        match entry {
            // Two instances may have registered at once, one when its claim was over: all take the first.
            Entry::Producer { origin, producer } => {
                self.state.producers.entry(origin).or_insert(producer);
            }
            Entry::MarkerProducer(producer) => drop(self.state.marker_producer.get_or_insert(producer)),
            Entry::Position { name, summary: Some(summary) } => {
                self.summaries.insert(name, summary);
            }
            Entry::Position { name, summary: None } => drop(self.summaries.remove(&name)),
            Entry::Map { name, first_source, chunk } => {
                put(self.chunks.entry(name).or_default(), first_source, chunk);
            }
            Entry::Gap { name, target, gap } => put(self.gaps.entry(name).or_default(), target, gap),
            Entry::Policy { topic, policy: Some(policy) } => {
                self.state.widened_policies.insert(topic, policy);
            }
            Entry::Policy { topic, policy: None } => drop(self.state.widened_policies.remove(&topic)),
            Entry::Lease { .. } => {}
        }
    }

    fn state(mut self) -> StoredState {
        for (name, summary) in self.summaries {
            let chunks = self.chunks.remove(&name).unwrap_or_default().into_values().collect();
            let gaps = self.gaps.remove(&name).unwrap_or_default().into_values().collect();
            self.state.partitions.insert(name, StoredPartition::of(summary, chunks, gaps));
        }
        self.state
    }
}

fn put<T>(facts: &mut BTreeMap<i64, T>, key: i64, fact: Option<T>) {
    match fact {
        Some(fact) => drop(facts.insert(key, fact)),
        None => drop(facts.remove(&key)),
    }
}

impl StoredPartition {
    /// Brings position and map together. Where the map knows less than the position, because an instance that was behind
    /// wrote over it, the position goes back to where the map ends: what lies between is counted again.
    fn of(summary: Summary, chunks: Vec<MapChunk>, gaps: Vec<super::Gap>) -> Self {
        let Summary { position, offsets, map_from, map_to, .. } = summary;
        if offsets == super::OffsetsHeld::Preserved {
            return Self { summary, map: OffsetMap::default(), gaps, is_set_back: false };
        }
        let mut map = OffsetMap::from_chunks(map_from, chunks);
        if map.is_empty() {
            map = OffsetMap::starting_at(position.source_offset, position.target_offset);
        }
        let mut summary = summary;
        let is_set_back = map.end().1 < map_to;
        if !is_set_back {
            map.cut_target(map_to);
            map.pass(position.source_offset);
            map.skip_target(position.target_offset);
        } else {
            let (source, target) = map.end();
            summary.position = position.back_to(source, target);
        }
        Self { summary, map, gaps, is_set_back }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::positions::{OffsetsHeld, Position};
    use verbatim_wire::primitives::TopicId;

    fn summary(source_offset: i64, target_offset: i64) -> Summary {
        let map_to = target_offset;
        let position = Position { source_offset, target_offset, sequence: 7, leader_epoch: 3 };
        let (offsets, topic) = (OffsetsHeld::Translated, TopicId::ZERO);
        Summary { position, offsets, source_topic: topic, target_topic: topic, map_from: 0, map_to }
    }

    #[test]
    fn of_two_producers_the_first_counts() {
        let mut facts = Facts::default();
        for id in [4001, 4002] {
            facts.apply(Entry::Producer { origin: "o".to_owned(), producer: (id, 0) });
            facts.apply(Entry::MarkerProducer((id + 10, 0)));
        }
        let state = facts.state();
        assert_eq!((state.producers.get("o"), state.marker_producer), (Some(&(4001, 0)), Some((4011, 0))));
    }

    #[test]
    fn a_position_ahead_of_its_map_goes_back_to_it() {
        let chunks = vec!["0 10:0 10+1 10".parse().unwrap()];
        let stored = StoredPartition::of(summary(60, 50), chunks, vec![]);
        let expected =
            Position { source_offset: 31, target_offset: 20, sequence: i32::MAX - 22, leader_epoch: -1 };
        assert_eq!(stored.summary.position, expected);
    }

    #[test]
    fn a_map_ahead_of_its_position_is_cut() {
        let chunks = vec!["0 10:0 10+1 10".parse().unwrap()];
        let stored = StoredPartition::of(summary(24, 13), chunks, vec![]);
        assert_eq!((stored.summary.position.source_offset, stored.map.end()), (24, (24, 13)));
        let chunks = vec!["0 10:0 10+1 10".parse().unwrap()];
        let stored = StoredPartition::of(summary(33, 20), chunks, vec![]);
        assert_eq!(stored.map.end(), (33, 20));
    }
}
