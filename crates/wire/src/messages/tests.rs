use super::*;
use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::protocol::Encodable;

fn metadata() -> MetadataResponse {
    MetadataResponse::default()
        .with_brokers(vec![
            MetadataResponseBroker::default()
                .with_node_id(168_427_779.into())
                .with_host(StrBytes::from_static_str("h"))
                .with_port(9092),
        ])
        .with_topics(vec![
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(StrBytes::from_static_str("orders"))))
                .with_partitions(vec![
                    MetadataResponsePartition::default()
                        .with_partition_index(3)
                        .with_leader_epoch(70_000_000),
                ]),
        ])
}

fn encoded(version: i16) -> BytesMut {
    let mut bytes = BytesMut::new();
    if version >= 9 {
        bytes.put_u8(0);
    }
    metadata().encode(&mut bytes, version).unwrap();
    bytes
}

#[test]
fn large_but_honest_integers_pass_in_flexible_versions() {
    for version in 9..=13 {
        let decoded = decode::<MetadataRequest>(&encoded(version).freeze(), version).unwrap();
        assert_eq!(decoded.brokers[0].node_id.0, 168_427_779);
        assert_eq!(decoded.topics[0].partitions[0].leader_epoch, 70_000_000);
    }
}

#[test]
fn no_count_anywhere_in_an_answer_can_size_memory() {
    // Every position of a valid answer is overwritten with the largest count, in both encodings. Without the
    // guard the process aborts on a failed allocation of some hundred gigabytes.
    for (version, count) in [(8, &[0x7F, 0xFF, 0xFF, 0xFF][..]), (9, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F])] {
        let whole = encoded(version);
        for at in 0..whole.len() - count.len() {
            let mut hostile = whole.clone();
            hostile[at..at + count.len()].copy_from_slice(count);
            let _ = decode::<MetadataRequest>(&hostile.freeze(), version);
        }
        for cut in 0..whole.len() {
            assert!(decode::<MetadataRequest>(&whole.clone().freeze().slice(..cut), version).is_err());
        }
    }
}

#[test]
fn an_encoded_request_carries_key_version_and_header_kind() {
    for (version, header_version) in [(8, 1), (12, 2)] {
        let frame = encode(&MetadataRequest::default(), version, "me").unwrap();
        assert_eq!((frame.api_key(), frame.api_version()), (3, version));
        let mut sealed = frame.seal(1);
        let mut bytes = sealed.copy_to_bytes(sealed.remaining()).slice(4..);
        let header = RequestHeader::decode(&mut bytes, header_version).unwrap();
        assert_eq!(header.client_id.unwrap().as_str(), "me");
        MetadataRequest::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty());
    }
}
