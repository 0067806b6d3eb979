//! Heartbeat, key 12, versions 0 to 4.
//!
//! * `REBALANCE_IN_PROGRESS` tells a member to join again.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use tokio::time::Instant;

use crate::api::{Api, Call};
use crate::error::ErrorCode;
use crate::groups::group::GroupState;

pub(crate) struct Heartbeat;

impl Api for Heartbeat {
    type Request = HeartbeatRequest;
    type Response = HeartbeatResponse;

    async fn answer(call: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
        let code = beat(call, &request).err().unwrap_or(ErrorCode::NONE);
        // A session may have expired in passing.
        call.core.changed.notify_waiters();
        HeartbeatResponse::default().with_error_code(code.0)
    }

    fn refuse(_: &HeartbeatRequest, _: i16, code: ErrorCode) -> HeartbeatResponse {
        HeartbeatResponse::default().with_error_code(code.0)
    }
}

fn beat(call: &Call, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
    let mut state = call.core.state();
    state.check_coordinator(call.node, &request.group_id)?;
    let group = state.groups.get_mut(request.group_id.as_str()).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
    group.seen(&request.member_id, request.generation_id, Instant::now())?;
    if group.state == GroupState::Preparing { Err(ErrorCode::REBALANCE_IN_PROGRESS) } else { Ok(()) }
}
