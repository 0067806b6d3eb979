//! The one partition of a topic that keeps small facts: read from the start, appended to.

use super::{Appended, BrokerError, Cluster, ClusterError, persist};
use crate::fetch::TopicIdentity;
use crate::records::Batch;
use crate::records::builder::{BatchBuilder, BatchOptions, BuildError};
use crate::records::codec::{Codec, decompress_shared};
use crate::records::record::{Headers, Records};
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Batches of such topics are small; anything that unpacks to more is not one of theirs.
const UNPACKED_LIMIT_BYTES: usize = 16 << 20;

/// A partition of a topic, wherever its leader is.
#[derive(Debug)]
pub struct PartitionLog {
    /// The cluster.
    pub cluster: Cluster,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// What the topic is and who leads, until a request fails.
    known: Mutex<Option<Located>>,
}

/// Where a partition's log is.
#[derive(Debug, Clone)]
struct Located {
    topic: TopicIdentity,
    leader: i32,
    /// Sent along where a broker that no longer leads would answer else (KIP-392: followers serve Fetch).
    leader_epoch: i32,
}

/// A record by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainRecord {
    /// Offset in the log.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Key, if any.
    pub key: Option<Bytes>,
    /// Value; none is a tombstone.
    pub value: Option<Bytes>,
    /// Headers, in order, with duplicates.
    pub headers: Headers,
}

/// A batch that cannot be read as records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the batch at offset {offset} cannot be read")]
pub struct UnreadableBatch {
    /// Its base offset.
    pub offset: i64,
}

impl PartitionLog {
    /// Partition `partition` of `topic`.
    pub fn new(cluster: Cluster, topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { cluster, topic: topic.into(), partition, known: Mutex::default() }
    }

    /// Partition 0 of `topic`.
    pub fn first(cluster: Cluster, topic: impl Into<Arc<str>>) -> Self {
        Self::new(cluster, topic, 0)
    }

    fn known(&self) -> MutexGuard<'_, Option<Located>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `what` at the leader; it is looked for if it is not known.
    async fn at_leader<T>(
        &self,
        what: impl AsyncFnOnce(Located) -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        let known = self.known().clone();
        let located = match known {
            Some(known) => known,
            None => {
                let located = self.located().await?;
                self.known().insert(located).clone()
            }
        };
        let outcome = what(located).await;
        if outcome.is_err() {
            *self.known() = None;
        }
        outcome
    }

    /// The topic as it is now and the partition's leader.
    async fn located(&self) -> Result<Located, ClusterError> {
        let metadata = self.cluster.metadata(Some(std::slice::from_ref(&self.topic))).await?;
        let topic = metadata.topic(&self.topic);
        let Some(topic) = topic.filter(|topic| topic.error == BrokerError::NONE) else {
            let code = topic.map_or(BrokerError::UNKNOWN_TOPIC_OR_PARTITION, |topic| topic.error);
            let subject = self.topic.to_string();
            return Err(ClusterError::Refused { request: "find topic", subject, code, message: None });
        };
        let found = topic.partitions.iter().find(|found| found.partition == self.partition);
        let found = found.filter(|found| found.leader >= 0);
        let found = found
            .ok_or_else(|| ClusterError::NoLeader { topic: self.topic.clone(), partition: self.partition })?;
        let topic = topic.identity.clone();
        Ok(Located { topic, leader: found.leader, leader_epoch: found.leader_epoch })
    }

    /// Appends one batch, acknowledged by all in-sync replicas.
    ///
    /// # Errors
    /// When that did not work within some twenty seconds.
    pub async fn append(&self, batch: &Bytes) -> Result<Appended, ClusterError> {
        persist(async || {
            let append =
                async |at: Located| self.cluster.append(at.leader, &at.topic, self.partition, batch).await;
            self.at_leader(append).await
        })
        .await
    }

    /// All batches from offset `from` to the log's end as of now; the first may begin below it.
    ///
    /// # Errors
    /// When that did not work within some twenty seconds.
    pub async fn read(&self, from: i64) -> Result<Vec<Batch>, ClusterError> {
        persist(async || {
            let mut batches = Vec::new();
            let collect = |batch| {
                batches.push(batch);
                true
            };
            self.at_leader(async |at| self.read_at(&at, from, collect).await).await?;
            Ok(batches)
        })
        .await
    }

    /// Hands every batch from offset `from`, which the log must hold, to `each`, up to the log's end as of now or until that
    /// returns `false`; the first may begin below it.
    ///
    /// # Errors
    /// When the leader does not answer, or refuses.
    pub async fn for_each(&self, from: i64, each: impl FnMut(Batch) -> bool) -> Result<(), ClusterError> {
        let located = self.located().await?;
        self.read_at(&located, from, each).await
    }

    async fn read_at(
        &self,
        at: &Located,
        from: i64,
        each: impl FnMut(Batch) -> bool,
    ) -> Result<(), ClusterError> {
        let leader = (at.leader, at.leader_epoch);
        self.cluster.read_log(leader, &at.topic, self.partition, from, each).await
    }

    /// The offset of the first record and the one after the last.
    ///
    /// # Errors
    /// When the leader does not answer, or refuses.
    pub async fn bounds(&self) -> Result<(i64, i64), ClusterError> {
        let Located { leader, .. } = self.located().await?;
        self.cluster.log_bounds(leader, (self.topic.clone(), self.partition)).await
    }
}

/// A batch of records of which each has a key and may have a value, all with one timestamp, in milliseconds since the epoch.
///
/// # Errors
/// When it would be larger than a batch can be.
pub fn plain_batch<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    timestamp: i64,
    records: impl IntoIterator<Item = (K, Option<V>)>,
) -> Result<Bytes, BuildError> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (key, value) in records {
        let value = value.as_ref().map(AsRef::as_ref);
        builder.push(timestamp, Some(key.as_ref()), value, &Headers::none())?;
    }
    builder.finish()
}

/// The records of `batch`; none for a control batch.
///
/// # Errors
/// When it is damaged, or too large for a topic of small facts.
pub fn plain_records(batch: &Batch) -> Result<Vec<PlainRecord>, UnreadableBatch> {
    let header = &batch.header;
    if header.attributes.is_control() || header.records_count == 0 {
        return Ok(Vec::new());
    }
    let unreadable = UnreadableBatch { offset: header.base_offset };
    let codec = Codec::from_attributes(header.attributes).map_err(|_| unreadable)?;
    let payload = decompress_shared(codec, &batch.payload(), UNPACKED_LIMIT_BYTES).map_err(|_| unreadable)?;
    let records = Records::new(payload, header.records_count).map(|record| {
        let record = record.map_err(|_| unreadable)?;
        Ok(PlainRecord {
            offset: record.offset(header.base_offset),
            timestamp: record.timestamp(header.base_timestamp),
            key: record.key,
            value: record.value,
            headers: record.headers,
        })
    });
    records.collect()
}
