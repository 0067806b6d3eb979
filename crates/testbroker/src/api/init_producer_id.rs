//! InitProducerId, key 22, versions 0 to 5.
//!
//! * Without a transactional id: a fresh producer id, epoch 0, every time.
//! * With one: the epoch grows; an open transaction is aborted first, and the client told to come again
//!   (`CONCURRENT_TRANSACTIONS`).
//! * 3+: the producer id and epoch the client had are checked (`PRODUCER_FENCED` from 4, else 47).

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::api::{Api, Call};
use crate::error::ErrorCode;

pub(crate) struct InitProducerId;

impl Api for InitProducerId {
    type Request = InitProducerIdRequest;
    type Response = InitProducerIdResponse;

    async fn answer(call: &Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
        let mut state = call.core.state();
        let outcome = match &request.transactional_id {
            None => Ok((state.allocate_producer_id(), 0)),
            Some(transactional_id) => state.init_transactional(
                call.node,
                transactional_id,
                request.transaction_timeout_ms,
                (request.producer_id.0, request.producer_epoch),
                call.core.clock.now_ms(),
            ),
        };
        drop(state);
        call.core.changed.notify_waiters();
        match outcome {
            Ok((producer_id, epoch)) => InitProducerIdResponse::default()
                .with_producer_id(ProducerId(producer_id))
                .with_producer_epoch(epoch),
            Err(code) if code == ErrorCode::PRODUCER_FENCED && call.version < 4 => {
                Self::refuse(&request, call.version, ErrorCode::INVALID_PRODUCER_EPOCH)
            }
            Err(code) => Self::refuse(&request, call.version, code),
        }
    }

    fn refuse(_: &InitProducerIdRequest, _: i16, code: ErrorCode) -> InitProducerIdResponse {
        InitProducerIdResponse::default()
            .with_error_code(code.0)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    }
}
