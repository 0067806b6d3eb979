//! The oracle is the `kafka-protocol` crate: it decodes our requests and encodes the answers we decode.

use super::*;
use crate::fetch::TopicIdentity;
use crate::primitives::TopicId;
use crate::records::HEADER_BYTES;
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

fn topic(name: &str, id: u8) -> TopicIdentity {
    TopicIdentity { name: name.into(), id: TopicId([id; 16]) }
}

#[test]
fn requests_read_back_in_every_version() {
    let (a, b) = (topic("alpha", 1), topic("beta", 2));
    let header = [9; HEADER_BYTES];
    let (small, large) = (Bytes::from(vec![1; 10]), Bytes::from(vec![2; 200_000]));
    for version in MIN_VERSION..=MAX_VERSION {
        let batches = [
            ProduceBatch::in_memory(&a, 0, &header, &large),
            ProduceBatch::in_memory(&a, 3, &header, &small),
            ProduceBatch::in_memory(&b, 1, &header, &large),
        ];
        let frame = encode(version, "us", 1234, batches.iter().copied());
        assert!(frame.wire_bytes() < 401_000);
        let mut sealed = frame.seal(5);
        let mut bytes = sealed.copy_to_bytes(sealed.remaining());
        assert_eq!(usize::try_from(bytes.get_i32()).unwrap(), bytes.len());
        let request_header = RequestHeader::decode(&mut bytes, if version >= 9 { 2 } else { 1 }).unwrap();
        assert_eq!(request_header.correlation_id, 5);
        let request = ProduceRequest::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty());
        assert_eq!((request.acks, request.timeout_ms, request.transactional_id), (-1, 1234, None));
        let found: Vec<_> = request
            .topic_data
            .iter()
            .flat_map(|t| t.partition_data.iter().map(move |p| (t, p.index, p.records.clone().unwrap())))
            .collect();
        assert_eq!(found.len(), 3);
        for ((topic_data, index, records), expected) in found.iter().zip(&batches) {
            if uses_topic_ids(version) {
                assert_eq!(topic_data.topic_id, Uuid::from_bytes(expected.topic.id.0));
            } else {
                assert_eq!(topic_data.name.as_str(), &*expected.topic.name);
            }
            assert_eq!(*index, expected.partition);
            assert_eq!(records[..HEADER_BYTES], header);
            assert_eq!(records[HEADER_BYTES..], expected.payload[..]);
        }
    }
}

#[test]
fn answers_are_read_in_every_version() {
    for version in MIN_VERSION..=MAX_VERSION {
        let mut partition = PartitionProduceResponse::default()
            .with_index(4)
            .with_error_code(87)
            .with_base_offset(1000)
            .with_log_append_time_ms(5)
            .with_log_start_offset(17);
        if version >= 8 {
            partition = partition.with_record_errors(vec![
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(2)
                    .with_batch_index_error_message(Some(StrBytes::from_static_str("why"))),
            ]);
        }
        if version >= 10 {
            partition = partition.with_current_leader(
                LeaderIdAndEpoch::default().with_leader_id(6.into()).with_leader_epoch(11),
            );
        }
        let mut named = TopicProduceResponse::default().with_partition_responses(vec![partition]);
        named = if uses_topic_ids(version) {
            named.with_topic_id(Uuid::from_bytes([3; 16]))
        } else {
            named.with_name(TopicName(StrBytes::from_static_str("alpha")))
        };
        let body = ProduceResponse::default().with_responses(vec![named]).with_throttle_time_ms(8);
        let mut bytes = BytesMut::new();
        ResponseHeader::default().encode(&mut bytes, if version >= 9 { 1 } else { 0 }).unwrap();
        bytes.advance(4);
        body.encode(&mut bytes, version).unwrap();
        let frame = bytes.freeze();

        let answer = ProduceAnswer::decode(version, &frame).unwrap();
        let by_id = uses_topic_ids(version);
        let expected = ProducedPartition {
            topic_name: if by_id { Bytes::new() } else { Bytes::from_static(b"alpha") },
            topic_id: if by_id { TopicId([3; 16]) } else { TopicId::ZERO },
            partition: 4,
            error_code: 87,
            base_offset: 1000,
            log_append_time_ms: 5,
            log_start_offset: 17,
            error_message: (version >= 8).then(|| Bytes::from_static(b"why")),
            current_leader: (version >= 10).then_some((6, 11)),
        };
        assert_eq!((answer.throttle_time_ms, &answer.partitions[..]), (8, &[expected][..]));
        for cut in 0..frame.len() {
            assert!(
                ProduceAnswer::decode(version, &frame.slice(..cut)).is_err(),
                "version {version} cut at {cut}"
            );
        }
    }
}

#[test]
fn no_answer_is_shorter_than_expected() {
    let header = [9; HEADER_BYTES];
    let payload = Bytes::from(vec![1; 10]);
    let names: Vec<_> = (1..=3).map(|number| topic(&"n".repeat(usize::from(number)), number)).collect();
    for version in MIN_VERSION..=MAX_VERSION {
        for (topics, partitions) in [(1, 1), (1, 2), (1, 200), (3, 1), (2, 70)] {
            let answer = ProduceResponse::default().with_responses(
                names[..topics]
                    .iter()
                    .map(|topic| {
                        let partition = |index| PartitionProduceResponse::default().with_index(index);
                        let answered = TopicProduceResponse::default()
                            .with_partition_responses((0..partitions).map(partition).collect());
                        if uses_topic_ids(version) {
                            answered.with_topic_id(Uuid::from_bytes(topic.id.0))
                        } else {
                            answered.with_name(TopicName(StrBytes::from_string(topic.name.to_string())))
                        }
                    })
                    .collect(),
            );
            let mut bytes = BytesMut::new();
            let header_version = if version >= 9 { 1 } else { 0 };
            ResponseHeader::default().encode(&mut bytes, header_version).unwrap();
            answer.encode(&mut bytes, version).unwrap();
            let batches = names[..topics].iter().flat_map(|topic| {
                (0..partitions).map(|index| ProduceBatch::in_memory(topic, index, &header, &payload))
            });
            let least = encode(version, "us", 1, batches).least_answer_bytes();
            let whole = 4 + bytes.len();
            assert!(least <= whole && whole < 2 * least, "version {version}: {least}, {whole}");
        }
    }
}
