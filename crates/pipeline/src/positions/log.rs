//! The one partition of the state topic, read from the start and appended to.

use bytes::Bytes;
use std::sync::Arc;
use verbatim_wire::cluster::{Appended, BrokerError, Cluster, ClusterError, persist};
use verbatim_wire::fetch::TopicIdentity;
use verbatim_wire::records::Batch;

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
            let subject = self.topic.to_string();
            return Err(ClusterError::Refused { request: "find topic", subject, code, message: None });
        };
        let leader = topic.partitions.first().map(|p| p.leader).filter(|leader| *leader >= 0);
        let leader =
            leader.ok_or_else(|| ClusterError::NoLeader { topic: self.topic.clone(), partition: 0 })?;
        Ok((topic.identity.clone(), leader))
    }

    /// Appends one batch, acknowledged by all in-sync replicas.
    pub(super) async fn append(&self, batch: &Bytes) -> Result<Appended, ClusterError> {
        persist(async || {
            let (topic, leader) = self.located().await?;
            self.cluster.append(leader, &topic, 0, batch).await
        })
        .await
    }

    /// All batches from offset `from` to the log's end as of now; the first may begin below it.
    pub(super) async fn read(&self, from: i64) -> Result<Vec<Batch>, ClusterError> {
        persist(async || {
            let (topic, leader) = self.located().await?;
            let mut batches = Vec::new();
            let collect = |batch| {
                batches.push(batch);
                true
            };
            self.cluster.read_log(leader, &topic, 0, from, collect).await?;
            Ok(batches)
        })
        .await
    }
}
