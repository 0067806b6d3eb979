//! Leaders that move, brokers that crash and come back, logs that lose their end.

use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{MetadataRequest, OffsetForLeaderEpochRequest};
use verbatim_testbroker::{MemoryNetwork, TestCluster, batch};

use crate::client::{Client, fetch_request, headers, partitions, produce_request, topic};

fn three() -> bytes::Bytes {
    batch((0..3).map(|_| ("k", "v"))).build()
}

#[tokio::test]
async fn only_the_leader_answers_and_it_says_who_is() {
    let cluster = TestCluster::builder().brokers(3).start_memory();
    cluster.create_topic("t", 1, &[]).unwrap();
    assert_eq!(cluster.leader("t", 0).unwrap(), (Some(1), 0));
    cluster.append("t", 0, &three()).unwrap();
    cluster.move_leader("t", 0, 3).unwrap();
    assert_eq!(cluster.leader("t", 0).unwrap(), (Some(3), 1));
    let mut old = Client::connect(&cluster, 1).await;
    let response = old.call(10, &produce_request("t", 0, three())).await;
    let refused = &response.responses[0].partition_responses[0];
    assert_eq!(refused.error_code, 6);
    assert_eq!((refused.current_leader.leader_id.0, refused.current_leader.leader_epoch), (3, 1));
    assert_eq!(response.node_endpoints.len(), 3);
    let id = old.call(12, &MetadataRequest::default().with_topics(None)).await.topics[0].topic_id;
    let mut request = fetch_request("", &[(0, 0)]);
    request.topics[0].topic_id = id;
    let response = old.call(16, &request).await;
    let refused = partitions(&response)[0];
    assert_eq!((refused.error_code, refused.current_leader.leader_id.0), (6, 3));
    assert_eq!(response.node_endpoints[2].port, 9092);
    let mut new = Client::connect(&cluster, 3).await;
    assert_eq!(new.produce("t", 0, three()).await.base_offset, 3);
    let epochs: Vec<i32> = headers(new.fetch("t", 0, 0).await.records.as_ref().unwrap())
        .iter()
        .map(|header| header.partition_leader_epoch)
        .collect();
    assert_eq!(epochs, [0, 1]);
}

#[tokio::test]
async fn a_crash_breaks_connections_and_moves_leaders() {
    let network = MemoryNetwork::new();
    for cluster in [
        TestCluster::builder().brokers(2).network(&network).start_memory(),
        TestCluster::builder().brokers(2).start_tcp().await.unwrap(),
    ] {
        cluster.create_topic("t", 2, &[]).unwrap();
        let mut client = Client::connect(&cluster, 1).await;
        assert_eq!(client.produce("t", 0, three()).await.error_code, 0);
        cluster.crash(1).await;
        assert!(client.try_call(9, &produce_request("t", 0, three())).await.is_none());
        assert!(Client::try_connect(&cluster, 1).await.is_err());
        assert_eq!(cluster.leader("t", 0).unwrap(), (Some(2), 1));
        let mut client = Client::connect(&cluster, 2).await;
        let metadata = client.call(9, &MetadataRequest::default().with_topics(None)).await;
        assert_eq!(metadata.brokers.len(), 1);
        assert_eq!(metadata.topics[0].partitions[0].offline_replicas.len(), 1);
        assert_eq!(client.produce("t", 0, three()).await.base_offset, 3);
        cluster.restart(1).unwrap();
        assert_eq!(cluster.leader("t", 0).unwrap(), (Some(2), 1), "no leader moves back by itself");
        let mut client = Client::connect(&cluster, 1).await;
        assert_eq!(client.produce("t", 0, three()).await.error_code, 6);
    }
}

#[tokio::test]
async fn a_lone_broker_comes_back_without_its_last_batches() {
    let cluster = TestCluster::builder().start_tcp().await.unwrap();
    cluster.create_topic("t", 1, &[]).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    for sequence in [0, 3, 6] {
        let records = batch((0..3).map(|_| ("k", "v"))).producer(7, 0, sequence).build();
        assert_eq!(client.produce("t", 0, records).await.error_code, 0);
    }
    cluster.crash(1).await;
    assert_eq!(cluster.leader("t", 0).unwrap(), (None, 1));
    cluster.restart_losing(1, 2).unwrap();
    assert_eq!(cluster.leader("t", 0).unwrap(), (Some(1), 2));
    assert_eq!(cluster.log_end("t", 0).unwrap(), 3);
    assert_eq!(cluster.producer_states("t", 0).unwrap()[&7].last_sequence(), 2);
    let mut client = Client::connect(&cluster, 1).await;
    let records = batch((0..3).map(|_| ("k", "v"))).producer(7, 0, 3).build();
    assert_eq!(client.produce("t", 0, records).await.base_offset, 3);
    // Epochs 0, 2 and 4 wrote; 1 had no leader, and 3 had one that wrote nothing.
    cluster.bump_epoch("t", 0).unwrap();
    cluster.bump_epoch("t", 0).unwrap();
    cluster.append("t", 0, &three()).unwrap();
    let mut answers = Vec::new();
    for epoch in [0, 1, 2, 3, 4, 5] {
        let partition =
            OffsetForLeaderPartition::default().with_current_leader_epoch(4).with_leader_epoch(epoch);
        let topics =
            vec![OffsetForLeaderTopic::default().with_topic(topic("t")).with_partitions(vec![partition])];
        let request = OffsetForLeaderEpochRequest::default().with_topics(topics);
        let answer = client.call(4, &request).await.topics.remove(0).partitions.remove(0);
        answers.push((answer.leader_epoch, answer.end_offset));
    }
    assert_eq!(answers, [(0, 3), (0, 3), (2, 6), (2, 6), (4, 9), (-1, -1)]);
}

#[tokio::test]
async fn the_end_of_the_handle_is_the_end_of_the_cluster() {
    let network = MemoryNetwork::new();
    let cluster = TestCluster::builder().cluster_id("A").network(&network).start_memory();
    let other = TestCluster::builder().cluster_id("B").network(&network).start_memory();
    assert_eq!((cluster.bootstrap(), other.bootstrap()), ("a-1:9092".into(), "b-1:9092".into()));
    let mut client = Client::connect(&cluster, 1).await;
    drop(cluster);
    assert!(client.receive_frame().await.is_none());
    assert!(network.dial("a-1", 9092).is_err());
    assert!(network.dial("b-1", 9092).is_ok());
}
