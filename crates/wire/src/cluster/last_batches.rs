//! The batches that logs end with.

use super::log::{malformed, refused, version};
use super::{BrokerError, Cluster, ClusterError, Lane};
use crate::fetch::{
    self, FetchAnswer, FetchLimits, FetchSession, FetchTarget, Isolation, TopicIdentity, uses_topic_ids,
};
use crate::primitives::TopicId;
use crate::records::{Batch, Entry, Walker};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The last batch of one partition.
#[derive(Debug)]
pub struct LastBatch {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// It; `None` when its offset holds nothing any more.
    pub batch: Result<Option<Batch>, BrokerError>,
}

const FETCH_BYTES: i32 = 16 << 20;
const PARTITION_BYTES: i32 = 1 << 20;

impl Cluster {
    /// Reads from broker `leader`, for each of `partitions` (topic, partition, end offset), the batch that holds the offset
    /// before the end, committed or not.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn read_last_batches(
        &self,
        leader: i32,
        partitions: &[(TopicIdentity, i32, i64)],
    ) -> Result<Vec<LastBatch>, ClusterError> {
        let connection = self.connection(leader, Lane::Control).await?;
        let offered = version(&connection, fetch::API_KEY, fetch::MIN_VERSION, fetch::MAX_VERSION)?;
        let all_have_ids = partitions.iter().all(|(topic, ..)| topic.id != TopicId::ZERO);
        let version = if uses_topic_ids(offered) && !all_have_ids { 12 } else { offered };
        let limits = FetchLimits {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            partition_max_bytes: PARTITION_BYTES,
            isolation: Isolation::ReadUncommitted,
        };
        let mut open: BTreeMap<u32, &(TopicIdentity, i32, i64)> = (0u32..).zip(partitions).collect();
        let mut found = Vec::with_capacity(partitions.len());
        // A broker gives a whole batch to the first partition at least: each round ends with fewer.
        while !open.is_empty() {
            let mut session = FetchSession::default();
            for (number, (topic, partition, end)) in &open {
                let target =
                    FetchTarget { fetch_offset: end - 1, current_leader_epoch: -1, last_fetched_epoch: -1 };
                session.want(*number, topic, *partition, target);
            }
            let frame = session.next_request(version, connection.client_id(), &limits);
            let answer = connection.exchange(frame, Duration::ZERO).await?;
            let answer =
                FetchAnswer::decode(version, &answer).map_err(|error| malformed(&connection, error))?;
            let fetched = session.accept(answer);
            let before = open.len();
            let first = open.keys().next().copied();
            for (number, fetched) in
                fetched.map_err(|error| session_refused(partitions, BrokerError(error.0)))?
            {
                let Some((topic, partition, end)) = open.get(&number) else { continue };
                let code = BrokerError(fetched.error_code);
                let batch = if code == BrokerError::NONE { last(fetched.records, *end) } else { Ok(None) };
                let batch = match batch {
                    _ if code != BrokerError::NONE => Err(code),
                    Ok(batch) => Ok(batch),
                    // Cut, or left out for want of room.
                    Err(IsCut) if Some(number) != first || before > 1 => continue,
                    Err(IsCut) => Ok(None),
                };
                found.push(LastBatch { topic: topic.name.clone(), partition: *partition, batch });
                open.remove(&number);
            }
            if open.len() == before {
                // Nothing was whole: one by one then.
                let (number, (topic, partition, end)) = match open.pop_first() {
                    Some(first) => first,
                    None => break,
                };
                let one =
                    self.fetch_once(leader, topic, *partition, end - 1, Isolation::ReadUncommitted).await;
                let batch = match one {
                    Ok(fetched) => Ok(last(fetched.records, *end).unwrap_or(None)),
                    Err(error) => Err(error.broker_error().ok_or(error)?),
                };
                let _ = number;
                found.push(LastBatch { topic: topic.name.clone(), partition: *partition, batch });
            }
        }
        Ok(found)
    }
}

struct IsCut;

/// The batch before `end`.
fn last(records: bytes::Bytes, end: i64) -> Result<Option<Batch>, IsCut> {
    let mut found = None;
    let mut is_cut = records.is_empty();
    for entry in Walker::new(records) {
        match entry {
            Entry::Batch(batch) if batch.header.base_offset < end => found = Some(batch),
            Entry::Partial { .. } => is_cut = found.is_none(),
            _ => break,
        }
    }
    if found.is_none() && is_cut { Err(IsCut) } else { Ok(found) }
}

fn session_refused(partitions: &[(TopicIdentity, i32, i64)], code: BrokerError) -> ClusterError {
    match partitions.first() {
        Some((topic, partition, _)) => refused("read", topic, *partition, code, None),
        None => ClusterError::Missing { request: "read", subject: String::new() },
    }
}
