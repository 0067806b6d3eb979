//! OffsetCommit, key 8, versions 2 to 9.
//!
//! * A partition that does not exist is refused; the offset itself is not compared with the log, as in Kafka.
//! * Without a generation (−1) only an empty group can be committed for. Offsets never expire here; they go with
//!   their topic.

use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use tokio::time::Instant;

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::groups::offsets::CommittedOffset;

pub(crate) struct OffsetCommit;

impl Api for OffsetCommit {
    type Request = OffsetCommitRequest;
    type Response = OffsetCommitResponse;

    async fn answer(call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
        let mut state = call.core.state();
        if let Err(code) = check(call, &mut state, &request) {
            return Self::refuse(&request, call.version, code);
        }
        respond(&request, |topic, partition| {
            if state.topics.partition(topic, partition.partition_index).is_err() {
                return ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            }
            let metadata = partition.committed_metadata.as_deref();
            let offset =
                CommittedOffset::new(partition.committed_offset, partition.committed_leader_epoch, metadata);
            let offset = match offset {
                Ok(offset) => offset,
                Err(code) => return code,
            };
            let group = state.groups.entry(request.group_id.to_string()).or_default();
            group.offsets.insert((topic.to_owned(), partition.partition_index), offset);
            ErrorCode::NONE
        })
    }

    fn refuse(request: &OffsetCommitRequest, _: i16, code: ErrorCode) -> OffsetCommitResponse {
        respond(request, |_, _| code)
    }
}

fn check(call: &Call, state: &mut State, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
    state.check_coordinator(call.node, &request.group_id)?;
    let generation = request.generation_id_or_member_epoch;
    match state.groups.get_mut(request.group_id.as_str()) {
        Some(group) => group.check_commit(&request.member_id, generation, Instant::now()),
        None if generation >= 0 => Err(ErrorCode::ILLEGAL_GENERATION),
        None => Ok(()),
    }
}

fn respond(
    request: &OffsetCommitRequest,
    mut commit: impl FnMut(&str, &OffsetCommitRequestPartition) -> ErrorCode,
) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(commit(&topic.name, partition).0)
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}
