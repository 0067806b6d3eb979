//! Transactions, markers, and what read_committed sees.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeProducersRequest, EndTxnRequest, FetchRequest,
    GroupId, InitProducerIdRequest, ProducerId, TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::StrBytes;
use verbatim_testbroker::{TestCluster, batch};

use crate::client::{Client, fetch_request, headers, partitions, produce_request, topic, transactional};

type Producer = (i64, i16);

fn one_broker() -> TestCluster {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 2, &[]).unwrap();
    cluster
}

fn three(producer: Producer, sequence: i32) -> Bytes {
    let records = batch((0..3).map(|_| ("k", "v")));
    records.producer(producer.0, producer.1, sequence).transactional().build()
}

async fn init(client: &mut Client, id: &str) -> (i16, Producer) {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(transactional(id)))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let response = client.call(4, &request).await;
    (response.error_code, (response.producer_id.0, response.producer_epoch))
}

async fn add(client: &mut Client, id: &str, producer: Producer, partitions: Vec<i32>) -> i16 {
    let topics = vec![AddPartitionsToTxnTopic::default().with_name(topic("t")).with_partitions(partitions)];
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional(id))
        .with_v3_and_below_producer_id(ProducerId(producer.0))
        .with_v3_and_below_producer_epoch(producer.1)
        .with_v3_and_below_topics(topics);
    let response = client.call(3, &request).await;
    response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
}

async fn end(
    client: &mut Client,
    version: i16,
    id: &str,
    producer: Producer,
    commit: bool,
) -> (i16, Producer) {
    let request = EndTxnRequest::default()
        .with_transactional_id(transactional(id))
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_committed(commit);
    let response = client.call(version, &request).await;
    (response.error_code, (response.producer_id.0, response.producer_epoch))
}

async fn write(client: &mut Client, version: i16, id: &str, partition: i32, records: Bytes) -> i16 {
    let request = produce_request("t", partition, records).with_transactional_id(Some(transactional(id)));
    client.call(version, &request).await.responses[0].partition_responses[0].error_code
}

/// Base offsets and aborted transactions that read_committed sees.
async fn committed(client: &mut Client, partition: i32, offset: i64) -> (Vec<i64>, Vec<(i64, i64)>) {
    let request = fetch_request("t", &[(partition, offset)]).with_isolation_level(1);
    let response = client.call(11, &request).await;
    let answer = partitions(&response)[0];
    let aborted = answer.aborted_transactions.as_ref().unwrap();
    (
        headers(answer.records.as_ref().unwrap()).iter().map(|header| header.base_offset).collect(),
        aborted.iter().map(|it| (it.producer_id.0, it.first_offset)).collect(),
    )
}

#[tokio::test]
async fn read_committed_stops_at_the_first_open_transaction_and_lists_the_aborted() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let (_, a) = init(&mut client, "a").await;
    let (_, b) = init(&mut client, "b").await;
    assert_eq!(add(&mut client, "a", a, vec![0, 1]).await, 0);
    assert_eq!(add(&mut client, "b", b, vec![0]).await, 0);
    assert_eq!(write(&mut client, 9, "a", 0, three(a, 0)).await, 0);
    assert_eq!(write(&mut client, 9, "b", 0, three(b, 0)).await, 0);
    assert_eq!(cluster.last_stable_offset("t", 0).unwrap(), 0);
    assert_eq!(committed(&mut client, 0, 0).await, (vec![], vec![]));
    assert_eq!(end(&mut client, 3, "a", a, false).await.0, 0);
    assert_eq!(cluster.last_stable_offset("t", 0).unwrap(), 3, "b is still open");
    assert_eq!(committed(&mut client, 0, 0).await, (vec![0], vec![(a.0, 0)]));
    assert_eq!(end(&mut client, 3, "b", b, true).await.0, 0);
    assert_eq!(committed(&mut client, 0, 0).await, (vec![0, 3, 6, 7], vec![(a.0, 0)]));
    // The aborted one overlaps what is read from 3 on (its marker is at 6), not what is read from 7 on.
    assert_eq!(committed(&mut client, 0, 4).await, (vec![3, 6, 7], vec![(a.0, 0)]));
    assert_eq!(committed(&mut client, 0, 7).await, (vec![7], vec![]));
    // Of what lies behind the returned batches nothing is listed.
    let mut short = fetch_request("t", &[(0, 0)]).with_isolation_level(1);
    short.topics[0].partitions[0].partition_max_bytes = 1;
    cluster.append("t", 0, &three((77, 0), 0)).unwrap();
    cluster.abort("t", 0, (77, 0)).unwrap();
    let response = client.call(11, &short).await;
    let listed = partitions(&response)[0].aborted_transactions.clone().unwrap();
    assert_eq!(listed.iter().map(|it| it.producer_id.0).collect::<Vec<_>>(), [a.0]);
    // A partition that was added and not written got its marker, too.
    assert_eq!(cluster.log("t", 1).unwrap().iter().map(Bytes::len).collect::<Vec<_>>(), [78]);
    // Read uncommitted: everything, and no list.
    let all = client.fetch("t", 0, 0).await;
    assert_eq!(headers(all.records.as_ref().unwrap()).len(), 6);
    assert!(all.aborted_transactions.is_none());
    let mut markers = cluster.log("t", 0).unwrap()[2].clone();
    let marker = kafka_protocol::records::RecordBatchDecoder::decode(&mut markers).unwrap().records.remove(0);
    assert!(marker.control && marker.transactional);
    assert_eq!(marker.key.unwrap()[..], [0, 0, 0, 0]);
    assert_eq!(marker.value.unwrap()[..], [0; 6]);
}

#[tokio::test]
async fn transactional_batches_need_their_transaction() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let (_, producer) = init(&mut client, "a").await;
    assert_eq!(write(&mut client, 9, "a", 0, three(producer, 0)).await, 48);
    assert_eq!(write(&mut client, 11, "a", 0, three(producer, 0)).await, 120);
    assert_eq!(write(&mut client, 9, "nobody", 0, three(producer, 0)).await, 49);
    assert_eq!(add(&mut client, "a", (producer.0, 9), vec![0]).await, 90);
    assert_eq!(add(&mut client, "a", producer, vec![0]).await, 0);
    assert_eq!(add(&mut client, "a", producer, vec![7]).await, 3);
    assert_eq!(write(&mut client, 9, "a", 1, three(producer, 0)).await, 48, "another partition");
    assert_eq!(write(&mut client, 9, "a", 0, three(producer, 0)).await, 0);
    let plain = batch([("k", "v")]).producer(producer.0, producer.1, 3).build();
    assert_eq!(client.produce("t", 0, plain).await.error_code, 48);
    assert_eq!(end(&mut client, 3, "a", producer, true).await.0, 0);
    assert_eq!(end(&mut client, 3, "a", producer, true).await.0, 0, "a repeated commit");
    assert_eq!(end(&mut client, 3, "a", producer, false).await.0, 48);
}

#[tokio::test]
async fn a_new_owner_aborts_and_fences_the_old_one() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let (_, old) = init(&mut client, "a").await;
    add(&mut client, "a", old, vec![0]).await;
    write(&mut client, 9, "a", 0, three(old, 0)).await;
    assert_eq!(init(&mut client, "a").await.0, 51, "come again when it is aborted");
    let (code, new) = init(&mut client, "a").await;
    assert_eq!((code, new), (0, (old.0, old.1 + 2)));
    assert_eq!(committed(&mut client, 0, 0).await, (vec![0, 3], vec![(old.0, 0)]));
    assert_eq!(end(&mut client, 3, "a", old, true).await.0, 90);
    assert_eq!(end(&mut client, 1, "a", old, true).await.0, 47);
    assert_eq!(cluster.append("t", 0, &three(old, 3)).unwrap_err().0, 47);
}

#[tokio::test]
async fn who_asks_with_an_old_epoch_is_fenced() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    init(&mut client, "a").await;
    let (_, producer) = init(&mut client, "a").await;
    for (version, epoch, code) in [(4, 0, 90), (3, 0, 47), (4, producer.1, 0)] {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional("a")))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(epoch);
        assert_eq!(client.call(version, &request).await.error_code, code);
    }
    let greedy = InitProducerIdRequest::default()
        .with_transactional_id(Some(transactional("b")))
        .with_transaction_timeout_ms(900_001)
        .with_producer_id(ProducerId(-1));
    assert_eq!(client.call(4, &greedy).await.error_code, 50);
}

#[tokio::test]
async fn transactions_version_2_adds_partitions_and_bumps_the_epoch() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let (_, first) = init(&mut client, "a").await;
    assert_eq!(write(&mut client, 12, "a", 0, three(first, 0)).await, 0);
    let (code, second) = end(&mut client, 5, "a", first, true).await;
    assert_eq!((code, second), (0, (first.0, first.1 + 1)));
    assert_eq!(end(&mut client, 5, "a", first, true).await, (0, second), "the answer was lost");
    assert_eq!(write(&mut client, 12, "a", 0, three(second, 0)).await, 0);
    let (code, third) = end(&mut client, 5, "a", second, false).await;
    assert_eq!(code, 0);
    assert_eq!(committed(&mut client, 0, 0).await, (vec![0, 3, 4, 7], vec![(first.0, 4)]));
    let epochs: Vec<i16> =
        cluster.log("t", 0).unwrap().iter().map(|it| headers(it)[0].producer_epoch - first.1).collect();
    assert_eq!(epochs, [0, 1, 1, 2]);
    // An abort of nothing takes an epoch and writes nothing.
    assert_eq!(end(&mut client, 5, "a", third, false).await, (0, (third.0, third.1 + 1)));
    assert_eq!(cluster.log_end("t", 0).unwrap(), 8);
}

#[tokio::test]
async fn held_markers_come_after_the_answer() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let (_, producer) = init(&mut client, "a").await;
    add(&mut client, "a", producer, vec![0]).await;
    write(&mut client, 9, "a", 0, three(producer, 0)).await;
    cluster.hold_transaction_markers(true);
    assert_eq!(end(&mut client, 3, "a", producer, true).await.0, 0);
    assert_eq!(cluster.log_end("t", 0).unwrap(), 3);
    assert_eq!(add(&mut client, "a", producer, vec![0]).await, 51);
    assert_eq!(init(&mut client, "a").await.0, 51);
    cluster.hold_transaction_markers(false);
    assert_eq!(cluster.log_end("t", 0).unwrap(), 4);
    assert_eq!(add(&mut client, "a", producer, vec![0]).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_left_open_is_aborted_in_time() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let (_, producer) = init(&mut client, "a").await;
    add(&mut client, "a", producer, vec![0]).await;
    write(&mut client, 9, "a", 0, three(producer, 0)).await;
    let request = fetch_request("t", &[(0, 3)]).with_max_wait_ms(90_000).with_min_bytes(1);
    let begun = tokio::time::Instant::now();
    client.send(11, &request).await;
    let response = client.receive::<FetchRequest>(11).await.unwrap();
    assert_eq!(headers(partitions(&response)[0].records.as_ref().unwrap())[0].base_offset, 3);
    assert_eq!(begun.elapsed(), Duration::from_secs(60));
    assert_eq!(end(&mut client, 3, "a", producer, true).await.0, 90);
}

#[tokio::test]
async fn offsets_of_a_transaction_count_from_its_commit_on() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let (_, producer) = init(&mut client, "a").await;
    let group = GroupId(StrBytes::from_static_str("g"));
    let offset = TxnOffsetCommitRequestPartition::default().with_partition_index(1).with_committed_offset(42);
    let topics =
        vec![TxnOffsetCommitRequestTopic::default().with_name(topic("t")).with_partitions(vec![offset])];
    let commit = TxnOffsetCommitRequest::default()
        .with_transactional_id(transactional("a"))
        .with_group_id(group.clone())
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_generation_id(-1)
        .with_topics(topics);
    let add_offsets = AddOffsetsToTxnRequest::default()
        .with_transactional_id(transactional("a"))
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_group_id(group);
    let early = client.call(3, &commit).await;
    assert_eq!(early.topics[0].partitions[0].error_code, 48);
    for (ending, expected) in [(false, None), (true, Some(42))] {
        assert_eq!(client.call(3, &add_offsets).await.error_code, 0);
        assert_eq!(client.call(3, &commit).await.topics[0].partitions[0].error_code, 0);
        assert_eq!(cluster.group_offsets("g"), BTreeMap::new());
        assert_eq!(end(&mut client, 3, "a", producer, ending).await.0, 0);
        let offsets = cluster.group_offsets("g");
        assert_eq!(offsets.get(&("t".to_owned(), 1)).map(|it| it.offset), expected);
    }
}

#[tokio::test]
async fn markers_sent_directly_cost_one_offset_each() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let marker = |coordinator_epoch, epoch| {
        WritableTxnMarker::default()
            .with_producer_id(ProducerId(9))
            .with_producer_epoch(epoch)
            .with_coordinator_epoch(coordinator_epoch)
            .with_topics(vec![
                WritableTxnMarkerTopic::default().with_name(topic("t")).with_partition_indexes(vec![0, 0]),
            ])
    };
    let send = async |client: &mut Client, markers| {
        let response = client.call(1, &WriteTxnMarkersRequest::default().with_markers(markers)).await;
        response.markers[0].topics[0].partitions[0].error_code
    };
    assert_eq!(send(&mut client, vec![marker(0, 0); 1000]).await, 0);
    assert_eq!(cluster.log_end("t", 0).unwrap(), 1000);
    // Data of the same producer goes on from sequence 0; markers leave its memory alone.
    let data = batch([("k", "v")]).producer(9, 0, 0).build();
    assert_eq!(client.produce("t", 0, data.clone()).await.base_offset, 1000);
    assert_eq!(send(&mut client, vec![marker(5, 0)]).await, 0);
    assert_eq!(client.produce("t", 0, data).await.base_offset, 1000);
    assert_eq!(send(&mut client, vec![marker(4, 0)]).await, 52);
    assert_eq!(send(&mut client, vec![marker(5, 0)]).await, 0);
    assert_eq!(send(&mut client, vec![marker(6, 1)]).await, 0);
    assert_eq!(send(&mut client, vec![marker(6, 0)]).await, 47);
    assert_eq!(cluster.log_end("t", 0).unwrap(), 1004);
    assert_eq!(cluster.last_stable_offset("t", 0).unwrap(), 1004);
    let topics = vec![TopicRequest::default().with_name(topic("t")).with_partition_indexes(vec![0])];
    let described = client.call(0, &DescribeProducersRequest::default().with_topics(topics)).await;
    let producer = &described.topics[0].partitions[0].active_producers[0];
    assert_eq!((producer.producer_id.0, producer.producer_epoch, producer.last_sequence), (9, 1, -1));
    assert_eq!(producer.coordinator_epoch, 6);
}
