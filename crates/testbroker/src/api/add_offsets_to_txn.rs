//! AddOffsetsToTxn, key 25, versions 0 to 4.
//!
//! * Begins the transaction. There is no `__consumer_offsets` topic here, so no marker is written for it.

use std::collections::BTreeSet;

use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use crate::api::{Api, Call};
use crate::error::ErrorCode;
use crate::transactions::timeout;

pub(crate) struct AddOffsetsToTxn;

impl Api for AddOffsetsToTxn {
    type Request = AddOffsetsToTxnRequest;
    type Response = AddOffsetsToTxnResponse;

    async fn answer(call: &Call, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
        let id = &request.transactional_id;
        let producer = (request.producer_id.0, request.producer_epoch);
        let mut state = call.core.state();
        let outcome = state
            .check_coordinator(call.node, id)
            .and_then(|()| state.add_partitions(id, producer, BTreeSet::new()));
        if outcome == Ok(true) {
            timeout::watch(&call.core, &state, id);
        }
        AddOffsetsToTxnResponse::default().with_error_code(outcome.err().unwrap_or(ErrorCode::NONE).0)
    }

    fn refuse(_: &AddOffsetsToTxnRequest, _: i16, code: ErrorCode) -> AddOffsetsToTxnResponse {
        AddOffsetsToTxnResponse::default().with_error_code(code.0)
    }
}
