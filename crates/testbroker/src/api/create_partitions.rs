//! CreatePartitions, key 37, versions 0 to 3.
//!
//! * Partitions can only be added (`INVALID_PARTITIONS`); given assignments are honoured.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::topics::topic::Partition;

pub(crate) struct CreatePartitions;

impl Api for CreatePartitions {
    type Request = CreatePartitionsRequest;
    type Response = CreatePartitionsResponse;

    async fn answer(call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
        let mut state = call.core.state();
        let results = request.topics.iter().map(|topic| {
            let code = grow(&mut state, topic, request.validate_only).err().unwrap_or(ErrorCode::NONE);
            result(topic, code)
        });
        let results = results.collect();
        drop(state);
        call.core.changed.notify_waiters();
        CreatePartitionsResponse::default().with_results(results)
    }

    fn refuse(request: &CreatePartitionsRequest, _: i16, code: ErrorCode) -> CreatePartitionsResponse {
        let results = request.topics.iter().map(|topic| result(topic, code)).collect();
        CreatePartitionsResponse::default().with_results(results)
    }
}

fn result(topic: &CreatePartitionsTopic, code: ErrorCode) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(topic.name.clone())
        .with_error_code(code.0)
        .with_error_message(None)
}

fn grow(state: &mut State, wanted: &CreatePartitionsTopic, validate_only: bool) -> Result<(), ErrorCode> {
    let topic = state.topics.topic(&wanted.name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let present = topic.partitions.len();
    let count = usize::try_from(wanted.count).map_err(|_| ErrorCode::INVALID_PARTITIONS)?;
    if count <= present {
        return Err(ErrorCode::INVALID_PARTITIONS);
    }
    let added: Vec<Partition> = match &wanted.assignments {
        None => (present..count).map(|index| state.new_partition(index, topic.replication_factor)).collect(),
        Some(assignments) if assignments.len() == count - present => assignments
            .iter()
            .map(|assignment| {
                let replicas: Vec<i32> = assignment.broker_ids.iter().map(|node| node.0).collect();
                let leader = replicas.iter().copied().find(|node| state.is_up(*node));
                Partition::new(replicas, leader)
            })
            .collect(),
        Some(_) => return Err(ErrorCode::INVALID_REPLICA_ASSIGNMENT),
    };
    if !validate_only && let Some(topic) = state.topics.topic_mut(&wanted.name) {
        topic.partitions.extend(added);
    }
    Ok(())
}
