//! JoinGroup, key 11, versions 0 to 9.
//!
//! * Answered when all members have joined or the rebalance timeout is over; the first member does not wait.
//! * 4+: a new member is first given its id (`MEMBER_ID_REQUIRED`), unless it is static.
//! * 9+: `skip_assignment` is never used.

use std::time::Duration;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::api::{Api, Call};
use crate::error::ErrorCode;
use crate::groups::group::{Group, Member};
use crate::groups::waiting::wait_for;

/// First version that hands out member ids before joining.
const MEMBER_ID_VERSION: i16 = 4;

pub(crate) struct JoinGroup;

impl Api for JoinGroup {
    type Request = JoinGroupRequest;
    type Response = JoinGroupResponse;

    async fn answer(call: &Call, request: JoinGroupRequest) -> JoinGroupResponse {
        let member_id = match begin(call, &request) {
            Ok(member_id) => member_id,
            Err((code, member_id)) => {
                return Self::refuse(&request, call.version, code)
                    .with_member_id(StrBytes::from_string(member_id));
            }
        };
        call.core.changed.notify_waiters();
        wait_for(call, &request.group_id, |group| match group.members.get(&member_id) {
            None => Some(Self::refuse(&request, call.version, ErrorCode::UNKNOWN_MEMBER_ID)),
            Some(member) if member.is_joining => None,
            Some(_) => Some(joined(group, &member_id, call.version)),
        })
        .await
    }

    fn refuse(request: &JoinGroupRequest, version: i16, code: ErrorCode) -> JoinGroupResponse {
        JoinGroupResponse::default()
            .with_error_code(code.0)
            .with_generation_id(-1)
            .with_protocol_name(protocol_name(None, version))
            .with_member_id(request.member_id.clone())
    }
}

/// Null is only allowed from version 7 on.
fn protocol_name(name: Option<&str>, version: i16) -> Option<StrBytes> {
    let name = name.map(|name| StrBytes::from_string(name.to_owned()));
    name.or_else(|| (version < 7).then(StrBytes::new))
}

fn begin(call: &Call, request: &JoinGroupRequest) -> Result<String, (ErrorCode, String)> {
    let mut state = call.core.state();
    let named = request.member_id.to_string();
    let refused = |code| (code, named.clone());
    state.check_coordinator(call.node, &request.group_id).map_err(refused)?;
    if request.group_id.is_empty() {
        return Err(refused(ErrorCode::INVALID_GROUP_ID));
    }
    if request.session_timeout_ms <= 0 {
        return Err(refused(ErrorCode::INVALID_SESSION_TIMEOUT));
    }
    let fresh = format!("{}-{}", call.client_id.as_str(), state.allocate_member());
    let group = state.groups.entry(request.group_id.to_string()).or_default();
    let is_new = named.is_empty();
    if is_new && call.version >= MEMBER_ID_VERSION && request.group_instance_id.is_none() {
        group.promised.insert(fresh.clone());
        return Err((ErrorCode::MEMBER_ID_REQUIRED, fresh));
    }
    if !is_new && !group.members.contains_key(&named) && !group.promised.contains(&named) {
        return Err(refused(ErrorCode::UNKNOWN_MEMBER_ID));
    }
    let member_id = if is_new { fresh } else { named.clone() };
    let milliseconds = |ms: i32| Duration::from_millis(ms.max(0) as u64);
    let session_timeout = milliseconds(request.session_timeout_ms);
    let now = Instant::now();
    let member = Member {
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        client_id: call.client_id.to_string(),
        client_host: call.client_host.clone(),
        session_timeout,
        rebalance_timeout: match request.rebalance_timeout_ms {
            -1 => session_timeout,
            ms => milliseconds(ms),
        },
        protocols: request.protocols.iter().map(|it| (it.name.to_string(), it.metadata.clone())).collect(),
        assignment: bytes::Bytes::new(),
        is_joining: true,
        last_seen: now,
    };
    group.join(&member_id, &request.protocol_type, member, now).map_err(refused)?;
    Ok(member_id)
}

fn joined(group: &Group, member_id: &str, version: i16) -> JoinGroupResponse {
    let string = |text: &str| StrBytes::from_string(text.to_owned());
    let leader = group.leader.clone().unwrap_or_default();
    let protocol = group.protocol.clone().unwrap_or_default();
    let members = group.members.iter().filter(|_| leader == member_id).map(|(id, member)| {
        JoinGroupResponseMember::default()
            .with_member_id(string(id))
            .with_group_instance_id(member.instance_id.as_deref().map(string))
            .with_metadata(member.metadata(&protocol))
    });
    JoinGroupResponse::default()
        .with_generation_id(group.generation)
        .with_protocol_type(Some(string(&group.protocol_type)))
        .with_protocol_name(protocol_name(Some(&protocol), version))
        .with_leader(string(&leader))
        .with_member_id(string(member_id))
        .with_members(members.collect())
}
