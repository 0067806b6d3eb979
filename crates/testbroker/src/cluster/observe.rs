//! What a test can see of a cluster without asking a broker.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::cluster::builder::TestCluster;
use crate::error::ErrorCode;
use crate::faults::rules::SeenRequest;
use crate::groups::offsets::CommittedOffset;
use crate::log::batch::StoredBatch;
use crate::log::producers::ProducerState;
use crate::topics::topic::Partition;

impl TestCluster {
    /// The last 65,536 requests, oldest first, those that were refused included.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.core.faults().seen()
    }

    /// Forgets the requests seen so far.
    pub fn clear_requests(&self) {
        self.core.faults().forget_seen();
    }

    /// All batches of a partition, header and payload as a fetch would deliver them.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`; so for all methods below.
    pub fn log(&self, topic: &str, partition: i32) -> Result<Vec<Bytes>, ErrorCode> {
        self.look(topic, partition, |partition| partition.log.batches().map(StoredBatch::to_bytes).collect())
    }

    /// First offset that can be fetched.
    pub fn log_start(&self, topic: &str, partition: i32) -> Result<i64, ErrorCode> {
        self.look(topic, partition, |partition| partition.log.start())
    }

    /// Offset the next record gets.
    pub fn log_end(&self, topic: &str, partition: i32) -> Result<i64, ErrorCode> {
        self.look(topic, partition, |partition| partition.log.end())
    }

    /// End of what read_uncommitted sees: the log end, unless it is held back.
    pub fn high_watermark(&self, topic: &str, partition: i32) -> Result<i64, ErrorCode> {
        self.look(topic, partition, |partition| partition.log.high_watermark())
    }

    /// End of what read_committed sees.
    pub fn last_stable_offset(&self, topic: &str, partition: i32) -> Result<i64, ErrorCode> {
        self.look(topic, partition, |partition| partition.log.last_stable_offset())
    }

    /// Bytes the partition holds.
    pub fn log_bytes(&self, topic: &str, partition: i32) -> Result<usize, ErrorCode> {
        self.look(topic, partition, |partition| partition.log.bytes())
    }

    /// Leader and leader epoch.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<(Option<i32>, i32), ErrorCode> {
        self.look(topic, partition, |partition| (partition.leader, partition.leader_epoch))
    }

    /// What the partition remembers of each producer id.
    pub fn producer_states(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<BTreeMap<i64, ProducerState>, ErrorCode> {
        let copied = |(id, state): (&i64, &ProducerState)| (*id, state.clone());
        self.look(topic, partition, |partition| partition.log.producers.iter().map(copied).collect())
    }

    /// Topic names.
    pub fn topics(&self) -> Vec<String> {
        self.core.state().topics.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Number of partitions; `None` for an unknown topic.
    pub fn partitions(&self, topic: &str) -> Option<usize> {
        self.core.state().topics.topic(topic).map(|topic| topic.partitions.len())
    }

    /// Committed offsets of a group, by topic and partition.
    pub fn group_offsets(&self, group: &str) -> BTreeMap<(String, i32), CommittedOffset> {
        self.core.state().groups.get(group).map(|group| group.offsets.clone()).unwrap_or_default()
    }

    /// The broker that coordinates a group or transactional id.
    pub fn coordinator(&self, key: &str) -> Option<i32> {
        self.core.state().coordinator(key)
    }

    /// The cluster's time in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.core.clock.now_ms()
    }

    fn look<T>(
        &self,
        topic: &str,
        partition: i32,
        look: impl FnOnce(&Partition) -> T,
    ) -> Result<T, ErrorCode> {
        self.core.state().topics.partition(topic, partition).map(look)
    }
}
