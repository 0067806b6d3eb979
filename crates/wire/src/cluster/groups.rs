//! Offsets of consumer groups: FindCoordinator (10), OffsetCommit (8).

use super::offsets::{by_topic_with, topic_name};
use super::{BrokerError, Cluster, ClusterError, Lane, persist};
use crate::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::messages::{FindCoordinatorRequest, GroupId, OffsetCommitRequest, StrBytes};
use std::sync::Arc;

/// `FindCoordinatorRequest.CoordinatorType.GROUP`.
const GROUP: i8 = 0;
/// The last version that names one key, outside of a list.
const FIND_ONE: i16 = 3;
/// The last version that names topics.
const COMMIT_BY_NAME: i16 = 9;

impl Cluster {
    /// The broker that coordinates consumer group `group`.
    ///
    /// # Errors
    /// When no broker answers, or it is refused.
    pub async fn group_coordinator(&self, group: &str) -> Result<i32, ClusterError> {
        let key = StrBytes::from_string(group.to_owned());
        let brokers = self.brokers();
        let mut last = None;
        for broker in brokers.brokers() {
            let connection = match self.connection(broker.node, Lane::Control).await {
                Ok(connection) => connection,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            let request = FindCoordinatorRequest::default().with_key(key.clone()).with_key_type(GROUP);
            let answer = connection.call_up_to(&request, FIND_ONE).await?;
            BrokerError(answer.error_code).check("find the coordinator of group", group, None)?;
            return Ok(answer.node_id.0);
        }
        Err(last.unwrap_or(ClusterError::UnknownBroker { node: -1 }))
    }

    /// Commits offsets (topic, partition, next offset to read) for a group without members, with `metadata` beside each;
    /// answers per partition.
    ///
    /// # Errors
    /// When no coordinator is found, or it does not answer.
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: &[(Arc<str>, i32, i64)],
        metadata: &str,
    ) -> Result<Vec<(Arc<str>, i32, BrokerError)>, ClusterError> {
        let metadata = StrBytes::from_string(metadata.to_owned());
        let topics = by_topic_with(offsets).into_iter().map(|(topic, partitions)| {
            let committed = |(partition, offset)| {
                OffsetCommitRequestPartition::default()
                    .with_partition_index(partition)
                    .with_committed_offset(offset)
                    .with_committed_leader_epoch(-1)
                    .with_committed_metadata(Some(metadata.clone()))
            };
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(partitions.into_iter().map(committed).collect())
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics.collect());
        persist(async || {
            let coordinator = self.group_coordinator(group).await?;
            let connection = self.connection(coordinator, Lane::Control).await?;
            let answer = connection.call_up_to(&request, COMMIT_BY_NAME).await?;
            let mut outcomes = Vec::new();
            for topic in answer.topics {
                let name: Arc<str> = topic.name.as_str().into();
                for partition in topic.partitions {
                    let code = BrokerError(partition.error_code);
                    if [14, 15, 16].contains(&code.0) {
                        code.check("commit offsets of group", group, None)?;
                    }
                    outcomes.push((name.clone(), partition.partition_index, code));
                }
            }
            Ok(outcomes)
        })
        .await
    }
}
