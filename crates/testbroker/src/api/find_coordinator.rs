//! FindCoordinator, key 10, versions 0 to 6.
//!
//! * Groups (0) and transactional ids (1); a key's broker is fixed while it is up, else another one stands in.
//! * 4+: several keys in one request.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;

/// First version with a list of keys.
const BATCHED_VERSION: i16 = 4;

pub(crate) struct FindCoordinator;

impl Api for FindCoordinator {
    type Request = FindCoordinatorRequest;
    type Response = FindCoordinatorResponse;

    async fn answer(call: &Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
        let state = call.core.state();
        respond(&request, call.version, |key| found(&state, key))
    }

    fn refuse(request: &FindCoordinatorRequest, version: i16, code: ErrorCode) -> FindCoordinatorResponse {
        respond(request, version, |_| refused(code))
    }
}

fn respond(
    request: &FindCoordinatorRequest,
    version: i16,
    find: impl Fn(&str) -> Coordinator,
) -> FindCoordinatorResponse {
    if version >= BATCHED_VERSION {
        let keys = request.coordinator_keys.iter();
        let coordinators = keys.map(|key| find(key).with_key(key.clone())).collect();
        return FindCoordinatorResponse::default().with_coordinators(coordinators);
    }
    let found = find(&request.key);
    FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port)
}

fn found(state: &State, key: &str) -> Coordinator {
    let broker = state.coordinator(key).and_then(|node| Some((node, state.brokers.get(&node)?)));
    let Some((node, broker)) = broker else {
        return refused(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    };
    Coordinator::default()
        .with_node_id(BrokerId(node))
        .with_host(StrBytes::from_string(broker.host.clone()))
        .with_port(i32::from(broker.port))
        .with_error_message(None)
}

fn refused(code: ErrorCode) -> Coordinator {
    Coordinator::default().with_error_code(code.0).with_node_id(BrokerId(-1)).with_port(-1)
}
