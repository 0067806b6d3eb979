//! Filling logs without a client.

use bytes::Bytes;

use crate::cluster::builder::TestCluster;
use crate::error::ErrorCode;
use crate::log::batch::StoredBatch;
use crate::log::validate::examine;
use crate::records::marker::Marker;

/// Stands for "the newest Produce version" in [`examine`].
const NEWEST_PRODUCE: i16 = 13;

impl TestCluster {
    /// Appends one batch as if a producer had sent it, checks included; transactional batches need no coordinator.
    /// Returns its base offset.
    ///
    /// # Errors
    /// What `Produce` would answer.
    pub fn append(&self, topic: &str, partition: i32, batch: &Bytes) -> Result<i64, ErrorCode> {
        let examined = examine(Some(batch), NEWEST_PRODUCE)?;
        let mut state = self.core.state();
        let limits = state.topics.topic(topic).map(|topic| topic.limits.clone());
        let limits = limits.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let partition = state.topics.partition_mut(topic, partition)?;
        let now_ms = self.core.clock.now_ms();
        let epoch = partition.leader_epoch;
        let appended = partition.log.append_produced(&examined, &limits, epoch, now_ms)?;
        let leader = partition.leader;
        drop(state);
        self.core.changed.notify_waiters_at(leader);
        Ok(appended.base_offset)
    }

    /// Stores one batch as it is, unchecked, at the offset in its header, which may not lie below the log end: a log
    /// copied from elsewhere, or a broken one.
    ///
    /// # Errors
    /// `INVALID_RECORD` when there is no whole header, `OFFSET_OUT_OF_RANGE` below the log end,
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn append_raw(&self, topic: &str, partition: i32, batch: &Bytes) -> Result<(), ErrorCode> {
        let (stored, header) = StoredBatch::split(batch).ok_or(ErrorCode::INVALID_RECORD)?;
        let mut state = self.core.state();
        let partition = state.topics.partition_mut(topic, partition)?;
        if header.base_offset < partition.log.end() {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        partition.log.push(stored);
        drop(state);
        self.core.changed.notify_waiters();
        Ok(())
    }

    /// Lets an empty partition begin at `offset`, as after deleting all that was before.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn begin_at(&self, topic: &str, partition: i32, offset: i64) -> Result<(), ErrorCode> {
        self.core.state().topics.partition_mut(topic, partition)?.log.begin_at(offset);
        Ok(())
    }

    /// Appends a commit marker; returns its offset.
    ///
    /// # Errors
    /// What `WriteTxnMarkers` would answer.
    pub fn commit(&self, topic: &str, partition: i32, producer: (i64, i16)) -> Result<i64, ErrorCode> {
        self.end(topic, partition, producer, true)
    }

    /// Appends an abort marker; returns its offset.
    ///
    /// # Errors
    /// What `WriteTxnMarkers` would answer.
    pub fn abort(&self, topic: &str, partition: i32, producer: (i64, i16)) -> Result<i64, ErrorCode> {
        self.end(topic, partition, producer, false)
    }

    /// A producer id nobody has yet, as `InitProducerId` gives it; its epoch is 0.
    pub fn new_producer_id(&self) -> i64 {
        self.core.state().allocate_producer_id()
    }

    fn end(&self, topic: &str, partition: i32, producer: (i64, i16), commit: bool) -> Result<i64, ErrorCode> {
        let marker =
            Marker { producer_id: producer.0, producer_epoch: producer.1, coordinator_epoch: 0, commit };
        let now_ms = self.core.clock.now_ms();
        let mut state = self.core.state();
        let partition = state.topics.partition_mut(topic, partition)?;
        let epoch = partition.leader_epoch;
        let offset = partition.log.append_marker(marker, epoch, now_ms)?;
        drop(state);
        self.core.changed.notify_waiters();
        Ok(offset)
    }
}
