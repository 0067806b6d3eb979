//! Metadata, key 3, versions 0 to 13.
//!
//! * Topics are never created by asking for them.
//! * A partition without a leader is listed with `LEADER_NOT_AVAILABLE`.
//! * 0: an empty list means all topics; 1+: null does, and an empty list means none.
//! * 10+: topic ids; 12+: topics may be asked for by id (`UNKNOWN_TOPIC_ID`).

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::topics::topic::{Partition, Topic};

pub(crate) struct Metadata;

impl Api for Metadata {
    type Request = MetadataRequest;
    type Response = MetadataResponse;

    async fn answer(call: &Call, request: MetadataRequest) -> MetadataResponse {
        let state = call.core.state();
        let topics = match &request.topics {
            Some(topics) if !(topics.is_empty() && call.version == 0) => topics
                .iter()
                .map(|wanted| match &wanted.name {
                    Some(name) => described(&state, name, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                    None => match state.topics.name(wanted.topic_id) {
                        Some(name) => described(&state, name, ErrorCode::UNKNOWN_TOPIC_ID),
                        None => refused(ErrorCode::UNKNOWN_TOPIC_ID).with_topic_id(wanted.topic_id),
                    },
                })
                .collect(),
            _ => state.topics.iter().map(|(name, topic)| listed(&state, name, topic)).collect(),
        };
        MetadataResponse::default()
            .with_brokers(brokers(&state))
            .with_cluster_id(Some(StrBytes::from_string(state.cluster_id.clone())))
            .with_controller_id(BrokerId(state.controller()))
            .with_topics(topics)
    }

    fn refuse(request: &MetadataRequest, _: i16, code: ErrorCode) -> MetadataResponse {
        let topics = request.topics.iter().flatten().map(|wanted| {
            refused(code)
                .with_name(Some(wanted.name.clone().unwrap_or_default()))
                .with_topic_id(wanted.topic_id)
        });
        MetadataResponse::default().with_topics(topics.collect())
    }
}

fn brokers(state: &State) -> Vec<MetadataResponseBroker> {
    state
        .up()
        .map(|(node, broker)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(node))
                .with_host(StrBytes::from_string(broker.host.clone()))
                .with_port(i32::from(broker.port))
        })
        .collect()
}

fn described(state: &State, name: &str, missing: ErrorCode) -> MetadataResponseTopic {
    match state.topics.topic(name) {
        Some(topic) => listed(state, name, topic),
        None => refused(missing).with_name(Some(topic_name(name))),
    }
}

fn refused(code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_error_code(code.0)
}

fn listed(state: &State, name: &str, topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().enumerate();
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(name)))
        .with_topic_id(topic.id)
        .with_partitions(partitions.map(|(index, it)| partition(state, index as i32, it)).collect())
}

fn partition(state: &State, index: i32, partition: &Partition) -> MetadataResponsePartition {
    let nodes = |wanted_up: bool| {
        let chosen = partition.replicas.iter().filter(move |node| state.is_up(**node) == wanted_up);
        chosen.map(|node| BrokerId(*node)).collect::<Vec<_>>()
    };
    let code = if partition.leader.is_some() { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE };
    MetadataResponsePartition::default()
        .with_error_code(code.0)
        .with_partition_index(index)
        .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(partition.replicas.iter().map(|node| BrokerId(*node)).collect())
        .with_isr_nodes(nodes(true))
        .with_offline_replicas(nodes(false))
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
