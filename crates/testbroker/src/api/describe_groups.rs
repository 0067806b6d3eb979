//! DescribeGroups, key 15, versions 0 to 6.
//!
//! * An unknown group is "Dead" without an error up to version 5; 6 says `GROUP_ID_NOT_FOUND`.

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Api, Call};
use crate::error::ErrorCode;
use crate::groups::group::{Group, Member};

/// First version that reports unknown groups as errors.
const NOT_FOUND_VERSION: i16 = 6;

pub(crate) struct DescribeGroups;

impl Api for DescribeGroups {
    type Request = DescribeGroupsRequest;
    type Response = DescribeGroupsResponse;

    async fn answer(call: &Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
        let state = call.core.state();
        let groups = request.groups.iter().map(|group_id| {
            if let Err(code) = state.check_coordinator(call.node, group_id) {
                return refused(group_id, code);
            }
            match state.groups.get(group_id.as_str()) {
                Some(group) => described(group_id, group),
                None if call.version >= NOT_FOUND_VERSION => refused(group_id, ErrorCode::GROUP_ID_NOT_FOUND)
                    .with_group_state(StrBytes::from_static_str("Dead")),
                None => {
                    refused(group_id, ErrorCode::NONE).with_group_state(StrBytes::from_static_str("Dead"))
                }
            }
        });
        DescribeGroupsResponse::default().with_groups(groups.collect())
    }

    fn refuse(request: &DescribeGroupsRequest, _: i16, code: ErrorCode) -> DescribeGroupsResponse {
        let groups = request.groups.iter().map(|group_id| refused(group_id, code)).collect();
        DescribeGroupsResponse::default().with_groups(groups)
    }
}

fn refused(group_id: &GroupId, code: ErrorCode) -> DescribedGroup {
    DescribedGroup::default().with_group_id(group_id.clone()).with_error_code(code.0).with_error_message(None)
}

fn described(group_id: &GroupId, group: &Group) -> DescribedGroup {
    let string = |text: &str| StrBytes::from_string(text.to_owned());
    let protocol = group.protocol.as_deref().unwrap_or_default();
    let member = |(id, member): (&String, &Member)| {
        DescribedGroupMember::default()
            .with_member_id(string(id))
            .with_group_instance_id(member.instance_id.as_deref().map(string))
            .with_client_id(string(&member.client_id))
            .with_client_host(string(&format!("/{}", member.client_host)))
            .with_member_metadata(member.metadata(protocol))
            .with_member_assignment(member.assignment.clone())
    };
    refused(group_id, ErrorCode::NONE)
        .with_group_state(string(group.state.name()))
        .with_protocol_type(string(&group.protocol_type))
        .with_protocol_data(string(protocol))
        .with_members(group.members.iter().map(member).collect())
}
