//! The real store: one compacted topic per flow on the target cluster, `verbatim.<flow>`.

use super::log::TopicLog;
use super::{Position, PositionError, PositionStore, StoredState, Storing, entry};
use crate::error::PartitionName;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError, NewTopic};
use verbatim_wire::records::Batch;
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions};
use verbatim_wire::records::codec::{Codec, decompress_shared};
use verbatim_wire::records::record::{Headers, Records};

/// Replicas of the state topic, where the cluster has as many brokers.
const REPLICATION_FACTOR: usize = 3;
/// Positions in one batch: far below any broker's message limit.
const POSITIONS_PER_BATCH: usize = 2000;
/// Our own batches are small; anything that unpacks to more is not ours.
const UNPACKED_LIMIT_BYTES: usize = 16 << 20;

/// Positions in a topic.
#[derive(Debug)]
pub struct TopicPositions {
    log: TopicLog,
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
        Ok(Self { log: TopicLog { cluster: target, topic } })
    }

    /// The topic that keeps the state of flow `flow`, as created on a target of `brokers` brokers.
    pub fn state_topic(flow: &str, brokers: usize) -> NewTopic {
        NewTopic {
            name: format!("verbatim.{flow}").into(),
            partitions: 1,
            replication_factor: i16::try_from(brokers.clamp(1, REPLICATION_FACTOR)).unwrap_or(1),
            configs: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
        }
    }

    fn failed(&self, source: ClusterError) -> PositionError {
        PositionError::Cluster { topic: self.log.topic.clone(), source }
    }

    async fn read(&self) -> Result<StoredState, PositionError> {
        let mut state = StoredState::default();
        for batch in self.log.read().await.map_err(|error| self.failed(error))? {
            self.apply(&mut state, &batch)?;
        }
        Ok(state)
    }

    fn apply(&self, state: &mut StoredState, batch: &Batch) -> Result<(), PositionError> {
        let header = &batch.header;
        if header.attributes.is_control() || header.records_count == 0 {
            return Ok(());
        }
        let unreadable =
            || PositionError::Batch { topic: self.log.topic.clone(), offset: header.base_offset };
        let codec = Codec::from_attributes(header.attributes).map_err(|_| unreadable())?;
        let payload =
            decompress_shared(codec, &batch.payload(), UNPACKED_LIMIT_BYTES).map_err(|_| unreadable())?;
        for record in Records::new(payload, header.records_count) {
            let record = record.map_err(|_| unreadable())?;
            let key = record.key.unwrap_or_default();
            let key = String::from_utf8_lossy(&key);
            let value = record.value.map(|value| String::from_utf8_lossy(&value).into_owned());
            entry::apply(state, &key, value.as_deref()).map_err(|source| PositionError::Entry {
                topic: self.log.topic.clone(),
                offset: header.base_offset + i64::from(record.offset_delta),
                source,
            })?;
        }
        Ok(())
    }

    async fn write(&self, entries: Vec<(String, String)>) -> Result<(), PositionError> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(-1);
        for entries in entries.chunks(POSITIONS_PER_BATCH) {
            let mut builder = BatchBuilder::new(BatchOptions::default());
            for (key, value) in entries {
                builder
                    .push(now_ms, Some(key.as_bytes()), Some(value.as_bytes()), &Headers::none())
                    .map_err(|_| PositionError::Encode)?;
            }
            let batch = builder.finish().map_err(|_| PositionError::Encode)?;
            self.log.append(&batch).await.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }
}

impl PositionStore for TopicPositions {
    fn load(&self) -> Storing<'_, StoredState> {
        Box::pin(self.read())
    }

    fn save_producer<'a>(&'a self, origin: &'a str, producer: (i64, i16)) -> Storing<'a, ()> {
        Box::pin(self.write(vec![entry::producer(origin, producer)]))
    }

    fn save(&self, positions: Vec<(PartitionName, Position)>) -> Storing<'_, ()> {
        Box::pin(
            self.write(positions.iter().map(|(name, position)| entry::position(name, position)).collect()),
        )
    }
}
