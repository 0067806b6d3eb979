//! Faults on request, and requests no client should send.

use std::time::Duration;

use bytes::Buf;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest};
use tokio::time::Instant;
use verbatim_testbroker::{Control, Corruption, ErrorCode, KAFKA_2_1, TestCluster, batch};

use crate::client::{Client, fetch_request, partitions, produce_request};

fn one_broker() -> TestCluster {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 2, &[]).unwrap();
    cluster
}

fn one() -> bytes::Bytes {
    batch([("key", "value")]).build()
}

fn produce(partition: i32) -> ProduceRequest {
    produce_request("t", partition, one())
}

#[tokio::test]
async fn errors_are_applied_or_not_as_asked() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let error = Control::Error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    cluster.once(ApiKey::Produce, error.clone());
    assert_eq!(client.produce("t", 0, one()).await.error_code, 6);
    assert_eq!(cluster.log_end("t", 0).unwrap(), 0);
    cluster.once(ApiKey::Produce, Control::ApplyThen(Box::new(error)));
    assert_eq!(client.produce("t", 0, one()).await.error_code, 6);
    assert_eq!(cluster.log_end("t", 0).unwrap(), 1);
    assert_eq!(client.produce("t", 0, one()).await.error_code, 0);
}

#[tokio::test]
async fn one_partition_can_be_refused_alone() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let refuse = |code| Control::PartitionError { topic: "t".into(), partition: 1, code };
    cluster.once(ApiKey::Produce, refuse(ErrorCode::NOT_ENOUGH_REPLICAS));
    let mut request = produce(0);
    request.topic_data[0].partition_data.extend(produce(1).topic_data[0].partition_data.clone());
    let response = client.call(9, &request).await;
    let codes = |it: &kafka_protocol::messages::ProduceResponse| -> Vec<i16> {
        it.responses[0].partition_responses.iter().map(|it| it.error_code).collect()
    };
    assert_eq!(codes(&response), [0, 19]);
    assert_eq!(cluster.log_end("t", 1).unwrap(), 0);
    let applied = Control::ApplyThen(Box::new(refuse(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND)));
    cluster.once(ApiKey::Produce, applied);
    assert_eq!(codes(&client.call(9, &request).await), [0, 20]);
    assert_eq!((cluster.log_end("t", 0), cluster.log_end("t", 1)), (Ok(2), Ok(1)));
    cluster.once(ApiKey::Fetch, refuse(ErrorCode::KAFKA_STORAGE_ERROR));
    let response = client.call(11, &fetch_request("t", &[(0, 0), (1, 0)])).await;
    assert_eq!(partitions(&response).iter().map(|it| it.error_code).collect::<Vec<_>>(), [0, 56]);
}

#[tokio::test]
async fn answers_can_get_lost() {
    let cluster = one_broker();
    for (control, written) in [
        (Control::Disconnect, 0),
        (Control::ApplyThen(Box::new(Control::Disconnect)), 1),
        (Control::Corrupt(Corruption::CutAfter(7)), 2),
    ] {
        let mut client = Client::connect(&cluster, 1).await;
        cluster.once(ApiKey::Produce, control);
        assert!(client.try_call(9, &produce(0)).await.is_none());
        assert_eq!(cluster.log_end("t", 0).unwrap(), written);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_and_delays() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    let begun = Instant::now();
    cluster.once(ApiKey::Produce, Control::Delay(Duration::from_secs(3)));
    assert_eq!(client.produce("t", 0, one()).await.error_code, 0);
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    cluster.once(ApiKey::Produce, Control::ApplyThen(Box::new(Control::Silence)));
    client.send(9, &produce(0)).await;
    client.send(9, &produce(0)).await;
    let answer = tokio::time::timeout(Duration::from_secs(60), client.receive_frame()).await;
    assert!(answer.is_err(), "neither an answer nor a disconnect");
    assert_eq!(cluster.log_end("t", 0).unwrap(), 2);
}

#[tokio::test]
async fn a_flipped_payload_byte_breaks_the_checksum_and_nothing_else() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    cluster.append("t", 0, &one()).unwrap();
    cluster.once(ApiKey::Fetch, Control::Corrupt(Corruption::Payload));
    let damaged = client.fetch("t", 0, 0).await.records.unwrap();
    let whole = client.fetch("t", 0, 0).await.records.unwrap();
    assert_eq!(damaged[..61], whole[..61]);
    assert_eq!(damaged.iter().zip(&whole[..]).filter(|(a, b)| a != b).count(), 1);
    cluster.once(ApiKey::Metadata, Control::Corrupt(Corruption::CorrelationId));
    client.send(9, &MetadataRequest::default()).await;
    assert_ne!(client.receive_frame().await.unwrap().get_i32(), 3);
}

#[tokio::test]
async fn rules_see_the_request_and_end_when_used_up() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    cluster.times_when(
        ApiKey::Produce,
        2,
        |request| {
            let decoded = request.decode::<ProduceRequest>().unwrap();
            assert!(request.decode::<FetchRequest>().is_none());
            decoded.topic_data[0].partition_data[0].index == 1
        },
        Control::Error(ErrorCode::REQUEST_TIMED_OUT),
    );
    let mut codes = Vec::new();
    for partition in [0, 1, 0, 1, 1] {
        codes.push(client.produce("t", partition, one()).await.error_code);
    }
    assert_eq!(codes, [0, 7, 0, 7, 0]);
    cluster.on(ApiKey::Produce, |request| match request.version {
        9 => Control::Error(ErrorCode::KAFKA_STORAGE_ERROR),
        _ => Control::Pass,
    });
    assert_eq!(client.produce("t", 0, one()).await.error_code, 56);
    cluster.clear_rules();
    assert_eq!(client.produce("t", 0, one()).await.error_code, 0);
    let seen = cluster.requests();
    assert_eq!(seen.len(), 7);
    assert!(seen.iter().all(|it| (it.node, it.api, it.version) == (1, ApiKey::Produce, 9)));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_fetch_is_empty_and_its_connection_rests() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    cluster.append("t", 0, &one()).unwrap();
    cluster.throttle(ApiKey::Fetch, Duration::from_secs(2));
    let begun = Instant::now();
    let response = client.call(11, &fetch_request("t", &[(0, 0)])).await;
    assert_eq!((response.throttle_time_ms, response.responses.len()), (2000, 0));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    cluster.throttle(ApiKey::Fetch, Duration::ZERO);
    assert_eq!(client.fetch("t", 0, 0).await.error_code, 0);
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
}

#[tokio::test]
async fn versions() {
    let cluster = one_broker();
    let mut client = Client::connect(&cluster, 1).await;
    for version in 0..=4 {
        let response = client.call(version, &ApiVersionsRequest::default()).await;
        assert_eq!((response.error_code, response.api_keys.len()), (0, 29));
        assert_eq!(response.finalized_features.len(), usize::from(version >= 3));
    }
    // A newer version is answered in version 0: no tags in the header, none in the body.
    let mut request = vec![0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0];
    client.send_frame(&request).await;
    let mut frame = client.receive_frame().await.unwrap();
    assert_eq!((frame.get_i32(), frame.get_i16(), frame.get_i32()), (1, 35, 29));
    assert_eq!(frame.remaining(), 29 * 6);
    // Any other API: the connection is closed.
    request[1] = 3;
    client.send_frame(&request).await;
    assert!(client.receive_frame().await.is_none());

    cluster.set_max_versions(KAFKA_2_1);
    let mut client = Client::connect(&cluster, 1).await;
    let response = client.call(2, &ApiVersionsRequest::default()).await;
    let fetch = response.api_keys.iter().find(|it| it.api_key == 1).unwrap();
    assert_eq!((response.api_keys.len(), fetch.max_version), (25, 10));
    assert_eq!(client.call(10, &fetch_request("t", &[(0, 0)])).await.error_code, 0);
    assert!(client.try_call(11, &fetch_request("t", &[(0, 0)])).await.is_none());
}

#[tokio::test]
async fn hostile_frames_end_only_their_connection() {
    let cluster = one_broker();
    let frames: [&[u8]; 6] = [
        &[],
        &[0, 0],
        &[0, 3, 0, 1],
        &[0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        // Produce with nothing behind the header; Metadata with a count and no topics.
        &[0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0],
        &[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 9],
    ];
    for frame in frames {
        let mut client = Client::connect(&cluster, 1).await;
        client.send_frame(frame).await;
        assert!(client.receive_frame().await.is_none(), "{frame:?}");
    }
    let mut client = Client::connect(&cluster, 1).await;
    assert_eq!(client.produce("t", 0, one()).await.error_code, 0);
}
