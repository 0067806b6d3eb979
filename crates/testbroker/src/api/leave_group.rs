//! LeaveGroup, key 13, versions 0 to 5.
//!
//! * 3+: several members, by id or by instance id.

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use tokio::time::Instant;

use crate::api::{Api, Call};
use crate::error::ErrorCode;
use crate::groups::group::Group;

/// First version with a list of members.
const BATCHED_VERSION: i16 = 3;

pub(crate) struct LeaveGroup;

impl Api for LeaveGroup {
    type Request = LeaveGroupRequest;
    type Response = LeaveGroupResponse;

    async fn answer(call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
        let mut state = call.core.state();
        if let Err(code) = state.check_coordinator(call.node, &request.group_id) {
            return Self::refuse(&request, call.version, code);
        }
        let Some(group) = state.groups.get_mut(request.group_id.as_str()) else {
            return Self::refuse(&request, call.version, ErrorCode::UNKNOWN_MEMBER_ID);
        };
        let response = if call.version < BATCHED_VERSION {
            let left = group.leave(&request.member_id, Instant::now());
            LeaveGroupResponse::default().with_error_code(left.err().unwrap_or(ErrorCode::NONE).0)
        } else {
            let results = request.members.iter().map(|identity| {
                MemberResponse::default()
                    .with_member_id(identity.member_id.clone())
                    .with_group_instance_id(identity.group_instance_id.clone())
                    .with_error_code(leave(group, identity).err().unwrap_or(ErrorCode::NONE).0)
            });
            LeaveGroupResponse::default().with_members(results.collect())
        };
        drop(state);
        call.core.changed.notify_waiters();
        response
    }

    fn refuse(_: &LeaveGroupRequest, _: i16, code: ErrorCode) -> LeaveGroupResponse {
        LeaveGroupResponse::default().with_error_code(code.0)
    }
}

fn leave(group: &mut Group, identity: &MemberIdentity) -> Result<(), ErrorCode> {
    let by_instance = identity.group_instance_id.as_ref().and_then(|instance| {
        let mut members = group.members.iter();
        members.find(|(_, it)| it.instance_id.as_deref() == Some(instance)).map(|(id, _)| id.clone())
    });
    let member_id = by_instance.unwrap_or_else(|| identity.member_id.to_string());
    group.leave(&member_id, Instant::now())
}
