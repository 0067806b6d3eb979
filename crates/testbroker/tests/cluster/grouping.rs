//! Groups: coordinators, committed offsets, members.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest,
    SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use verbatim_testbroker::TestCluster;

use crate::client::{Client, topic};

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group() -> GroupId {
    GroupId(string("g"))
}

fn one_broker() -> TestCluster {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 2, &[]).unwrap();
    cluster
}

fn commit(offset: i64) -> OffsetCommitRequest {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(string("m")))
    };
    OffsetCommitRequest::default().with_group_id(group()).with_generation_id_or_member_epoch(-1).with_topics(
        vec![
            OffsetCommitRequestTopic::default()
                .with_name(topic("t"))
                .with_partitions(vec![partition(1), partition(7)]),
        ],
    )
}

fn join(member_id: &StrBytes) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(string("range"))
        .with_metadata(Bytes::from_static(b"meta"));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(member_id.clone())
        .with_protocol_type(string("consumer"))
        .with_protocols(vec![protocol])
}

async fn joined(client: &mut Client) -> JoinGroupResponse {
    let promised = client.call(5, &join(&string(""))).await;
    assert_eq!(promised.error_code, 79);
    client.call(5, &join(&promised.member_id)).await
}

fn sync(joined: &JoinGroupResponse, assign_to: &[&StrBytes]) -> SyncGroupRequest {
    let assignment = |id: &&StrBytes| {
        let bytes = Bytes::from(format!("for {}", id.as_str()));
        SyncGroupRequestAssignment::default().with_member_id((*id).clone()).with_assignment(bytes)
    };
    SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(assign_to.iter().map(assignment).collect())
}

async fn heartbeat(client: &mut Client, member: &JoinGroupResponse) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(member.generation_id)
        .with_member_id(member.member_id.clone());
    client.call(3, &request).await.error_code
}

#[tokio::test]
async fn only_the_coordinator_answers_and_another_stands_in() {
    let cluster = TestCluster::builder().brokers(3).start_memory();
    cluster.create_topic("t", 2, &[]).unwrap();
    let coordinator = cluster.coordinator("g").unwrap();
    let mut client = Client::connect(&cluster, coordinator as usize).await;
    for version in 0..=6 {
        let request = if version >= 4 {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![string("g")])
        } else {
            FindCoordinatorRequest::default().with_key(string("g"))
        };
        let response = client.call(version, &request).await;
        let node = response.coordinators.first().map_or(response.node_id, |it| it.node_id);
        assert_eq!(node.0, coordinator);
    }
    let other = if coordinator == 1 { 2 } else { 1 };
    let mut wrong = Client::connect(&cluster, other as usize).await;
    let codes = |it: &kafka_protocol::messages::OffsetCommitResponse| -> Vec<i16> {
        it.topics[0].partitions.iter().map(|it| it.error_code).collect()
    };
    assert_eq!(codes(&wrong.call(8, &commit(5)).await), [16, 16]);
    assert_eq!(codes(&client.call(8, &commit(5)).await), [0, 3]);
    cluster.crash(coordinator).await;
    let stand_in = cluster.coordinator("g").unwrap();
    assert_ne!(stand_in, coordinator);
    let mut client = Client::connect(&cluster, stand_in as usize).await;
    assert_eq!(codes(&client.call(8, &commit(6)).await), [0, 3]);
}

#[tokio::test]
async fn offsets_are_committed_and_fetched_in_every_version() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    for version in 2..=9 {
        let response = client.call(version, &commit(i64::from(version))).await;
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
        assert_eq!(cluster.group_offsets("g")[&("t".to_owned(), 1)].offset, i64::from(version));
    }
    for version in 1..=7 {
        let topics =
            vec![OffsetFetchRequestTopic::default().with_name(topic("t")).with_partition_indexes(vec![0, 1])];
        let request = OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(topics));
        let response = client.call(version, &request).await;
        let offsets: Vec<i64> = response.topics[0].partitions.iter().map(|it| it.committed_offset).collect();
        assert_eq!(offsets, [-1, 9]);
    }
    for version in 8..=9 {
        let topics =
            vec![OffsetFetchRequestTopics::default().with_name(topic("t")).with_partition_indexes(vec![1])];
        let one = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(Some(topics));
        let all = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
        let response = client.call(version, &OffsetFetchRequest::default().with_groups(vec![one, all])).await;
        for group in &response.groups {
            assert_eq!(group.topics[0].partitions[0].committed_offset, 9);
            assert_eq!(group.topics[0].partitions[0].metadata, Some(string("m")));
        }
    }
    for version in 0..=5 {
        let response = client.call(version, &ListGroupsRequest::default()).await;
        assert_eq!(response.groups[0].group_id, group());
    }
}

#[tokio::test(start_paused = true)]
async fn members_come_share_and_go() {
    let cluster = one_broker();
    let (mut a, mut b) = (Client::connect(&cluster, 1).await, Client::connect(&cluster, 1).await);
    let first = joined(&mut a).await;
    assert_eq!((first.error_code, first.generation_id, first.members.len()), (0, 1, 1));
    assert_eq!(first.leader, first.member_id);
    let assigned = a.call(3, &sync(&first, &[&first.member_id])).await;
    assert_eq!(assigned.assignment, format!("for {}", first.member_id.as_str()));
    assert_eq!(heartbeat(&mut a, &first).await, 0);

    // A second member waits until the first has joined again.
    let promised = b.call(5, &join(&string(""))).await;
    b.send(5, &join(&promised.member_id)).await;
    while heartbeat(&mut a, &first).await == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(heartbeat(&mut a, &first).await, 27);
    let leader = a.call(5, &join(&first.member_id)).await;
    let follower = b.receive::<JoinGroupRequest>(5).await.unwrap();
    assert_eq!((leader.generation_id, follower.generation_id), (2, 2));
    assert_eq!((leader.members.len(), follower.members.len()), (2, 0));
    assert_eq!(heartbeat(&mut a, &first).await, 22, "the old generation");

    // The follower's sync waits for the leader's.
    b.send(3, &sync(&follower, &[])).await;
    a.call(3, &sync(&leader, &[&leader.member_id, &follower.member_id])).await;
    let assigned = b.receive::<SyncGroupRequest>(3).await.unwrap();
    assert_eq!(assigned.assignment, format!("for {}", follower.member_id.as_str()));
    for version in 0..=6 {
        let described = a.call(version, &DescribeGroupsRequest::default().with_groups(vec![group()])).await;
        assert_eq!(
            (described.groups[0].group_state.as_str(), described.groups[0].members.len()),
            ("Stable", 2)
        );
    }

    // Nobody else commits for a group with members.
    assert_eq!(a.call(8, &commit(5)).await.topics[0].partitions[0].error_code, 25);
    let own = commit(5).with_generation_id_or_member_epoch(2).with_member_id(leader.member_id.clone());
    assert_eq!(a.call(8, &own).await.topics[0].partitions[0].error_code, 0);

    // One leaves, the other is silent for too long.
    let identity = MemberIdentity::default().with_member_id(follower.member_id.clone());
    let leave = LeaveGroupRequest::default().with_group_id(group()).with_members(vec![identity]);
    assert_eq!(b.call(4, &leave).await.members[0].error_code, 0);
    assert_eq!(heartbeat(&mut a, &leader).await, 27);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(heartbeat(&mut a, &leader).await, 25);
    let described = a.call(5, &DescribeGroupsRequest::default().with_groups(vec![group()])).await;
    assert_eq!(described.groups[0].group_state.as_str(), "Empty");
    assert_eq!(a.call(8, &commit(6)).await.topics[0].partitions[0].error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_does_not_wait_for_the_dead() {
    let cluster = one_broker();
    let (mut a, mut b) = (Client::connect(&cluster, 1).await, Client::connect(&cluster, 1).await);
    let silent = joined(&mut a).await;
    a.call(3, &sync(&silent, &[&silent.member_id])).await;
    let begun = tokio::time::Instant::now();
    let second = joined(&mut b).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(10), "the session timeout of the silent one");
    assert_eq!(second.members.len(), 1);
    assert_eq!(heartbeat(&mut a, &silent).await, 25);
}
