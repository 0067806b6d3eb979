//! One partition's log, for small things: read a stretch, append a batch. Bulk copying has its own path.

use super::{BrokerError, Cluster, ClusterError, Lane};
use crate::connection::{Cause, Connection, ConnectionError};
use crate::fetch::{self, FetchAnswer, FetchLimits, FetchSession, FetchTarget, Isolation, TopicIdentity};
use crate::primitives::Malformed;
use crate::produce::{self, ProduceAnswer, ProduceBatch};
use crate::records::{Batch, Entry, HEADER_BYTES, Walker};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT_MS: i32 = 15_000;
const FETCH_BYTES: i32 = 1 << 20;

/// What became of an appended batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// The time the broker stamped it with, in milliseconds since the epoch; −1 where the topic keeps the
    /// producers' times (`message.timestamp.type=CreateTime`).
    pub log_append_time_ms: i64,
}

impl Cluster {
    /// Hands every whole batch of format 2 from offset `from` to the high watermark to `each`, until that
    /// returns `false`. The first batch may begin below `from`. `leader` is a broker and the epoch it is known to lead in, −1 for
    /// none: then a follower would answer, too (KIP-392).
    ///
    /// # Errors
    /// When the broker does not answer, refuses, or is not the leader.
    pub async fn read_log(
        &self,
        (leader, leader_epoch): (i32, i32),
        topic: &TopicIdentity,
        partition: i32,
        from: i64,
        mut each: impl FnMut(Batch) -> bool,
    ) -> Result<(), ClusterError> {
        let connection = self.connection(leader, Lane::Control).await?;
        let offered = version(&connection, fetch::API_KEY, fetch::MIN_VERSION, fetch::MAX_VERSION)?;
        let version = if topic.id == crate::primitives::TopicId::ZERO { offered.min(12) } else { offered };
        let limits = FetchLimits {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            partition_max_bytes: FETCH_BYTES,
            isolation: Isolation::ReadUncommitted,
        };
        let refused = |code| refused("read", topic, partition, code, None);
        let mut offset = from;
        loop {
            let mut session = FetchSession::default();
            let (current_leader_epoch, last_fetched_epoch) = (leader_epoch, -1);
            let target = FetchTarget { fetch_offset: offset, current_leader_epoch, last_fetched_epoch };
            session.want(0, topic, partition, target);
            let frame = session.next_request(version, connection.client_id(), &limits);
            let answer = connection.exchange(frame, Duration::ZERO).await?;
            let answer =
                FetchAnswer::decode(version, &answer).map_err(|error| malformed(&connection, error))?;
            let fetched = session.accept(answer).map_err(|error| refused(BrokerError(error.0)))?;
            let Some((_, fetched)) = fetched.into_iter().next() else {
                return Err(ClusterError::Missing { request: "read", subject: subject(topic, partition) });
            };
            match BrokerError(fetched.error_code) {
                BrokerError::NONE => {}
                code => return Err(refused(code)),
            }
            let before = offset;
            for entry in Walker::new(fetched.records) {
                if let Entry::Batch(batch) = entry {
                    offset = offset.max(batch.header.next_offset());
                    if !each(batch) {
                        return Ok(());
                    }
                }
            }
            if offset >= fetched.high_watermark || offset == before {
                return Ok(());
            }
        }
    }

    /// Appends one whole batch, acknowledged by all in-sync replicas.
    ///
    /// # Errors
    /// When the broker does not answer, refuses, or is not the leader.
    pub async fn append(
        &self,
        leader: i32,
        topic: &TopicIdentity,
        partition: i32,
        batch: &Bytes,
    ) -> Result<Appended, ClusterError> {
        let connection = self.connection(leader, Lane::Control).await?;
        let offered = version(&connection, produce::API_KEY, produce::MIN_VERSION, produce::MAX_VERSION)?;
        let version = if topic.id == crate::primitives::TopicId::ZERO { offered.min(12) } else { offered };
        let missing = || ClusterError::Missing { request: "write", subject: subject(topic, partition) };
        let (header, _) = batch.split_first_chunk::<HEADER_BYTES>().ok_or_else(missing)?;
        let payload = batch.slice(HEADER_BYTES..);
        let batch = ProduceBatch::in_memory(topic, partition, header, &payload);
        let frame = produce::encode(version, connection.client_id(), TIMEOUT_MS, std::iter::once(batch));
        let answer = connection.exchange(frame, Duration::ZERO).await?;
        let answer =
            ProduceAnswer::decode(version, &answer).map_err(|error| malformed(&connection, error))?;
        let produced = answer.partitions.into_iter().next().ok_or_else(missing)?;
        match BrokerError(produced.error_code) {
            BrokerError::NONE => Ok(Appended {
                base_offset: produced.base_offset,
                log_append_time_ms: produced.log_append_time_ms,
            }),
            code => {
                let message = produced.error_message.map(|text| String::from_utf8_lossy(&text).into_owned());
                Err(refused("write", topic, partition, code, message))
            }
        }
    }
}

pub(super) fn version(
    connection: &Connection,
    api_key: i16,
    min: i16,
    max: i16,
) -> Result<i16, ClusterError> {
    let unsupported = || failed(connection, Cause::Unsupported { api_key });
    connection.version(api_key, min, max).ok_or_else(unsupported)
}

pub(super) fn malformed(connection: &Connection, error: Malformed) -> ClusterError {
    failed(connection, Cause::Io(io::Error::new(io::ErrorKind::InvalidData, error)))
}

fn failed(connection: &Connection, cause: Cause) -> ClusterError {
    Arc::new(ConnectionError { address: connection.address().into(), cause }).into()
}

pub(super) fn refused(
    request: &'static str,
    topic: &TopicIdentity,
    partition: i32,
    code: BrokerError,
    message: Option<String>,
) -> ClusterError {
    ClusterError::Refused { request, subject: subject(topic, partition), code, message }
}

pub(super) fn subject(topic: &TopicIdentity, partition: i32) -> String {
    format!("partition {partition} of topic {}", topic.name)
}
