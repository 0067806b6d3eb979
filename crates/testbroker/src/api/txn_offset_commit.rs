//! TxnOffsetCommit, key 28, versions 0 to 5.
//!
//! * Offsets wait for the commit of the transaction. Membership is only checked when given (as Kafka does).
//! * 5: adds the group to the transaction by itself (KIP-890).

use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::groups::offsets::CommittedOffset;
use crate::transactions::timeout;
use crate::transactions::transaction::TransactionState;

/// First version that begins the transaction.
const IMPLICIT_ADD_VERSION: i16 = 5;

pub(crate) struct TxnOffsetCommit;

impl Api for TxnOffsetCommit {
    type Request = TxnOffsetCommitRequest;
    type Response = TxnOffsetCommitResponse;

    async fn answer(call: &Call, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
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
            if let Some(transaction) = state.transactions.get_mut(request.transactional_id.as_str()) {
                let pending = transaction.pending_offsets.entry(request.group_id.to_string()).or_default();
                pending.insert((topic.to_owned(), partition.partition_index), offset);
            }
            ErrorCode::NONE
        })
    }

    fn refuse(request: &TxnOffsetCommitRequest, _: i16, code: ErrorCode) -> TxnOffsetCommitResponse {
        respond(request, |_, _| code)
    }
}

fn check(call: &Call, state: &mut State, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
    state.check_coordinator(call.node, &request.group_id)?;
    if let Some(group) = state.groups.get(request.group_id.as_str()) {
        group.check_transactional_member(&request.member_id, request.generation_id)?;
    }
    let producer = (request.producer_id.0, request.producer_epoch);
    if call.version >= IMPLICIT_ADD_VERSION {
        let id = &request.transactional_id;
        if state.add_partitions(id, producer, std::collections::BTreeSet::new())? {
            timeout::watch(&call.core, state, id);
        }
    }
    let transaction = state.checked(&request.transactional_id, producer)?;
    if transaction.state == TransactionState::Ongoing { Ok(()) } else { Err(ErrorCode::INVALID_TXN_STATE) }
}

fn respond(
    request: &TxnOffsetCommitRequest,
    mut commit: impl FnMut(&str, &TxnOffsetCommitRequestPartition) -> ErrorCode,
) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(commit(&topic.name, partition).0)
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}
