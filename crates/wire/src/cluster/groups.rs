//! Consumer groups: ListGroups (16), OffsetFetch (9), and OffsetCommit (8) as a simple consumer that is no member.

use super::by_topic::{by_topic, topic_name};
use super::coordinator::Coordinated;
use super::{BrokerError, Cluster, ClusterError, Lane, persist};

use crate::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::messages::offset_fetch_request::OffsetFetchRequestGroup;
use crate::messages::offset_fetch_response::OffsetFetchResponse;
use crate::messages::{GroupId, ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest, StrBytes};
use std::sync::Arc;

/// The first version of OffsetFetch that asks for several groups at once (Kafka 3.0).
const SEVERAL_GROUPS_VERSION: i16 = 8;
/// `ApiKeys.OFFSET_FETCH`.
const OFFSET_FETCH: i16 = 9;

/// A group as its coordinator lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// Group id.
    pub id: Arc<str>,
    /// Broker id of its coordinator.
    pub coordinator: i32,
    /// Whether it has members; `None` before Kafka 2.6, which does not say.
    pub has_members: Option<bool>,
    /// `classic`, `consumer` (KIP-848), `share` or `streams`, in lower case; empty before Kafka 3.8, which does not say.
    pub kind: String,
}

/// What a group has committed of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset of the next record to read.
    pub offset: i64,
    /// What the consumer noted with it.
    pub metadata: String,
}

/// The last version that names topics by name; 10 names them by id.
const VERSION: i16 = 9;
/// `OffsetCommitRequest.DEFAULT_GENERATION_ID`: a consumer without a group.
const NO_GENERATION: i32 = -1;
/// Leader epochs of another cluster would make consumers look for a truncation that never was (KIP-320).
const NO_LEADER_EPOCH: i32 = -1;

impl CommittedOffset {
    /// An offset without metadata.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32, offset: i64) -> Self {
        Self { topic: topic.into(), partition, offset, metadata: String::new() }
    }
}

impl Cluster {
    /// The groups whose coordinators are up and that we may DESCRIBE, in no order.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ClusterError> {
        let brokers = self.metadata(Some(&[])).await?;
        let mut groups = Vec::new();
        let mut failure = None;
        for broker in brokers.brokers() {
            let answer = match self.call(broker.node, &ListGroupsRequest::default()).await {
                Ok(answer) => answer,
                // Its groups find another coordinator.
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            if let Err(error) =
                BrokerError(answer.error_code).check("list groups of broker", broker.node, None)
            {
                failure = Some(error);
                continue;
            }
            groups.extend(answer.groups.into_iter().map(|group| ListedGroup {
                id: group.group_id.as_str().into(),
                coordinator: broker.node,
                has_members: match group.group_state.to_ascii_lowercase().as_str() {
                    "" | "unknown" => None,
                    "empty" | "dead" => Some(false),
                    _ => Some(true),
                },
                kind: group.group_type.to_ascii_lowercase(),
            }));
        }
        match failure {
            Some(error) if groups.is_empty() => Err(error),
            _ => Ok(groups),
        }
    }

    /// What `groups`, all of one `coordinator`, have committed, one outcome per group, in order. Offsets of transactions that are
    /// open are waited for: UNSTABLE_OFFSET_COMMIT (88) meanwhile.
    ///
    /// # Errors
    /// When the coordinator does not answer.
    pub async fn committed_offsets(
        &self,
        coordinator: i32,
        groups: &[Arc<str>],
    ) -> Result<Vec<Result<Vec<CommittedOffset>, ClusterError>>, ClusterError> {
        let connection = self.connection(coordinator, Lane::Control).await?;
        let takes_several = connection.version(OFFSET_FETCH, SEVERAL_GROUPS_VERSION, i16::MAX).is_some();
        let chunks = if takes_several { groups.chunks(100) } else { groups.chunks(1) };
        let mut outcomes = Vec::with_capacity(groups.len());
        for chunk in chunks {
            let id = |group: &Arc<str>| GroupId(StrBytes::from_string(group.to_string()));
            let request = OffsetFetchRequest::default().with_require_stable(true);
            let request = if takes_several {
                let all = |group| {
                    OffsetFetchRequestGroup::default()
                        .with_group_id(id(group))
                        .with_member_epoch(-1)
                        .with_topics(None)
                };
                request.with_groups(chunk.iter().map(all).collect())
            } else {
                request.with_group_id(chunk.first().map(id).unwrap_or_default()).with_topics(None)
            };
            let answer = self.call(coordinator, &request).await?;
            outcomes.extend(chunk.iter().map(|group| committed(group, &answer)));
        }
        Ok(outcomes)
    }

    /// What one group has committed, asked of its coordinator; nothing, if there is no such group.
    ///
    /// # Errors
    /// When the coordinator is not known or does not answer, or refuses: then nothing is known of the group.
    pub async fn committed_offsets_of(&self, group: &Arc<str>) -> Result<Vec<CommittedOffset>, ClusterError> {
        let coordinator = self.coordinator(Coordinated::Group, group).await?;
        let outcomes = self.committed_offsets(coordinator, std::slice::from_ref(group)).await?;
        let missing =
            || ClusterError::Missing { request: "fetch the offsets of group", subject: group.to_string() };
        outcomes.into_iter().next().ok_or_else(missing)?
    }

    /// Commits `offsets` for `group`, each with metadata of at most 4096 bytes (`offset.metadata.max.bytes`). One error
    /// per partition, in the broker's order.
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
        offsets: &[CommittedOffset],
    ) -> Result<Vec<(Arc<str>, i32, BrokerError)>, ClusterError> {
        persist(async || self.commit_offsets_once(group, offsets).await).await
    }

    /// The same without trying again: for offsets that are right only now, because somebody else may commit others meanwhile.
    ///
    /// # Errors
    /// When no broker answers, or the coordinator cannot be had.
    pub async fn commit_offsets_once(
        &self,
        group: &str,
        offsets: &[CommittedOffset],
    ) -> Result<Vec<(Arc<str>, i32, BrokerError)>, ClusterError> {
        let partitions = offsets.iter().map(|offset| {
            let committed = OffsetCommitRequestPartition::default()
                .with_partition_index(offset.partition)
                .with_committed_offset(offset.offset)
                .with_committed_leader_epoch(NO_LEADER_EPOCH)
                .with_committed_metadata(Some(StrBytes::from_string(offset.metadata.clone())));
            (offset.topic.clone(), committed)
        });
        let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
            OffsetCommitRequestTopic::default().with_name(topic_name(&topic)).with_partitions(partitions)
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_generation_id_or_member_epoch(NO_GENERATION)
            .with_topics(topics.collect());
        let coordinator = self.coordinator(Coordinated::Group, group).await?;
        let answer = self.call_limited(coordinator, &request, VERSION, std::time::Duration::ZERO).await?;
        let mut results = Vec::with_capacity(offsets.len());
        for answered in answer.topics {
            let topic: Arc<str> = answered.name.as_str().into();
            for partition in answered.partitions {
                let error = BrokerError(partition.error_code);
                // The coordinator is elsewhere or not ready: nothing was committed.
                if error.is_about_coordinator() {
                    error.check("commit offsets of group", group, None)?;
                }
                results.push((topic.clone(), partition.partition_index, error));
            }
        }
        Ok(results)
    }
}

/// What an answer says of `group`, in either of its forms.
fn committed(group: &Arc<str>, answer: &OffsetFetchResponse) -> Result<Vec<CommittedOffset>, ClusterError> {
    const REQUEST: &str = "fetch the offsets of group";
    let mut offsets = Vec::new();
    let mut add = |topic: &str, partition: i32, offset: i64, metadata: Option<&StrBytes>, code: i16| {
        BrokerError(code).check(REQUEST, group, None)?;
        if offset >= 0 {
            let metadata = metadata.map(ToString::to_string).unwrap_or_default();
            offsets.push(CommittedOffset { topic: topic.into(), partition, offset, metadata });
        }
        Ok::<(), ClusterError>(())
    };
    if let Some(answered) = answer.groups.iter().find(|answered| *answered.group_id.0 == **group) {
        BrokerError(answered.error_code).check(REQUEST, group, None)?;
        for topic in &answered.topics {
            for p in &topic.partitions {
                add(&topic.name, p.partition_index, p.committed_offset, p.metadata.as_ref(), p.error_code)?;
            }
        }
        return Ok(offsets);
    }
    BrokerError(answer.error_code).check(REQUEST, group, None)?;
    for topic in &answer.topics {
        for p in &topic.partitions {
            add(&topic.name, p.partition_index, p.committed_offset, p.metadata.as_ref(), p.error_code)?;
        }
    }
    Ok(offsets)
}
