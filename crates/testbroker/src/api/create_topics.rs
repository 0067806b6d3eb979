//! CreateTopics, key 19, versions 2 to 7.
//!
//! * Replica assignments are honoured; the replication factor is otherwise spread round robin.
//! * 4+: −1 partitions or replicas mean the default (1, and at most 3).
//! * 5+: the answer repeats the counts, with null configs; 7: and the topic id.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::topics::limits::Limits;

pub(crate) struct CreateTopics;

impl Api for CreateTopics {
    type Request = CreateTopicsRequest;
    type Response = CreateTopicsResponse;

    async fn answer(call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
        let mut state = call.core.state();
        let results = request.topics.iter().map(|topic| {
            let outcome = create(&mut state, topic, request.validate_only);
            let result = CreatableTopicResult::default().with_name(topic.name.clone());
            match outcome {
                Ok(created) => created.with_name(topic.name.clone()),
                Err(code) => result.with_error_code(code.0).with_error_message(None),
            }
        });
        let results = results.collect();
        drop(state);
        call.core.changed.notify_waiters();
        CreateTopicsResponse::default().with_topics(results)
    }

    fn refuse(request: &CreateTopicsRequest, _: i16, code: ErrorCode) -> CreateTopicsResponse {
        let refused = |topic: &CreatableTopic| {
            CreatableTopicResult::default().with_name(topic.name.clone()).with_error_code(code.0)
        };
        CreateTopicsResponse::default().with_topics(request.topics.iter().map(refused).collect())
    }
}

fn create(
    state: &mut State,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, ErrorCode> {
    let configs: BTreeMap<String, String> = topic
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect();
    let assigned = !topic.assignments.is_empty();
    let (partitions, replication_factor) = if assigned {
        let replicas = topic.assignments.iter().map(|it| it.broker_ids.len()).min().unwrap_or(0);
        (topic.assignments.len() as i32, replicas as i16)
    } else {
        (topic.num_partitions, topic.replication_factor)
    };
    let known = |node: &i32| state.brokers.contains_key(node);
    if !topic.assignments.iter().flat_map(|it| &it.broker_ids).all(|node| known(&node.0)) {
        return Err(ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    }
    state.check_new_topic(&topic.name, partitions, replication_factor)?;
    Limits::parse(&configs)?;
    if validate_only {
        return Ok(CreatableTopicResult::default().with_error_message(None).with_configs(None));
    }
    let created = state.create_topic(&topic.name, partitions, replication_factor, configs)?;
    let result = CreatableTopicResult::default()
        .with_topic_id(created.id)
        .with_error_message(None)
        .with_num_partitions(created.partitions.len() as i32)
        .with_replication_factor(created.replication_factor)
        .with_configs(None);
    for assignment in &topic.assignments {
        let replicas: Vec<i32> = assignment.broker_ids.iter().map(|node| node.0).collect();
        let leader = replicas.iter().copied().find(|node| state.is_up(*node));
        let partition = state.topics.partition_mut(&topic.name, assignment.partition_index);
        let partition = partition.map_err(|_| ErrorCode::INVALID_REPLICA_ASSIGNMENT)?;
        partition.replicas = replicas;
        partition.leader = leader;
    }
    Ok(result)
}
