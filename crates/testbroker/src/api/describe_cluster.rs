//! DescribeCluster, key 60, versions 0 to 2.
//!
//! * 1+: endpoint type is always "broker"; 2: brokers that are down are listed as fenced when asked for.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Api, Call};
use crate::error::ErrorCode;

pub(crate) struct DescribeCluster;

impl Api for DescribeCluster {
    type Request = DescribeClusterRequest;
    type Response = DescribeClusterResponse;

    async fn answer(call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
        let state = call.core.state();
        let brokers =
            state.brokers.iter().filter(|(_, broker)| broker.is_up || request.include_fenced_brokers).map(
                |(node, broker)| {
                    DescribeClusterBroker::default()
                        .with_broker_id(BrokerId(*node))
                        .with_host(StrBytes::from_string(broker.host.clone()))
                        .with_port(i32::from(broker.port))
                        .with_is_fenced(!broker.is_up)
                },
            );
        DescribeClusterResponse::default()
            .with_error_message(None)
            .with_cluster_id(StrBytes::from_string(state.cluster_id.clone()))
            .with_controller_id(BrokerId(state.controller()))
            .with_brokers(brokers.collect())
    }

    fn refuse(_: &DescribeClusterRequest, _: i16, code: ErrorCode) -> DescribeClusterResponse {
        DescribeClusterResponse::default().with_error_code(code.0)
    }
}
