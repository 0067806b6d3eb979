//! Abort markers as such, without a transaction: WriteTxnMarkers (27), as the admin client of KIP-664 sends it.
//!
//! A marker whose producer id has no open transaction on the partition changes nothing but the log: a control
//! batch of one offset that no consumer is ever given (`ProducerAppendInfo.appendEndTxnMarker`).

use super::by_topic::topic_name;
use super::{BrokerError, CHANGE_TIMEOUT, Cluster, ClusterError};
use crate::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use crate::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use std::sync::Arc;

/// From version 2 on (Kafka 4.2) a marker may have to carry a newer epoch than the last one (KIP-1228).
const VERSION: i16 = 1;

/// Markers for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbortMarkers {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// How many: each takes one offset.
    pub count: u32,
    /// Producer id they carry. Never one that has a transaction of its own.
    pub producer_id: i64,
    /// Its epoch; a lower one than the partition has seen of that id is refused, a higher one fences the id's
    /// older producers.
    pub producer_epoch: i16,
    /// Lower than the last one the partition has seen of that producer id, it is refused.
    pub coordinator_epoch: i32,
}

/// What became of the markers of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkersWritten {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// The broker's error for the *last* marker of this partition and producer id.
    pub error: BrokerError,
}

impl Cluster {
    /// Has broker `leader` append `markers` in one request, in order, acknowledged by all in-sync replicas. One
    /// result per entry, in order; an entry with count 0 is not sent and has no error.
    ///
    /// Brokers answer per producer id and partition, later markers over earlier ones: *no* error means only that the
    /// last one was written, and an error not that none was (a leader of a moment ago may refuse the first ones).
    /// Only the log end tells how many ([`Cluster::log_ends`]), and after a lost answer only once the request
    /// cannot be queued any more.
    ///
    /// Keep the sum of all counts at 1000 or less: each marker is an append of its own, some 25 µs of the leader's
    /// time and some 40 bytes plus the topic's name in the request. An answer is waited for at least 30 seconds,
    /// `request.timeout.ms` of the broker.
    ///
    /// Errors of a partition: TRANSACTION_COORDINATOR_FENCED (52), INVALID_PRODUCER_EPOCH (47),
    /// CLUSTER_AUTHORIZATION_FAILED (31) without CLUSTER_ACTION or (from Kafka 3.8 on) ALTER on the cluster, and
    /// those of any append. A broker that leads a partition only since a moment ago may answer
    /// UNKNOWN_TOPIC_OR_PARTITION (3) for it.
    ///
    /// # Errors
    /// When the broker does not answer; one whose [`ClusterError::unsupported_api`] is 27 when it does not offer
    /// version 1 (before Kafka 2.7, and some that are not Apache Kafka).
    pub async fn write_abort_markers(
        &self,
        leader: i32,
        markers: &[AbortMarkers],
    ) -> Result<Vec<MarkersWritten>, ClusterError> {
        let mut entries = Vec::new();
        for asked in markers {
            let entry = entry(asked);
            entries.extend((0..asked.count).map(|_| entry.clone()));
        }
        if entries.is_empty() {
            return Ok(markers.iter().map(|asked| written(asked, BrokerError::NONE)).collect());
        }
        let request = WriteTxnMarkersRequest::default().with_markers(entries);
        let answer = self.call_limited(leader, &request, VERSION, CHANGE_TIMEOUT).await?;
        let outcome = |asked: &AbortMarkers| {
            if asked.count == 0 {
                return Ok(written(asked, BrokerError::NONE));
            }
            let subject = || format!("partition {} of topic {}", asked.partition, asked.topic);
            let missing = || ClusterError::Missing { request: "write markers to", subject: subject() };
            let error = reported(&answer, asked).or_else(|| refusal(&answer));
            error.map(|error| written(asked, error)).ok_or_else(missing)
        };
        markers.iter().map(outcome).collect()
    }
}

/// What the answer says of one partition and producer id.
fn reported(answer: &WriteTxnMarkersResponse, asked: &AbortMarkers) -> Option<BrokerError> {
    let results = answer.markers.iter().filter(|result| result.producer_id.0 == asked.producer_id);
    let topics = results.flat_map(|result| &result.topics).filter(|topic| **topic.name == *asked.topic);
    let mut partitions = topics.flat_map(|topic| &topic.partitions);
    let found = partitions.find(|result| result.partition_index == asked.partition);
    found.map(|result| BrokerError(result.error_code))
}

/// The error of a request that was refused as a whole: its answer names, of each producer id, only the partition of
/// the last marker (`WriteTxnMarkersRequest.getErrorResponse`).
fn refusal(answer: &WriteTxnMarkersResponse) -> Option<BrokerError> {
    let topics = answer.markers.iter().flat_map(|result| &result.topics);
    let mut errors = topics.flat_map(|topic| &topic.partitions).map(|result| BrokerError(result.error_code));
    let first = errors.next().filter(|first| *first != BrokerError::NONE)?;
    errors.all(|error| error == first).then_some(first)
}

fn entry(asked: &AbortMarkers) -> WritableTxnMarker {
    let topic = WritableTxnMarkerTopic::default()
        .with_name(topic_name(&asked.topic))
        .with_partition_indexes(vec![asked.partition]);
    WritableTxnMarker::default()
        .with_producer_id(asked.producer_id.into())
        .with_producer_epoch(asked.producer_epoch)
        .with_transaction_result(false)
        .with_topics(vec![topic])
        .with_coordinator_epoch(asked.coordinator_epoch)
}

fn written(asked: &AbortMarkers, error: BrokerError) -> MarkersWritten {
    MarkersWritten { topic: asked.topic.clone(), partition: asked.partition, error }
}
