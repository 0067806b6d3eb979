//! ListGroups, key 16, versions 0 to 5.
//!
//! * Every broker lists the groups it coordinates. 4+: filter by state; 5: by type, which is always "classic".

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Api, Call};
use crate::error::ErrorCode;

pub(crate) struct ListGroups;

impl Api for ListGroups {
    type Request = ListGroupsRequest;
    type Response = ListGroupsResponse;

    async fn answer(call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
        let state = call.core.state();
        let allows = |filter: &[StrBytes], value: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        let groups = state
            .groups
            .iter()
            .filter(|(group_id, _)| state.coordinator(group_id) == Some(call.node))
            .filter(|(_, group)| allows(&request.states_filter, group.state.name()))
            .filter(|_| allows(&request.types_filter, "classic"))
            .map(|(group_id, group)| {
                ListedGroup::default()
                    .with_group_id(GroupId(StrBytes::from_string(group_id.clone())))
                    .with_protocol_type(StrBytes::from_string(group.protocol_type.clone()))
                    .with_group_state(StrBytes::from_static_str(group.state.name()))
                    .with_group_type(StrBytes::from_static_str("classic"))
            });
        ListGroupsResponse::default().with_groups(groups.collect())
    }

    fn refuse(_: &ListGroupsRequest, _: i16, code: ErrorCode) -> ListGroupsResponse {
        ListGroupsResponse::default().with_error_code(code.0)
    }
}
