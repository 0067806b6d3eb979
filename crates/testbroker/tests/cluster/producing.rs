//! What a broker accepts, refuses, and recognises as already written.

use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::{InitProducerIdRequest, MetadataRequest};
use verbatim_testbroker::{BatchBuilder, ErrorCode, TestCluster, batch, opaque_batch};
use verbatim_wire::records::header::Attributes;

use crate::client::{Client, produce_request, topic};

fn one_broker() -> TestCluster {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 2, &[]).unwrap();
    cluster
}

fn ten() -> BatchBuilder {
    batch((0..10).map(|n| (format!("key {n}"), "value")))
}

#[tokio::test]
async fn what_is_produced_comes_back_with_only_offset_and_epoch_changed() {
    for cluster in [
        TestCluster::builder().brokers(3).start_memory(),
        TestCluster::builder().brokers(3).start_tcp().await.unwrap(),
    ] {
        cluster.create_topic("t", 1, &[]).unwrap();
        let mut client = Client::connect(&cluster, 1).await;
        let sent = ten().build();
        for base_offset in [0, 10, 20] {
            let answer = client.produce("t", 0, sent.clone()).await;
            assert_eq!((answer.error_code, answer.base_offset), (0, base_offset));
        }
        let records = client.fetch("t", 0, 13).await.records.unwrap();
        assert_eq!(records.len(), 2 * sent.len());
        assert_eq!(records[..8], 10i64.to_be_bytes());
        assert_eq!(records[12..16], 0i32.to_be_bytes());
        assert_eq!(records[16..sent.len()], sent[16..]);
        let mut decoded = records.clone();
        let sets = kafka_protocol::records::RecordBatchDecoder::decode_all(&mut decoded).unwrap();
        assert_eq!(sets.iter().map(|set| set.records.len()).sum::<usize>(), 20);
        assert_eq!(sets[0].records[3].key, Some(Bytes::from("key 3")));
    }
}

#[tokio::test]
async fn every_produce_version_writes() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let wanted = MetadataRequestTopic::default().with_name(Some(topic("t")));
    let metadata = client.call(12, &MetadataRequest::default().with_topics(Some(vec![wanted]))).await;
    for version in 3..=13 {
        let mut request = produce_request("t", 0, ten().build());
        if version == 13 {
            request.topic_data[0].name = topic("");
            request.topic_data[0].topic_id = metadata.topics[0].topic_id;
        }
        let response = client.call(version, &request).await;
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(answer.base_offset, i64::from(version - 3) * 10, "version {version}");
    }
}

#[test]
fn the_handle_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<TestCluster>();
}

#[tokio::test]
async fn kafkas_refusals() {
    let cluster = one_broker();
    cluster.create_topic("compacted", 1, &[("cleanup.policy", "compact")]).unwrap();
    cluster.create_topic("small", 1, &[("max.message.bytes", "100")]).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    let two = [ten().build(), ten().build()].concat();
    let mut flipped = ten().build().to_vec();
    flipped[90] ^= 1;
    let mut legacy = ten().build().to_vec();
    legacy[16] = 1;
    let keyless = batch([verbatim_testbroker::Record::keyless("v")]);
    let late = cluster.now_ms() + 3_700_000;
    let cases: Vec<(&str, &str, Bytes, ErrorCode)> = vec![
        ("two batches", "t", two.into(), ErrorCode::INVALID_RECORD),
        ("no batch", "t", Bytes::new(), ErrorCode::INVALID_RECORD),
        ("format 1", "t", legacy.into(), ErrorCode::INVALID_RECORD),
        ("wrong CRC", "t", flipped.into(), ErrorCode::CORRUPT_MESSAGE),
        ("base offset", "t", ten().header(|h| h.base_offset = 1).build(), ErrorCode::INVALID_RECORD),
        ("a hole", "t", ten().header(|h| h.last_offset_delta = 10).build(), ErrorCode::INVALID_RECORD),
        (
            "wrong count",
            "t",
            ten().header(|h| (h.records_count, h.last_offset_delta) = (11, 10)).build(),
            ErrorCode::INVALID_RECORD,
        ),
        (
            "no records",
            "t",
            ten().header(|h| (h.records_count, h.last_offset_delta) = (0, -1)).build(),
            ErrorCode::INVALID_RECORD,
        ),
        (
            "control",
            "t",
            ten().header(|h| h.attributes.0 |= Attributes::CONTROL).build(),
            ErrorCode::INVALID_RECORD,
        ),
        ("no sequence", "t", ten().producer(5, 0, -1).build(), ErrorCode::INVALID_RECORD),
        (
            "codec 6",
            "t",
            opaque_batch(Bytes::from_static(b"x"), 1, 6).build(),
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ),
        (
            "transactional",
            "t",
            ten().producer(5, 0, 0).transactional().build(),
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ),
        ("too large", "small", ten().build(), ErrorCode::MESSAGE_TOO_LARGE),
        ("no key", "compacted", keyless.build(), ErrorCode::INVALID_RECORD),
        ("future", "t", ten().timestamp_ms(late).build(), ErrorCode::INVALID_TIMESTAMP),
        ("unknown topic", "nobody", ten().build(), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ];
    for (case, topic, records, code) in cases {
        let answer = client.produce(topic, 0, records).await;
        assert_eq!((case, ErrorCode(answer.error_code)), (case, code));
        assert_eq!(answer.base_offset, -1);
    }
    assert_eq!(cluster.log_end("t", 0).unwrap(), 0);
    let zstd = opaque_batch(Bytes::from_static(b"opaque"), 3, 4).build();
    let old = client.call(6, &produce_request("t", 0, zstd.clone())).await;
    let code = old.responses[0].partition_responses[0].error_code;
    assert_eq!(ErrorCode(code), ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    assert_eq!(client.produce("t", 0, zstd).await.error_code, 0);
}

#[tokio::test]
async fn a_cut_second_batch_is_dropped_silently() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let whole = ten().build();
    let records = [&whole[..], &whole[..40]].concat();
    assert_eq!(client.produce("t", 0, records.into()).await.error_code, 0);
    assert_eq!(
        cluster.log("t", 0).unwrap(),
        [{
            let mut stored = whole.to_vec();
            stored[12..16].copy_from_slice(&[0; 4]);
            Bytes::from(stored)
        }]
    );
}

#[tokio::test]
async fn a_partition_named_twice_counts_once() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let mut request = produce_request("t", 0, ten().build());
    let again = PartitionProduceData::default().with_index(0).with_records(Some(batch([("k", "v")]).build()));
    request.topic_data[0].partition_data.push(again);
    let response = client.call(9, &request).await;
    assert_eq!(response.responses[0].partition_responses.len(), 1);
    assert_eq!(cluster.log_end("t", 0).unwrap(), 1);
}

#[tokio::test]
async fn sequences() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let at = |epoch, sequence| ten().producer(7, epoch, sequence).build();
    let outcome = async |client: &mut Client, records| {
        let answer = client.produce("t", 0, records).await;
        (ErrorCode(answer.error_code), answer.base_offset)
    };
    let refused = |code| (code, -1);
    // An unknown producer may begin anywhere.
    assert_eq!(outcome(&mut client, at(0, 50)).await, (ErrorCode::NONE, 0));
    for n in 1..=5 {
        assert_eq!(outcome(&mut client, at(0, 50 + 10 * n)).await, (ErrorCode::NONE, i64::from(n) * 10));
    }
    // The last five are recognised, the sixth is not.
    assert_eq!(outcome(&mut client, at(0, 60)).await, (ErrorCode::NONE, 10));
    assert_eq!(outcome(&mut client, at(0, 50)).await, refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    // A gap, and an overlap with other boundaries.
    assert_eq!(outcome(&mut client, at(0, 111)).await, refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(outcome(&mut client, at(0, 105)).await, refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(cluster.log_end("t", 0).unwrap(), 60);
    // A new epoch begins at 0 and fences the old one.
    assert_eq!(outcome(&mut client, at(3, 1)).await, refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(outcome(&mut client, at(3, 0)).await, (ErrorCode::NONE, 60));
    assert_eq!(outcome(&mut client, at(2, 0)).await, refused(ErrorCode::INVALID_PRODUCER_EPOCH));
}

#[tokio::test]
async fn sequences_wrap_to_zero() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let at = |sequence| ten().producer(7, 0, sequence).build();
    assert_eq!(client.produce("t", 0, at(i32::MAX - 3)).await.error_code, 0);
    assert_eq!(client.produce("t", 0, at(i32::MAX - 3)).await.base_offset, 0, "a duplicate over the wrap");
    assert_eq!(client.produce("t", 0, at(5)).await.error_code, 45);
    assert_eq!(client.produce("t", 0, at(6)).await.base_offset, 10);
    // Exactly at the end: the next is 0.
    assert_eq!(client.produce("t", 1, at(i32::MAX - 9)).await.error_code, 0);
    assert_eq!(client.produce("t", 1, at(0)).await.base_offset, 10);
}

#[tokio::test]
async fn producers_are_forgotten_by_record_time() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let hour_old = cluster.now_ms() - 3_600_000;
    let old = ten().producer(7, 0, 0).timestamp_ms(hour_old).build();
    let new = ten().producer(8, 0, 0).build();
    client.produce("t", 0, old.clone()).await;
    client.produce("t", 0, new.clone()).await;
    assert_eq!(client.produce("t", 0, old.clone()).await.base_offset, 0);
    cluster.expire_producer_ids(60_000);
    assert_eq!(client.produce("t", 0, old).await.base_offset, 20, "written a second time");
    assert_eq!(client.produce("t", 0, new).await.base_offset, 10);
}

#[tokio::test]
async fn acks_zero_is_not_answered_and_an_error_closes() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let request = |topic| produce_request(topic, 0, ten().build()).with_acks(0);
    client.send(9, &request("t")).await;
    // The next answer belongs to the next request.
    let allocated = client.call(4, &InitProducerIdRequest::default().with_transactional_id(None)).await;
    assert_eq!(allocated.error_code, 0);
    assert_eq!(cluster.log_end("t", 0).unwrap(), 10);
    assert!(client.try_call(9, &request("nobody")).await.is_none());
    let mut client = Client::connect(&cluster, 1).await;
    let answer = client.call(9, &produce_request("t", 0, ten().build()).with_acks(2)).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 21);
}

#[tokio::test]
async fn append_time_topics_stamp_the_header() {
    let cluster = one_broker();
    cluster.create_topic("stamped", 1, &[("message.timestamp.type", "LogAppendTime")]).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    let answer = client.produce("stamped", 0, ten().timestamp_ms(5).build()).await;
    assert_eq!(answer.log_append_time_ms, cluster.now_ms());
    let mut records = client.fetch("stamped", 0, 0).await.records.unwrap();
    // The decoder checks the CRC, which the broker had to compute again.
    let set = kafka_protocol::records::RecordBatchDecoder::decode(&mut records).unwrap();
    assert_eq!(set.records.len(), 10);
    assert!(
        crate::client::headers(&client.fetch("stamped", 0, 0).await.records.unwrap())[0]
            .attributes
            .is_log_append_time()
    );
    let stamped = ten().header(|h| h.attributes.0 |= Attributes::LOG_APPEND_TIME).build();
    assert_eq!(client.produce("stamped", 0, stamped.clone()).await.error_code, 32);
    assert_eq!(client.produce("t", 0, stamped).await.error_code, 0, "accepted and cleared since 3.6");
}
