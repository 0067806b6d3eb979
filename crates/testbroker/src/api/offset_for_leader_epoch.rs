//! OffsetForLeaderEpoch, key 23, versions 2 to 4.
//!
//! * The largest known epoch not above the one asked for, and where it ends; (−1, −1) when the broker cannot tell.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::api::{Api, Call};
use crate::error::ErrorCode;

pub(crate) struct OffsetForLeaderEpoch;

impl Api for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;
    type Response = OffsetForLeaderEpochResponse;

    async fn answer(call: &Call, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
        let mut state = call.core.state();
        respond(&request, |topic, wanted| {
            let partition = state.led(call.node, topic, wanted.partition, wanted.current_leader_epoch)?;
            let log = &partition.log;
            Ok(log.epochs.end_of(wanted.leader_epoch, log.end()).unwrap_or((-1, -1)))
        })
    }

    fn refuse(
        request: &OffsetForLeaderEpochRequest,
        _: i16,
        code: ErrorCode,
    ) -> OffsetForLeaderEpochResponse {
        respond(request, |_, _| Err(code))
    }
}

fn respond(
    request: &OffsetForLeaderEpochRequest,
    mut look_up: impl FnMut(&str, &OffsetForLeaderPartition) -> Result<(i32, i64), ErrorCode>,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let outcome = look_up(&topic.topic, wanted);
            let (epoch, end_offset) = outcome.unwrap_or((-1, -1));
            EpochEndOffset::default()
                .with_partition(wanted.partition)
                .with_error_code(outcome.err().unwrap_or(ErrorCode::NONE).0)
                .with_leader_epoch(epoch)
                .with_end_offset(end_offset)
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
