//! ListOffsets, key 2, versions 1 to 10.
//!
//! * Timestamps: −1 latest (last stable offset for read_committed), −2 earliest, −3 the record with the largest time,
//!   −4 earliest local (as earliest), −5 latest tiered (none); others the first record at or after that time.
//! * Times inside a compressed batch are not known: its first offset is given.
//! * 4+: leader epochs, checked and returned.

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::log::time::TimedOffset;

/// First version with leader epochs.
const EPOCH_VERSION: i16 = 4;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

pub(crate) struct ListOffsets;

impl Api for ListOffsets {
    type Request = ListOffsetsRequest;
    type Response = ListOffsetsResponse;

    async fn answer(call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let read_committed = request.isolation_level == 1;
        let mut state = call.core.state();
        let answered = |topic: &str, partition: &ListOffsetsPartition| {
            let found = look_up(call.node, &mut state, topic, partition, read_committed);
            match found {
                Ok(found) if call.version < EPOCH_VERSION => found.with_leader_epoch(-1),
                Ok(found) => found,
                Err(code) => refused(partition, code),
            }
        };
        respond(&request, answered)
    }

    fn refuse(request: &ListOffsetsRequest, _: i16, code: ErrorCode) -> ListOffsetsResponse {
        respond(request, |_, partition| refused(partition, code))
    }
}

fn respond(
    request: &ListOffsetsRequest,
    mut answer: impl FnMut(&str, &ListOffsetsPartition) -> ListOffsetsPartitionResponse,
) -> ListOffsetsResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| answer(&topic.name, partition));
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn refused(partition: &ListOffsetsPartition, code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse::default()
        .with_partition_index(partition.partition_index)
        .with_error_code(code.0)
        .with_timestamp(-1)
        .with_offset(-1)
}

fn look_up(
    node: i32,
    state: &mut State,
    topic: &str,
    wanted: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let partition = state.led(node, topic, wanted.partition_index, wanted.current_leader_epoch)?;
    let log = &partition.log;
    let latest = if read_committed { log.last_stable_offset() } else { log.high_watermark() };
    let at = |offset| Some(TimedOffset { timestamp_ms: -1, offset });
    let found = match wanted.timestamp {
        LATEST => at(latest),
        EARLIEST | EARLIEST_LOCAL => at(log.start()),
        MAX_TIMESTAMP => log.offset_of_max_timestamp(),
        LATEST_TIERED => None,
        timestamp => log.offset_for_timestamp(timestamp).filter(|found| found.offset < latest),
    };
    let response = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
    Ok(match found {
        None => response.with_timestamp(-1).with_offset(-1),
        Some(found) => {
            let epoch =
                if wanted.timestamp == LATEST { partition.leader_epoch } else { log.epochs.at(found.offset) };
            response.with_timestamp(found.timestamp_ms).with_offset(found.offset).with_leader_epoch(epoch)
        }
    })
}
