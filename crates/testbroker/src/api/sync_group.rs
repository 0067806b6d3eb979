//! SyncGroup, key 14, versions 0 to 5.
//!
//! * Followers are answered when the leader has assigned, or when the next rebalance begins.

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::api::{Api, Call};
use crate::error::ErrorCode;
use crate::groups::group::{Group, GroupState};
use crate::groups::waiting::wait_for;

pub(crate) struct SyncGroup;

impl Api for SyncGroup {
    type Request = SyncGroupRequest;
    type Response = SyncGroupResponse;

    async fn answer(call: &Call, request: SyncGroupRequest) -> SyncGroupResponse {
        if let Err(code) = begin(call, &request) {
            return Self::refuse(&request, call.version, code);
        }
        call.core.changed.notify_waiters();
        wait_for(call, &request.group_id, |group| {
            if group.generation != request.generation_id || group.state == GroupState::Preparing {
                return Some(Self::refuse(&request, call.version, ErrorCode::REBALANCE_IN_PROGRESS));
            }
            (group.state == GroupState::Stable).then(|| assigned(group, &request.member_id))
        })
        .await
    }

    fn refuse(_: &SyncGroupRequest, _: i16, code: ErrorCode) -> SyncGroupResponse {
        SyncGroupResponse::default().with_error_code(code.0)
    }
}

fn begin(call: &Call, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    let mut state = call.core.state();
    state.check_coordinator(call.node, &request.group_id)?;
    let group = state.groups.get_mut(request.group_id.as_str()).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
    group.seen(&request.member_id, request.generation_id, Instant::now())?;
    let given = request.assignments.iter();
    let assignments = given.map(|it| (it.member_id.to_string(), it.assignment.clone())).collect();
    group.assign(&request.member_id, &assignments);
    Ok(())
}

fn assigned(group: &Group, member_id: &str) -> SyncGroupResponse {
    let string = |text: &String| StrBytes::from_string(text.clone());
    let assignment = group.members.get(member_id).map(|member| member.assignment.clone());
    SyncGroupResponse::default()
        .with_protocol_type(Some(string(&group.protocol_type)))
        .with_protocol_name(group.protocol.as_ref().map(string))
        .with_assignment(assignment.unwrap_or_default())
}
