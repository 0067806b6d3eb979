//! OffsetFetch, key 9, versions 1 to 9.
//!
//! * An unknown group or partition has offset −1 and no error. 2+: null topics mean all.
//! * 7+: `require_stable` is ignored: offsets of open transactions are not shown, nor do they block.
//! * 8+: several groups in one request.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;

/// First version with several groups.
const BATCHED_VERSION: i16 = 8;

pub(crate) struct OffsetFetch;

impl Api for OffsetFetch {
    type Request = OffsetFetchRequest;
    type Response = OffsetFetchResponse;

    async fn answer(call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
        let state = call.core.state();
        respond(&request, call.version, |group| match state.check_coordinator(call.node, &group.group_id) {
            Ok(()) => committed(&state, group),
            Err(code) => refused(group, code),
        })
    }

    fn refuse(request: &OffsetFetchRequest, version: i16, code: ErrorCode) -> OffsetFetchResponse {
        respond(request, version, |group| refused(group, code))
    }
}

/// Everything is answered in the shape of version 8, and put into the older one when asked.
fn respond(
    request: &OffsetFetchRequest,
    version: i16,
    answer: impl Fn(&OffsetFetchRequestGroup) -> OffsetFetchResponseGroup,
) -> OffsetFetchResponse {
    if version >= BATCHED_VERSION {
        return OffsetFetchResponse::default().with_groups(request.groups.iter().map(answer).collect());
    }
    let topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| {
            OffsetFetchRequestTopics::default()
                .with_name(topic.name.clone())
                .with_partition_indexes(topic.partition_indexes.clone())
        });
        topics.collect()
    });
    let group =
        OffsetFetchRequestGroup::default().with_group_id(request.group_id.clone()).with_topics(topics);
    let answered = answer(&group);
    let topics = answered.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|it| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(it.partition_index)
                .with_committed_offset(it.committed_offset)
                .with_committed_leader_epoch(it.committed_leader_epoch)
                .with_metadata(it.metadata)
                .with_error_code(it.error_code)
        });
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect()).with_error_code(answered.error_code)
}

fn refused(group: &OffsetFetchRequestGroup, code: ErrorCode) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone()).with_error_code(code.0)
}

fn committed(state: &State, group: &OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let offsets = state.groups.get(group.group_id.as_str()).map(|group| &group.offsets);
    let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    match &group.topics {
        Some(topics) => {
            for topic in topics {
                let indexes = topic.partition_indexes.iter().copied();
                wanted.entry(topic.name.to_string()).or_default().extend(indexes);
            }
        }
        None => {
            for (topic, partition) in offsets.into_iter().flat_map(BTreeMap::keys) {
                wanted.entry(topic.clone()).or_default().push(*partition);
            }
        }
    }
    let topics = wanted.into_iter().map(|(topic, partitions)| {
        let partitions = partitions.into_iter().map(|index| {
            let found = offsets.and_then(|offsets| offsets.get(&(topic.clone(), index)));
            let metadata = found.map(|it| it.metadata.clone()).unwrap_or_default();
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(found.map_or(-1, |it| it.offset))
                .with_committed_leader_epoch(found.map_or(-1, |it| it.leader_epoch))
                .with_metadata(Some(StrBytes::from_string(metadata)))
        });
        OffsetFetchResponseTopics::default()
            .with_partitions(partitions.collect())
            .with_name(TopicName(StrBytes::from_string(topic.clone())))
    });
    OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone()).with_topics(topics.collect())
}
