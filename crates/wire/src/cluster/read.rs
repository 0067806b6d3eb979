//! One fetch of one partition, outside of any session.

use super::log::{malformed, refused, subject, version};
use super::{BrokerError, Cluster, ClusterError, Lane};
use crate::fetch::{self, FetchAnswer, FetchLimits, FetchedPartition, Isolation, TopicIdentity};
use std::time::Duration;

const FETCH_BYTES: i32 = 1 << 20;

/// A stretch of a partition's log to be read.
#[derive(Debug, Clone)]
pub struct Range {
    /// Broker that leads the partition.
    pub leader: i32,
    /// Connection to it.
    pub lane: Lane,
    /// Topic.
    pub topic: TopicIdentity,
    /// Partition number.
    pub partition: i32,
    /// Leader epoch the partition is known by, −1 for none (KIP-320).
    pub leader_epoch: i32,
    /// Offset to read from.
    pub from: i64,
    /// Bytes to read at most; one batch comes whole whatever its size.
    pub max_bytes: i32,
    /// Which records are served.
    pub isolation: Isolation,
}

impl Cluster {
    /// What broker `leader` serves of a partition from offset `from` on, up to 1 MiB or one batch; does not
    /// wait for more.
    ///
    /// # Errors
    /// When the broker does not answer, refuses, or is not the leader.
    pub async fn fetch_once(
        &self,
        leader: i32,
        topic: &TopicIdentity,
        partition: i32,
        from: i64,
        isolation: Isolation,
    ) -> Result<FetchedPartition, ClusterError> {
        let range = Range {
            leader,
            lane: Lane::Control,
            topic: topic.clone(),
            partition,
            leader_epoch: -1,
            from,
            max_bytes: FETCH_BYTES,
            isolation,
        };
        let fetched = self.fetch_range(&range).await?;
        match BrokerError(fetched.error_code) {
            BrokerError::NONE => Ok(fetched),
            code => Err(refused("read", topic, partition, code, None)),
        }
    }

    /// What a broker serves of `range`, or its refusal in [`FetchedPartition::error_code`]; does not wait for more.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses the whole request.
    pub async fn fetch_range(&self, range: &Range) -> Result<FetchedPartition, ClusterError> {
        let Range { leader, lane, topic, partition, leader_epoch, from, max_bytes, isolation } = range;
        let connection = self.connection(*leader, *lane).await?;
        let offered = version(&connection, fetch::API_KEY, fetch::MIN_VERSION, fetch::MAX_VERSION)?;
        let version = if topic.id == crate::primitives::TopicId::ZERO { offered.min(12) } else { offered };
        let limits = FetchLimits {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: *max_bytes,
            partition_max_bytes: *max_bytes,
            isolation: *isolation,
        };
        let wanted = [(topic, *partition, *from)];
        let frame = fetch::encode_once(version, connection.client_id(), &limits, *leader_epoch, &wanted);
        let answer = connection.exchange(frame, Duration::ZERO).await?;
        let answer = FetchAnswer::decode(version, &answer).map_err(|error| malformed(&connection, error))?;
        if answer.error_code != 0 {
            return Err(refused("read", topic, *partition, BrokerError(answer.error_code), None));
        }
        let mut found = answer.into_named().map(|(_, fetched)| fetched);
        found
            .find(|fetched| fetched.partition == *partition)
            .ok_or_else(|| ClusterError::Missing { request: "read", subject: subject(topic, *partition) })
    }
}
