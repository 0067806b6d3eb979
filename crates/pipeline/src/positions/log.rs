//! One partition of a topic of our own, read from the start and appended to.

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError, Lane, persist};
use verbatim_wire::connection::{Cause, ConnectionError};
use verbatim_wire::fetch::{
    self, FetchAnswer, FetchLimits, FetchSession, FetchTarget, Isolation, TopicIdentity,
};
use verbatim_wire::primitives::Malformed;
use verbatim_wire::produce::{self, ProduceAnswer, ProduceBatch};
use verbatim_wire::records::{Batch, Entry, HEADER_BYTES, Walker};

const TIMEOUT_MS: i32 = 15_000;
const FETCH_BYTES: i32 = 1 << 20;

#[derive(Debug)]
pub(super) struct TopicLog {
    pub(super) cluster: Cluster,
    pub(super) topic: Arc<str>,
}

impl TopicLog {
    /// The topic as it is now and its leader.
    async fn located(&self) -> Result<(TopicIdentity, i32), ClusterError> {
        let metadata = self.cluster.metadata(Some(std::slice::from_ref(&self.topic))).await?;
        let topic = metadata.topic(&self.topic);
        let Some(topic) = topic.filter(|topic| topic.error == BrokerError::NONE) else {
            let code = topic.map_or(BrokerError::UNKNOWN_TOPIC_OR_PARTITION, |topic| topic.error);
            return Err(self.refused("find topic", code));
        };
        let leader = topic.partitions.first().map(|p| p.leader).filter(|leader| *leader >= 0);
        let leader =
            leader.ok_or_else(|| ClusterError::NoLeader { topic: self.topic.clone(), partition: 0 })?;
        Ok((topic.identity.clone(), leader))
    }

    fn refused(&self, request: &'static str, code: BrokerError) -> ClusterError {
        ClusterError::Refused { request, subject: self.topic.to_string(), code, message: None }
    }

    /// Appends one batch, acknowledged by all in-sync replicas.
    pub(super) async fn append(&self, batch: &Bytes) -> Result<(), ClusterError> {
        persist(|| self.append_once(batch)).await
    }

    async fn append_once(&self, batch: &Bytes) -> Result<(), ClusterError> {
        let (topic, leader) = self.located().await?;
        let connection = self.cluster.connection(leader, Lane::Control).await?;
        let version = connection.version(produce::API_KEY, produce::MIN_VERSION, produce::MAX_VERSION);
        let version = version.ok_or_else(|| unsupported(connection.address(), produce::API_KEY))?;
        let Some((header, _)) = batch.split_first_chunk::<HEADER_BYTES>() else { return Ok(()) };
        let payload = batch.slice(HEADER_BYTES..);
        let batch = ProduceBatch { topic: &topic, partition: 0, header, payload: &payload };
        let frame = produce::encode(version, connection.client_id(), TIMEOUT_MS, &[batch]);
        let answer = connection.exchange(frame, Duration::ZERO).await?;
        let answer =
            ProduceAnswer::decode(version, &answer).map_err(|e| malformed(connection.address(), e))?;
        let code = answer.partitions.first().map_or(BrokerError(-1), |p| BrokerError(p.error_code));
        if code == BrokerError::NONE { Ok(()) } else { Err(self.refused("write to topic", code)) }
    }

    /// All batches from the log's start to its end as of now.
    pub(super) async fn read(&self) -> Result<Vec<Batch>, ClusterError> {
        persist(|| self.read_once()).await
    }

    async fn read_once(&self) -> Result<Vec<Batch>, ClusterError> {
        let (topic, leader) = self.located().await?;
        let connection = self.cluster.connection(leader, Lane::Control).await?;
        let version = connection.version(fetch::API_KEY, fetch::MIN_VERSION, fetch::MAX_VERSION);
        let version = version.ok_or_else(|| unsupported(connection.address(), fetch::API_KEY))?;
        let limits = FetchLimits {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            partition_max_bytes: FETCH_BYTES,
            isolation: Isolation::ReadUncommitted,
        };
        let mut batches = Vec::new();
        let mut offset = 0;
        loop {
            let mut session = FetchSession::default();
            let from = FetchTarget { fetch_offset: offset, current_leader_epoch: -1, last_fetched_epoch: -1 };
            session.want(0, &topic, 0, from);
            let frame = session.next_request(version, connection.client_id(), &limits);
            let answer = connection.exchange(frame, Duration::ZERO).await?;
            let answer =
                FetchAnswer::decode(version, &answer).map_err(|e| malformed(connection.address(), e))?;
            let fetched = session.accept(answer).map_err(|e| self.refused("read topic", BrokerError(e.0)))?;
            let Some((_, partition)) = fetched.into_iter().next() else {
                return Err(ClusterError::Missing { request: "read topic", subject: self.topic.to_string() });
            };
            let code = BrokerError(partition.error_code);
            if code != BrokerError::NONE {
                return Err(self.refused("read topic", code));
            }
            let before = offset;
            for entry in Walker::new(partition.records) {
                if let Entry::Batch(batch) = entry {
                    offset = offset.max(batch.header.next_offset());
                    batches.push(batch);
                }
            }
            if offset >= partition.high_watermark || offset == before {
                return Ok(batches);
            }
        }
    }
}

fn unsupported(address: &str, api_key: i16) -> ClusterError {
    Arc::new(ConnectionError { address: address.into(), cause: Cause::Unsupported { api_key } }).into()
}

fn malformed(address: &str, error: Malformed) -> ClusterError {
    let io = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    Arc::new(ConnectionError { address: address.into(), cause: Cause::Io(io) }).into()
}
