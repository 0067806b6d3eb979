//! AddPartitionsToTxn, key 24, versions 0 to 5.
//!
//! * One unknown partition spoils the request: it gets 3, the others `OPERATION_NOT_ATTEMPTED`.
//! * 4+: several transactions in one request (brokers use it); `verify_only` adds nothing.

use std::collections::BTreeSet;

use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::transactions::timeout;

/// First version with several transactions.
const BATCHED_VERSION: i16 = 4;

pub(crate) struct AddPartitionsToTxn;

impl Api for AddPartitionsToTxn {
    type Request = AddPartitionsToTxnRequest;
    type Response = AddPartitionsToTxnResponse;

    async fn answer(call: &Call, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
        let mut state = call.core.state();
        respond(&request, call.version, |transaction| add(call, &mut state, transaction))
    }

    fn refuse(
        request: &AddPartitionsToTxnRequest,
        version: i16,
        code: ErrorCode,
    ) -> AddPartitionsToTxnResponse {
        respond(request, version, |transaction| results(&transaction.topics, |_, _| code))
    }
}

fn respond(
    request: &AddPartitionsToTxnRequest,
    version: i16,
    mut add: impl FnMut(&AddPartitionsToTxnTransaction) -> Vec<AddPartitionsToTxnTopicResult>,
) -> AddPartitionsToTxnResponse {
    let response = AddPartitionsToTxnResponse::default();
    if version < BATCHED_VERSION {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id.clone())
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics.clone());
        return response.with_results_by_topic_v3_and_below(add(&transaction));
    }
    let results = request.transactions.iter().map(|transaction| {
        AddPartitionsToTxnResult::default()
            .with_transactional_id(transaction.transactional_id.clone())
            .with_topic_results(add(transaction))
    });
    response.with_results_by_transaction(results.collect())
}

fn add(
    call: &Call,
    state: &mut State,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let id = &transaction.transactional_id;
    let producer = (transaction.producer_id.0, transaction.producer_epoch);
    let named: BTreeSet<(String, i32)> = transaction
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.to_string(), *index)))
        .collect();
    let missing: BTreeSet<(String, i32)> = named
        .iter()
        .filter(|(topic, index)| state.topics.partition(topic, *index).is_err())
        .cloned()
        .collect();
    if !missing.is_empty() {
        return results(&transaction.topics, |topic, index| {
            if missing.contains(&(topic.to_owned(), index)) {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            } else {
                ErrorCode::OPERATION_NOT_ATTEMPTED
            }
        });
    }
    let outcome = state.check_coordinator(call.node, id).and_then(|()| {
        if transaction.verify_only {
            let known = state.checked(id, producer)?;
            return if named.is_subset(&known.partitions) {
                Ok(false)
            } else {
                Err(ErrorCode::TRANSACTION_ABORTABLE)
            };
        }
        state.add_partitions(id, producer, named)
    });
    if outcome == Ok(true) {
        timeout::watch(&call.core, state, id);
    }
    let code = outcome.err().unwrap_or(ErrorCode::NONE);
    results(&transaction.topics, |_, _| code)
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let result = |topic: &AddPartitionsToTxnTopic, index: &i32| {
        AddPartitionsToTxnPartitionResult::default()
            .with_partition_index(*index)
            .with_partition_error_code(code(&topic.name, *index).0)
    };
    topics
        .iter()
        .map(|topic| {
            AddPartitionsToTxnTopicResult::default().with_name(topic.name.clone()).with_results_by_partition(
                topic.partitions.iter().map(|index| result(topic, index)).collect(),
            )
        })
        .collect()
}
