//! Every API answers, and refuses, in every version it offers.

use kafka_protocol::messages as m;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest};
use kafka_protocol::protocol::{Request, StrBytes};
use verbatim_testbroker::{Control, ErrorCode, TestCluster};

use crate::client::Client;

async fn every_version<R: Request + Default>(cluster: &TestCluster) {
    let api = ApiKey::try_from(R::KEY).unwrap();
    let mut client = Client::connect(cluster, 1).await;
    let offered = client.call(0, &ApiVersionsRequest::default()).await.api_keys;
    let offered = offered.iter().find(|it| it.api_key == R::KEY).unwrap();
    let mut answered = 0;
    for version in offered.min_version.max(R::VERSIONS.min)..=offered.max_version {
        let request = R::default();
        if request.compute_size(version).is_err() {
            continue;
        }
        assert!(client.try_call(version, &request).await.is_some(), "{api:?} {version}");
        cluster.once(api, Control::Error(ErrorCode::KAFKA_STORAGE_ERROR));
        assert!(client.try_call(version, &request).await.is_some(), "{api:?} {version} refused");
        answered += 1;
    }
    assert!(answered > 0, "{api:?}");
}

macro_rules! every_version {
    ($cluster:expr; $($request:ident)*) => { $(every_version::<m::$request>($cluster).await;)* };
}

#[tokio::test]
async fn every_api_answers_and_refuses_in_every_version() {
    let cluster = TestCluster::builder().start_memory();
    every_version! { &cluster;
        AddOffsetsToTxnRequest AddPartitionsToTxnRequest ApiVersionsRequest CreatePartitionsRequest
        CreateTopicsRequest DeleteRecordsRequest DeleteTopicsRequest DescribeClusterRequest
        DescribeConfigsRequest DescribeGroupsRequest DescribeProducersRequest EndTxnRequest FetchRequest
        FindCoordinatorRequest HeartbeatRequest IncrementalAlterConfigsRequest InitProducerIdRequest
        JoinGroupRequest LeaveGroupRequest ListGroupsRequest ListOffsetsRequest MetadataRequest
        OffsetCommitRequest OffsetFetchRequest OffsetForLeaderEpochRequest SyncGroupRequest
        TxnOffsetCommitRequest WriteTxnMarkersRequest
    }
    // A default Produce has acks 0 and is not answered.
    let mut client = Client::connect(&cluster, 1).await;
    for version in 3..=13 {
        let request = m::ProduceRequest::default().with_acks(1);
        assert!(client.try_call(version, &request).await.is_some());
    }
}

#[tokio::test]
async fn refusals_reach_everything_that_was_named() {
    let cluster = TestCluster::builder().start_memory();
    let mut client = Client::connect(&cluster, 1).await;
    let name = || StrBytes::from_static_str("x");
    cluster.once(ApiKey::FindCoordinator, Control::Error(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    let request = m::FindCoordinatorRequest::default().with_coordinator_keys(vec![name(), name()]);
    let response = client.call(4, &request).await;
    assert_eq!(response.coordinators.iter().map(|it| it.error_code).collect::<Vec<_>>(), [15, 15]);
    cluster.once(ApiKey::DescribeGroups, Control::Error(ErrorCode::NOT_COORDINATOR));
    let groups = vec![m::GroupId(name())];
    let response = client.call(5, &m::DescribeGroupsRequest::default().with_groups(groups)).await;
    assert_eq!(response.groups[0].error_code, 16);
    cluster.once(ApiKey::Metadata, Control::Error(ErrorCode::LEADER_NOT_AVAILABLE));
    let topic = m::metadata_request::MetadataRequestTopic::default().with_name(Some(m::TopicName(name())));
    let response = client.call(9, &m::MetadataRequest::default().with_topics(Some(vec![topic]))).await;
    assert_eq!(response.topics[0].error_code, 5);
}
