//! A topic of beacons: one partition, compacted, made when it is needed.

use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use verbatim_wire::cluster::{
    BrokerError, Cluster, ClusterError, ErrorClass, NewTopic, PartitionLog, plain_batch,
};

/// Replicas, where the cluster has as many brokers.
const REPLICATION_FACTOR: usize = 3;
/// Records of one batch.
const AT_ONCE: usize = 1000;

/// Where beacons of one kind are written.
#[derive(Debug)]
pub(crate) struct BeaconTopic {
    log: PartitionLog,
    replication_factor: Option<i16>,
    is_there: bool,
}

impl BeaconTopic {
    pub(crate) fn new(cluster: Cluster, name: &str, replication_factor: Option<i16>) -> Self {
        Self { log: PartitionLog::first(cluster, name), replication_factor, is_there: false }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.log.topic
    }

    /// Appends records with the time of now; creates the topic if it is missing.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses; repeating it is harmless.
    pub(crate) async fn append(
        &mut self,
        now_ms: i64,
        records: &[(Bytes, Bytes)],
    ) -> Result<(), ClusterError> {
        if !self.is_there {
            self.create().await?;
            self.is_there = true;
        }
        for records in records.chunks(AT_ONCE) {
            let records = records.iter().map(|(key, value)| (key, Some(value)));
            let batch = plain_batch(now_ms, records)
                .map_err(|_| ClusterError::Missing { request: "encode", subject: self.name().to_string() })?;
            let appended = self.log.append(&batch).await;
            if let Err(error) = appended {
                let is_gone = |code: BrokerError| code == BrokerError::UNKNOWN_TOPIC_OR_PARTITION;
                self.is_there = !error.broker_error().is_some_and(is_gone);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn create(&self) -> Result<(), ClusterError> {
        let cluster = &self.log.cluster;
        let metadata = cluster.metadata(Some(std::slice::from_ref(self.name()))).await?;
        if metadata.topic(self.name()).is_some_and(|topic| topic.error == BrokerError::NONE) {
            return Ok(());
        }
        let brokers = metadata.brokers().len().clamp(1, REPLICATION_FACTOR);
        let factor = self.replication_factor.unwrap_or_else(|| i16::try_from(brokers).unwrap_or(1));
        let topic = NewTopic {
            name: self.name().clone(),
            partitions: 1,
            replication_factor: factor,
            configs: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
        };
        match cluster.create_topic(topic).await {
            // It may be there and not ours to create.
            Err(error) if error.broker_error().is_some_and(|code| code.class() == ErrorClass::Denied) => {
                Ok(())
            }
            other => other,
        }
    }
}

/// Milliseconds since the epoch.
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
