//! DescribeProducers, key 61, version 0.
//!
//! * A producer that only wrote markers has last sequence −1; the last timestamp is a record time.

use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use crate::api::{Api, Call};
use crate::error::ErrorCode;
use crate::log::producers;

pub(crate) struct DescribeProducers;

impl Api for DescribeProducers {
    type Request = DescribeProducersRequest;
    type Response = DescribeProducersResponse;

    async fn answer(call: &Call, request: DescribeProducersRequest) -> DescribeProducersResponse {
        let mut state = call.core.state();
        respond(&request, |topic, index| {
            let partition = state.led(call.node, topic, index, -1)?;
            Ok(partition.log.producers.iter().map(|(id, known)| described(*id, known)).collect())
        })
    }

    fn refuse(request: &DescribeProducersRequest, _: i16, code: ErrorCode) -> DescribeProducersResponse {
        respond(request, |_, _| Err(code))
    }
}

fn described(producer_id: i64, known: &producers::ProducerState) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(i32::from(known.producer_epoch))
        .with_last_sequence(known.last_sequence())
        .with_last_timestamp(known.last_timestamp_ms)
        .with_coordinator_epoch(known.coordinator_epoch)
        .with_current_txn_start_offset(known.transaction_start.unwrap_or(-1))
}

fn respond(
    request: &DescribeProducersRequest,
    mut describe: impl FnMut(&str, i32) -> Result<Vec<ProducerState>, ErrorCode>,
) -> DescribeProducersResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let response = PartitionResponse::default().with_partition_index(*index).with_error_message(None);
            match describe(&topic.name, *index) {
                Ok(active) => response.with_active_producers(active),
                Err(code) => response.with_error_code(code.0),
            }
        });
        TopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}
