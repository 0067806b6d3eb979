//! DeleteRecords, key 21, versions 0 to 2.
//!
//! * A topic that is only compacted refuses (`POLICY_VIOLATION`).
//! * −1 means the high watermark. A batch that holds the new log start stays whole, as in Kafka.

use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::api::{Api, Call};
use crate::error::ErrorCode;

pub(crate) struct DeleteRecords;

impl Api for DeleteRecords {
    type Request = DeleteRecordsRequest;
    type Response = DeleteRecordsResponse;

    async fn answer(call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
        let mut state = call.core.state();
        let response = respond(&request, |topic, wanted| {
            state.led(call.node, topic, wanted.partition_index, -1)?;
            if state.topics.topic(topic).is_some_and(|it| it.limits.compacted && !it.limits.deletes) {
                return Err(ErrorCode::POLICY_VIOLATION);
            }
            state.topics.partition_mut(topic, wanted.partition_index)?.log.delete_before(wanted.offset)
        });
        drop(state);
        call.core.changed.notify_waiters();
        response
    }

    fn refuse(request: &DeleteRecordsRequest, _: i16, code: ErrorCode) -> DeleteRecordsResponse {
        respond(request, |_, _| Err(code))
    }
}

fn respond(
    request: &DeleteRecordsRequest,
    mut delete: impl FnMut(&str, &DeleteRecordsPartition) -> Result<i64, ErrorCode>,
) -> DeleteRecordsResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let outcome = delete(&topic.name, wanted);
            DeleteRecordsPartitionResult::default()
                .with_partition_index(wanted.partition_index)
                .with_low_watermark(outcome.unwrap_or(-1))
                .with_error_code(outcome.err().unwrap_or(ErrorCode::NONE).0)
        });
        DeleteRecordsTopicResult::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}
