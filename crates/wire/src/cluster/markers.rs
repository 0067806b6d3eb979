//! Transaction markers written by a client: WriteTxnMarkers (27), as the admin client's `abortTransaction` does
//! (KIP-664).

use super::{BrokerError, Cluster, ClusterError, Lane};
use crate::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use crate::messages::{ProducerId, StrBytes, TopicName, WriteTxnMarkersRequest};
use std::sync::Arc;

/// Abort markers for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbortMarkers {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// How many: each is an append of its own and takes one offset.
    pub count: u32,
    /// Whose transaction they abort; one without a transaction will do.
    pub producer_id: i64,
    /// Epoch of that producer.
    pub producer_epoch: i16,
    /// Fence: a leader that has seen a marker of this producer with a greater one refuses with
    /// TRANSACTION_COORDINATOR_FENCED.
    pub coordinator_epoch: i32,
}

/// What became of the markers for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkersWritten {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// The broker's error for the last of them; what became of the others it does not say.
    pub error: BrokerError,
}

/// Version 2 (Apache Kafka 4.2) asks for a transaction version that is not ours to know.
const MAX_VERSION: i16 = 1;

impl Cluster {
    /// Whether broker `node` offers the API of this key at all.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    pub async fn supports(&self, node: i32, api_key: i16) -> Result<bool, ClusterError> {
        Ok(self.connection(node, Lane::Control).await?.version(api_key, 0, i16::MAX).is_some())
    }

    /// Appends abort markers on broker `leader`, acknowledged by all in-sync replicas; not idempotent. Callers keep the sum
    /// of the counts to a thousand or so: the broker appends them one by one before it answers.
    ///
    /// Needs CLUSTER_ACTION on the cluster, from Kafka 3.8 ALTER on the cluster is enough.
    ///
    /// # Errors
    /// When the broker does not answer: how many were appended is then not known.
    pub async fn write_abort_markers(
        &self,
        leader: i32,
        markers: &[AbortMarkers],
    ) -> Result<Vec<MarkersWritten>, ClusterError> {
        let entries = markers.iter().flat_map(|marker| {
            let topic = WritableTxnMarkerTopic::default()
                .with_name(TopicName(StrBytes::from_string(marker.topic.to_string())))
                .with_partition_indexes(vec![marker.partition]);
            let entry = WritableTxnMarker::default()
                .with_producer_id(ProducerId(marker.producer_id))
                .with_producer_epoch(marker.producer_epoch)
                .with_transaction_result(false)
                .with_topics(vec![topic])
                .with_coordinator_epoch(marker.coordinator_epoch);
            std::iter::repeat_n(entry, marker.count as usize)
        });
        let request = WriteTxnMarkersRequest::default().with_markers(entries.collect());
        let connection = self.connection(leader, Lane::Control).await?;
        let answer = connection.call_up_to(&request, MAX_VERSION).await?;
        let written = answer.markers.into_iter().flat_map(|marker| marker.topics).flat_map(|topic| {
            let name: Arc<str> = topic.name.as_str().into();
            topic.partitions.into_iter().map(move |written| MarkersWritten {
                topic: name.clone(),
                partition: written.partition_index,
                error: BrokerError(written.error_code),
            })
        });
        Ok(written.collect())
    }
}
