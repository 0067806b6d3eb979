//! EndTxn, key 26, versions 0 to 5.
//!
//! * Markers are written before the answer, unless a test holds them back: then the answer comes first, as in Kafka.
//! * 0 and 1: `INVALID_PRODUCER_EPOCH` instead of `PRODUCER_FENCED`.
//! * 5: bumps the epoch and returns it; the markers carry it (KIP-890).

use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

use crate::api::{Api, Call};
use crate::error::ErrorCode;

/// First version that bumps the epoch.
const EPOCH_BUMP_VERSION: i16 = 5;
/// First version that knows `PRODUCER_FENCED`.
const FENCED_VERSION: i16 = 2;

pub(crate) struct EndTxn;

impl Api for EndTxn {
    type Request = EndTxnRequest;
    type Response = EndTxnResponse;

    async fn answer(call: &Call, request: EndTxnRequest) -> EndTxnResponse {
        let id = &request.transactional_id;
        let producer = (request.producer_id.0, request.producer_epoch);
        let bumps_epoch = call.version >= EPOCH_BUMP_VERSION;
        let now_ms = call.core.clock.now_ms();
        let mut state = call.core.state();
        let outcome = state
            .check_coordinator(call.node, id)
            .and_then(|()| state.end_transaction(id, producer, request.committed, bumps_epoch, now_ms));
        drop(state);
        call.core.changed.notify_waiters();
        match outcome {
            Ok((producer_id, epoch)) if bumps_epoch => {
                EndTxnResponse::default().with_producer_id(ProducerId(producer_id)).with_producer_epoch(epoch)
            }
            Ok(_) => EndTxnResponse::default(),
            Err(ErrorCode::PRODUCER_FENCED) if call.version < FENCED_VERSION => {
                Self::refuse(&request, call.version, ErrorCode::INVALID_PRODUCER_EPOCH)
            }
            Err(code) => Self::refuse(&request, call.version, code),
        }
    }

    fn refuse(_: &EndTxnRequest, _: i16, code: ErrorCode) -> EndTxnResponse {
        EndTxnResponse::default().with_error_code(code.0)
    }
}
