//! Produce, key 0, versions 3 to 13.
//!
//! * acks −1, 0, 1. With acks 0 there is no answer, and an error closes the connection. Replication is nominal, so
//!   −1 differs from 1 only by `min.insync.replicas`, counted in brokers that are up, and where a test holds a high
//!   watermark back.
//! * What is refused, and in which order, is in `log/validate.rs` and `log/producers.rs`.
//! * 10+: the new leader is named beside `NOT_LEADER_OR_FOLLOWER` (KIP-951).
//! * 11+: `TRANSACTION_ABORTABLE` where older versions get `INVALID_TXN_STATE`.
//! * 12+: a transactional batch adds its partition to the transaction (KIP-890). 13: topics by id.

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::api::replicated::{self, Written};
use crate::api::reply::{Disposition, Reply, Unencodable};
use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::log::partition_log::Appended;
use crate::log::validate::{Examined, examine};
use crate::network::frame::Frame;

/// First version that names the new leader.
const LEADER_HINT_VERSION: i16 = 10;
/// First version with topic ids.
const TOPIC_ID_VERSION: i16 = 13;

pub(crate) struct Produce;

/// The response, unless the client wanted none.
pub(crate) struct ProduceReply {
    response: ProduceResponse,
    disposition: Disposition,
}

impl ProduceReply {
    fn new(response: ProduceResponse, acks: i16) -> Self {
        let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let disposition = match acks {
            0 if partitions.any(|partition| partition.error_code != 0) => Disposition::Close,
            0 => Disposition::Nothing,
            _ => Disposition::Send,
        };
        Self { response, disposition }
    }
}

impl Reply for ProduceReply {
    fn encode(&self, version: i16, frame: &mut Frame) -> Result<(), Unencodable> {
        Encodable::encode(&self.response, frame.fields(), version).map_err(|_| Unencodable)
    }

    fn disposition(&self) -> Disposition {
        self.disposition
    }
}

impl Api for Produce {
    type Request = ProduceRequest;
    type Response = ProduceReply;

    async fn answer(call: &Call, request: ProduceRequest) -> ProduceReply {
        if !matches!(request.acks, -1..=1) {
            return Self::refuse(&request, call.version, ErrorCode::INVALID_REQUIRED_ACKS);
        }
        let entries = entries(&request, call.version);
        if let Err(code) = check_transactional(&request, &entries) {
            return Self::refuse(&request, call.version, code);
        }
        let (mut response, written) = apply(call, &request, &entries);
        call.core.changed.notify_waiters_at(Some(call.node));
        let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
        let (places, written) = written.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        let late = replicated::wait(call, written.clone(), timeout).await;
        for ((topic, partition), written) in places.into_iter().zip(&written) {
            if late.contains(written)
                && let Some(topic) = response.responses.get_mut::<usize>(topic)
                && let Some(result) = topic.partition_responses.get_mut::<usize>(partition)
            {
                result.error_code = ErrorCode::REQUEST_TIMED_OUT.0;
            }
        }
        response.throttle_time_ms = call.throttle().as_millis() as i32;
        ProduceReply::new(response, request.acks)
    }

    fn refuse(request: &ProduceRequest, _: i16, code: ErrorCode) -> ProduceReply {
        let topics = request.topic_data.iter().map(|topic| {
            let partitions = topic.partition_data.iter();
            let results = partitions.map(|data| partition_response(data.index, Err(code)));
            topic_response(topic).with_partition_responses(results.collect())
        });
        ProduceReply::new(ProduceResponse::default().with_responses(topics.collect()), request.acks)
    }
}

/// What was written, by its place in the response.
type WrittenAt = Vec<((usize, usize), Written)>;

/// Appends everything, under one lock; returns what is not replicated yet, too, where the client wants to wait.
fn apply(call: &Call, request: &ProduceRequest, entries: &[Vec<Entry>]) -> (ProduceResponse, WrittenAt) {
    let mut response = ProduceResponse::default();
    let mut state = call.core.state();
    let mut moved = false;
    let mut written = Vec::new();
    for (topic, entries) in request.topic_data.iter().zip(entries) {
        let mut results = Vec::with_capacity(entries.len());
        let name = topic_name(&state, topic, call.version);
        for entry in entries {
            let outcome = match &name {
                Ok(name) => {
                    call.unless_refused(name, entry.index, || append(call, &mut state, request, name, entry))
                }
                Err(code) => Err(*code),
            };
            let code = outcome.err();
            let mut result = partition_response(entry.index, outcome);
            if let (Ok(name), Ok(_), Some(code)) = (&name, &entry.examined, code)
                && tells_log_start(code)
            {
                let partition = state.topics.partition(name, entry.index);
                result.log_start_offset = partition.map_or(-1, |partition| partition.log.start());
            }
            if let Ok(name) = &name
                && code == Some(ErrorCode::NOT_LEADER_OR_FOLLOWER)
                && call.version >= LEADER_HINT_VERSION
            {
                moved = true;
                hint_leader(&state, name, &mut result);
            }
            if let (Ok(name), None, -1) = (&name, code, request.acks)
                && let Some(place) = Written::now(&state, name, entry.index)
            {
                written.push(((response.responses.len(), results.len()), place));
            }
            results.push(result);
        }
        response.responses.push(topic_response(topic).with_partition_responses(results));
    }
    if moved {
        response.node_endpoints = endpoints(&state);
    }
    (response, written)
}

/// One partition's data after the checks that need no lock.
struct Entry {
    index: i32,
    examined: Result<Examined, ErrorCode>,
}

/// Examines all batches. A partition named twice counts once, with its later data.
fn entries(request: &ProduceRequest, version: i16) -> Vec<Vec<Entry>> {
    let examined = |data: &PartitionProduceData| Entry {
        index: data.index,
        examined: examine(data.records.as_ref(), version),
    };
    let per_topic = request.topic_data.iter().map(|topic| {
        let mut last: HashMap<i32, usize> = HashMap::with_capacity(topic.partition_data.len());
        for (at, data) in topic.partition_data.iter().enumerate() {
            last.insert(data.index, at);
        }
        let data = topic.partition_data.iter().enumerate();
        data.filter(|(at, data)| last.get(&data.index) == Some(at)).map(|(_, data)| examined(data)).collect()
    });
    per_topic.collect()
}

/// Rules for the request as a whole: one transactional batch without a transactional id spoils everything.
fn check_transactional(request: &ProduceRequest, entries: &[Vec<Entry>]) -> Result<(), ErrorCode> {
    let mut producers = entries
        .iter()
        .flatten()
        .filter_map(|entry| entry.examined.as_ref().ok())
        .filter(|examined| examined.header.attributes.is_transactional())
        .map(|examined| (examined.header.producer_id, examined.header.producer_epoch));
    let Some(first) = producers.next() else {
        return Ok(());
    };
    if request.transactional_id.is_none() {
        return Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    if producers.all(|producer| producer == first) {
        Ok(())
    } else {
        Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING)
    }
}

fn topic_name(state: &State, topic: &TopicProduceData, version: i16) -> Result<String, ErrorCode> {
    if version < TOPIC_ID_VERSION {
        return Ok(topic.name.to_string());
    }
    state.topics.name(topic.topic_id).map(str::to_owned).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)
}

fn append(
    call: &Call,
    state: &mut State,
    request: &ProduceRequest,
    topic: &str,
    entry: &Entry,
) -> Result<(Appended, i64), ErrorCode> {
    let examined = entry.examined.as_ref().map_err(|code| *code)?;
    let header = &examined.header;
    state.led(call.node, topic, entry.index, -1)?;
    if header.attributes.is_transactional()
        && let Some(transactional_id) = &request.transactional_id
    {
        let started = state.verify_produce(transactional_id, header, topic, entry.index, call.version)?;
        if started {
            crate::transactions::timeout::watch(&call.core, state, transactional_id);
        }
    }
    let limits = state.topics.topic(topic).map(|topic| topic.limits.clone());
    let limits = limits.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let partition = state.topics.partition(topic, entry.index)?;
    let in_sync = partition.replicas.iter().filter(|node| state.is_up(**node)).count();
    if request.acks == -1 && in_sync < limits.min_insync_replicas {
        return Err(ErrorCode::NOT_ENOUGH_REPLICAS);
    }
    let partition = state.topics.partition_mut(topic, entry.index)?;
    let now_ms = call.core.clock.now_ms();
    let appended = partition.log.append_produced(examined, &limits, partition.leader_epoch, now_ms)?;
    Ok((appended, partition.log.start()))
}

fn partition_response(index: i32, outcome: Result<(Appended, i64), ErrorCode>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index).with_error_message(None);
    match outcome {
        Ok((appended, log_start)) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.log_append_time_ms)
            .with_log_start_offset(log_start),
        Err(code) => response
            .with_error_code(code.0)
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1),
    }
}

/// Refusals of the log tell where it starts, but for some that Kafka treats apart (`ReplicaManager.appendRecordsToLeader`).
fn tells_log_start(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::MESSAGE_TOO_LARGE
            | ErrorCode::RECORD_LIST_TOO_LARGE
            | ErrorCode::KAFKA_STORAGE_ERROR
    )
}

fn topic_response(topic: &TopicProduceData) -> TopicProduceResponse {
    TopicProduceResponse::default().with_name(topic.name.clone()).with_topic_id(topic.topic_id)
}

fn hint_leader(state: &State, topic: &str, response: &mut PartitionProduceResponse) {
    if let Ok(partition) = state.topics.partition(topic, response.index) {
        response.current_leader = LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
            .with_leader_epoch(partition.leader_epoch);
    }
}

fn endpoints(state: &State) -> Vec<NodeEndpoint> {
    state
        .up()
        .map(|(node, broker)| {
            NodeEndpoint::default()
                .with_node_id(BrokerId(node))
                .with_host(StrBytes::from_string(broker.host.clone()))
                .with_port(i32::from(broker.port))
        })
        .collect()
}
