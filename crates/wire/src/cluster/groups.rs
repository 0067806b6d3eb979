//! Committed offsets of consumer groups: OffsetCommit (8), as a simple consumer that is no member.

use super::by_topic::{by_topic, topic_name};
use super::coordinator::Coordinated;
use super::{BrokerError, Cluster, ClusterError, persist};
use crate::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::messages::{GroupId, OffsetCommitRequest, StrBytes};
use std::sync::Arc;

/// The last version that names topics by name; 10 names them by id.
const VERSION: i16 = 9;
/// `OffsetCommitRequest.DEFAULT_GENERATION_ID`: a consumer without a group.
const NO_GENERATION: i32 = -1;
/// Leader epochs of another cluster would make consumers look for a truncation that never was (KIP-320).
const NO_LEADER_EPOCH: i32 = -1;

impl Cluster {
    /// Commits `offsets` (topic, partition, offset of the next record to read) for `group`, each with `metadata`, of
    /// at most 4096 bytes (`offset.metadata.max.bytes`). One error per partition, in the broker's order.
    ///
    /// The offset is not compared with the log: one beyond its end sends consumers to `auto.offset.reset`. A group
    /// without members takes the commit, and is made if it is not there. Errors of a partition:
    /// UNKNOWN_MEMBER_ID (25) while the group has members, UNKNOWN_TOPIC_OR_PARTITION (3),
    /// GROUP_AUTHORIZATION_FAILED (30) without READ on the group, TOPIC_AUTHORIZATION_FAILED (29) without READ on
    /// the topic, OFFSET_METADATA_TOO_LARGE (12).
    ///
    /// # Errors
    /// When no broker answers, or the coordinator cannot be had within some twenty seconds.
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: &[(Arc<str>, i32, i64)],
        metadata: &str,
    ) -> Result<Vec<(Arc<str>, i32, BrokerError)>, ClusterError> {
        let metadata = StrBytes::from_string(metadata.to_owned());
        let partitions = offsets.iter().map(|(topic, partition, offset)| {
            let committed = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(NO_LEADER_EPOCH)
                .with_committed_metadata(Some(metadata.clone()));
            (topic.clone(), committed)
        });
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            OffsetCommitRequestTopic::default().with_name(topic_name(&topic)).with_partitions(partitions)
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_generation_id_or_member_epoch(NO_GENERATION)
            .with_topics(topics.collect());
        persist(async || {
            let coordinator = self.coordinator(Coordinated::Group, group).await?;
            let answer = self.call_limited(coordinator, &request, VERSION, std::time::Duration::ZERO).await?;
            let mut results = Vec::with_capacity(offsets.len());
            for answered in answer.topics {
                let topic: Arc<str> = answered.name.as_str().into();
                for partition in answered.partitions {
                    let error = BrokerError(partition.error_code);
                    // The coordinator is elsewhere or not ready: nothing was committed, all of it is sent again.
                    if error.is_about_coordinator() {
                        error.check("commit offsets of group", group, None)?;
                    }
                    results.push((topic.clone(), partition.partition_index, error));
                }
            }
            Ok(results)
        })
        .await
    }
}
