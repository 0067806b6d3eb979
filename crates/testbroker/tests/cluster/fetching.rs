//! What a fetch returns, where it is cut, and how long it waits.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{FetchRequest, FetchResponse, MetadataRequest};
use tokio::time::Instant;
use verbatim_testbroker::{ErrorCode, TestCluster, batch};

use crate::client::{Client, fetch_request, headers, partitions, topic};

/// One broker, one topic of three partitions with four batches of 3 records each.
fn filled() -> TestCluster {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 3, &[]).unwrap();
    for partition in 0..3 {
        for _ in 0..4 {
            cluster.append("t", partition, &three()).unwrap();
        }
    }
    cluster
}

fn three() -> Bytes {
    batch((0..3).map(|_| ("k", "v"))).build()
}

fn base_offsets(records: Option<&Bytes>) -> Vec<i64> {
    headers(records.unwrap()).iter().map(|header| header.base_offset).collect()
}

#[tokio::test]
async fn every_fetch_version_reads() {
    let cluster = filled();
    let mut client = Client::connect(&cluster, 1).await;
    let wanted = MetadataRequestTopic::default().with_name(Some(topic("t")));
    let metadata = client.call(12, &MetadataRequest::default().with_topics(Some(vec![wanted]))).await;
    for version in 4..=18 {
        let mut request = fetch_request("t", &[(0, 4), (1, 12), (2, 13)]);
        if version >= 13 {
            request.topics[0].topic = topic("");
            request.topics[0].topic_id = metadata.topics[0].topic_id;
        }
        let response = client.call(version, &request).await;
        let [first, end, beyond] = partitions(&response)[..] else { panic!("three partitions") };
        assert_eq!(base_offsets(first.records.as_ref()), [3, 6, 9], "version {version}");
        assert_eq!((end.error_code, end.high_watermark, end.records.as_ref().unwrap().len()), (0, 12, 0));
        assert_eq!(ErrorCode(beyond.error_code), ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    let mut request = fetch_request("", &[(0, 0)]);
    request.topics[0].topic_id = uuid::Uuid::from_u64_pair(1, 2);
    let response = client.call(13, &request).await;
    assert_eq!(ErrorCode(partitions(&response)[0].error_code), ErrorCode::UNKNOWN_TOPIC_ID);
}

#[tokio::test]
async fn the_last_batch_is_cut_at_the_byte_limit() {
    let cluster = filled();
    let mut client = Client::connect(&cluster, 1).await;
    let size = three().len();
    for limit in [size, size + 1, size + 11, size + 61, 2 * size - 1, 2 * size] {
        let mut request = fetch_request("t", &[(0, 0)]);
        request.topics[0].partitions[0].partition_max_bytes = limit as i32;
        let response = client.call(11, &request).await;
        let records = partitions(&response)[0].records.clone().unwrap();
        assert_eq!(records.len(), limit);
        let log = cluster.log("t", 0).unwrap().concat();
        assert_eq!(records[..], log[..limit]);
    }
}

#[tokio::test]
async fn only_the_first_partition_may_exceed_the_limit() {
    let cluster = filled();
    let mut client = Client::connect(&cluster, 1).await;
    let size = three().len();
    let lengths = |response: &FetchResponse| -> Vec<usize> {
        partitions(response).iter().map(|it| it.records.as_ref().unwrap().len()).collect()
    };
    // At the end of partition 0 there is nothing: partition 1 is the first with data.
    let tiny = fetch_request("t", &[(0, 12), (1, 0), (2, 0)]).with_max_bytes(1);
    assert_eq!(lengths(&client.call(11, &tiny).await), [0, size, 0]);
    // What is left after the first does not hold a whole batch: empty, not cut.
    let short = fetch_request("t", &[(0, 9), (1, 0), (2, 0)]).with_max_bytes(2 * size as i32 - 1);
    assert_eq!(lengths(&client.call(11, &short).await), [size, 0, 0]);
    // Room for one and a half: cut.
    let cut = fetch_request("t", &[(0, 9), (1, 0), (2, 0)]).with_max_bytes(2 * size as i32 + 5);
    assert_eq!(lengths(&client.call(11, &cut).await), [size, size + 5, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_at_enough_bytes_or_in_time() {
    let cluster = filled();
    let mut client = Client::connect(&cluster, 1).await;
    let size = three().len() as i32;
    let request = fetch_request("t", &[(0, 12)]).with_max_wait_ms(5000).with_min_bytes(size + 1);
    let begun = Instant::now();
    let response = client.call(11, &request).await;
    assert_eq!(partitions(&response)[0].records.as_ref().unwrap().len(), 0);
    assert_eq!(begun.elapsed(), Duration::from_millis(5000));

    let begun = Instant::now();
    client.send(11, &request).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.append("t", 0, &three()).unwrap();
    }
    let response = client.receive::<FetchRequest>(11).await.unwrap();
    assert_eq!(base_offsets(partitions(&response)[0].records.as_ref()), [12, 15]);
    assert_eq!(begun.elapsed(), Duration::from_millis(200));

    // An error does not wait for bytes.
    let begun = Instant::now();
    client.send(11, &fetch_request("t", &[(0, 18)]).with_max_wait_ms(5000).with_min_bytes(1)).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    cluster.delete_topic("t").unwrap();
    let response = client.receive::<FetchRequest>(11).await.unwrap();
    assert_eq!(partitions(&response)[0].error_code, 3);
    assert_eq!(begun.elapsed(), Duration::from_millis(10));
}

#[tokio::test]
async fn sessions_answer_only_news() {
    let cluster = filled();
    let mut client = Client::connect(&cluster, 1).await;
    let opened =
        client.call(11, &fetch_request("t", &[(0, 12), (1, 12), (2, 12)]).with_session_epoch(0)).await;
    let id = opened.session_id;
    assert_ne!(id, 0);
    assert_eq!(partitions(&opened).len(), 3);
    let next = |epoch, offsets: &[(i32, i64)]| {
        fetch_request("t", offsets).with_session_id(id).with_session_epoch(epoch)
    };
    assert_eq!(partitions(&client.call(11, &next(1, &[])).await).len(), 0);
    cluster.append("t", 1, &three()).unwrap();
    let news = client.call(11, &next(2, &[])).await;
    assert_eq!(news.session_id, id);
    assert_eq!(partitions(&news).iter().map(|it| it.partition_index).collect::<Vec<_>>(), [1]);
    // The client has read on; partition 1 stands behind the others now.
    assert_eq!(partitions(&client.call(11, &next(3, &[(1, 15)])).await).len(), 0);
    cluster.append("t", 1, &three()).unwrap();
    cluster.append("t", 2, &three()).unwrap();
    let news = client.call(11, &next(4, &[])).await;
    assert_eq!(partitions(&news).iter().map(|it| it.partition_index).collect::<Vec<_>>(), [2, 1]);
    // A forgotten partition is not read.
    let forgotten = ForgottenTopic::default().with_topic(topic("t")).with_partitions(vec![1, 2]);
    let request = next(5, &[]).with_forgotten_topics_data(vec![forgotten]);
    assert_eq!(partitions(&client.call(11, &request).await).len(), 0);
    // Epochs are counted; topic ids and names do not mix.
    assert_eq!(client.call(11, &next(5, &[])).await.error_code, 71);
    let mut by_id = next(6, &[]);
    by_id.topics.clear();
    assert_eq!(client.call(13, &by_id).await.error_code, 106);
    cluster.evict_fetch_sessions(1);
    assert_eq!(client.call(11, &next(6, &[])).await.error_code, 70);
}

#[tokio::test(start_paused = true)]
async fn a_full_cache_only_evicts_sessions_that_rested() {
    let cluster = TestCluster::builder().fetch_session_slots(1).start_memory();
    cluster.create_topic("t", 1, &[]).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    let open = fetch_request("t", &[(0, 0)]).with_session_epoch(0);
    let first = client.call(11, &open).await.session_id;
    assert_eq!(client.call(11, &open).await.session_id, 0, "no slot: answered without a session");
    tokio::time::sleep(Duration::from_secs(121)).await;
    let second = client.call(11, &open).await.session_id;
    assert!(second != 0 && second != first);
    let stale = fetch_request("t", &[]).with_session_id(first).with_session_epoch(1);
    assert_eq!(client.call(11, &stale).await.error_code, 70);
    // Closing frees the slot.
    let close = fetch_request("t", &[]).with_session_id(second).with_session_epoch(-1);
    assert_eq!(client.call(11, &close).await.error_code, 0);
    assert_ne!(client.call(11, &open).await.session_id, 0);
}

#[tokio::test]
async fn leader_epochs_are_checked_and_divergence_is_told() {
    let cluster = filled();
    let mut client = Client::connect(&cluster, 1).await;
    let ask = async |client: &mut Client, offset, current, fetched| {
        let partition = FetchPartition::default()
            .with_fetch_offset(offset)
            .with_current_leader_epoch(current)
            .with_last_fetched_epoch(fetched)
            .with_partition_max_bytes(1 << 20);
        let topics = vec![FetchTopic::default().with_topic(topic("t")).with_partitions(vec![partition])];
        let request =
            FetchRequest::default().with_max_bytes(1 << 20).with_session_epoch(-1).with_topics(topics);
        let response = client.call(12, &request).await;
        let answer = partitions(&response)[0].clone();
        let diverging = (answer.diverging_epoch.epoch, answer.diverging_epoch.end_offset);
        (answer.error_code, diverging, base_offsets(answer.records.as_ref()))
    };
    // Everything from 7 on is lost, the batch that holds 7 with it; then epoch 1 writes.
    cluster.truncate("t", 0, 7).unwrap();
    assert_eq!(cluster.log_end("t", 0).unwrap(), 6);
    cluster.append("t", 0, &three()).unwrap();
    let none = (-1, -1);
    assert_eq!(ask(&mut client, 0, 0, -1).await.0, 74);
    assert_eq!(ask(&mut client, 0, 2, -1).await.0, 75);
    assert_eq!(ask(&mut client, 6, 1, -1).await, (0, none, vec![6]));
    assert_eq!(ask(&mut client, 6, 1, 0).await, (0, none, vec![6]));
    assert_eq!(ask(&mut client, 9, 1, 0).await, (0, (0, 6), vec![]));
    assert_eq!(ask(&mut client, 9, 1, 1).await, (0, none, vec![]));
    assert_eq!(ask(&mut client, 9, 1, 5).await.0, 1, "an epoch the leader never heard of");
}

#[tokio::test]
async fn deleted_records_leave_whole_batches() {
    let cluster = filled();
    let mut client = Client::connect(&cluster, 1).await;
    assert_eq!(cluster.delete_records("t", 0, 4).unwrap(), 4);
    let answer = client.fetch("t", 0, 4).await;
    assert_eq!((answer.log_start_offset, base_offsets(answer.records.as_ref())), (4, vec![3, 6, 9]));
    let below = client.fetch("t", 0, 3).await;
    assert_eq!((below.error_code, below.log_start_offset), (1, -1));
}

#[tokio::test]
async fn retention_by_bytes_drops_the_oldest_batches() {
    let cluster = TestCluster::builder().start_memory();
    let two_batches = (2 * three().len()).to_string();
    cluster.create_topic("t", 1, &[("retention.bytes", &two_batches)]).unwrap();
    (0..5).for_each(|_| assert!(cluster.append("t", 0, &three()).is_ok()));
    assert_eq!((cluster.log_start("t", 0), cluster.log_end("t", 0)), (Ok(9), Ok(15)));
    assert_eq!(cluster.log_bytes("t", 0).unwrap(), 2 * three().len());
}

#[tokio::test]
async fn large_payloads_come_back_whole_in_many_chunks() {
    let cluster = TestCluster::builder().start_tcp().await.unwrap();
    cluster.create_topic("t", 1, &[]).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    // More chunks than one writev takes, of sizes on both sides of the copy threshold.
    for n in 0..200 {
        let value = vec![n as u8; 10 + n * 40];
        assert_eq!(client.produce("t", 0, batch([("k", value)]).build()).await.error_code, 0);
    }
    let request = fetch_request("t", &[(0, 0)]).with_max_bytes(10 << 20);
    let response = client.call(11, &request).await;
    let records = partitions(&response)[0].records.clone().unwrap();
    let log = cluster.log("t", 0).unwrap().concat();
    assert!(records.len() > 1 << 19);
    assert_eq!(records[..], log[..records.len()]);
}
