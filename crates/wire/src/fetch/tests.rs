//! The oracle is the `kafka-protocol` crate: it decodes our requests and encodes the answers we decode.

use super::*;
use crate::primitives::TopicId;
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction as TheirAborted, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch,
    PartitionData,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

const LIMITS: FetchLimits = FetchLimits {
    max_wait_ms: 500,
    min_bytes: 1,
    max_bytes: 1 << 20,
    partition_max_bytes: 1 << 18,
    isolation: Isolation::ReadCommitted,
};

fn topic(name: &str, id: u8) -> TopicIdentity {
    TopicIdentity { name: name.into(), id: TopicId([id; 16]) }
}

fn at(fetch_offset: i64) -> FetchTarget {
    FetchTarget { fetch_offset, current_leader_epoch: 3, last_fetched_epoch: 2 }
}

fn request(session: &mut FetchSession, version: i16) -> FetchRequest {
    let mut sealed = session.next_request(version, "us", &LIMITS).seal(9);
    let mut bytes = sealed.copy_to_bytes(sealed.remaining());
    assert_eq!(usize::try_from(bytes.get_i32()).unwrap(), bytes.len());
    let header = RequestHeader::decode(&mut bytes, if version >= 12 { 2 } else { 1 }).unwrap();
    assert_eq!((header.request_api_key, header.request_api_version, header.correlation_id), (1, version, 9));
    let request = FetchRequest::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "nothing left over in version {version}");
    request
}

fn answer(version: i16, body: &FetchResponse) -> Bytes {
    let mut bytes = BytesMut::new();
    let header_version = if version >= 12 { 1 } else { 0 };
    ResponseHeader::default().encode(&mut bytes, header_version).unwrap();
    bytes.advance(4); // the connection takes the correlation id
    body.encode(&mut bytes, version).unwrap();
    bytes.freeze()
}

#[test]
fn requests_read_back_in_every_version() {
    for version in MIN_VERSION..=MAX_VERSION {
        let mut session = FetchSession::default();
        session.want(0, &topic("b", 2), 5, at(50));
        session.want(1, &topic("a", 1), 7, at(70));
        session.want(2, &topic("b", 2), 6, at(60));
        let request = request(&mut session, version);
        assert_eq!((request.max_wait_ms, request.max_bytes, request.isolation_level), (500, 1 << 20, 1));
        assert_eq!((request.session_id, request.session_epoch), (0, 0));
        assert_eq!(request.topics.len(), 2);
        for (found, expected) in request.topics.iter().zip([topic("a", 1), topic("b", 2)]) {
            if uses_topic_ids(version) {
                assert_eq!(found.topic_id, Uuid::from_bytes(expected.id.0));
            } else {
                assert_eq!(found.topic.as_str(), &*expected.name);
            }
        }
        let partitions: Vec<_> =
            request.topics[1].partitions.iter().map(|p| (p.partition, p.fetch_offset)).collect();
        assert_eq!(partitions, [(5, 50), (6, 60)]);
        let first = &request.topics[0].partitions[0];
        assert_eq!((first.current_leader_epoch, first.partition_max_bytes), (3, 1 << 18));
        assert_eq!(first.last_fetched_epoch, if version >= 12 { 2 } else { -1 });
    }
}

#[test]
fn answers_are_read_and_records_stay_where_they_are() {
    for version in MIN_VERSION..=MAX_VERSION {
        let data = PartitionData::default()
            .with_partition_index(7)
            .with_error_code(6)
            .with_high_watermark(100)
            .with_last_stable_offset(90)
            .with_log_start_offset(5)
            .with_aborted_transactions(Some(vec![
                TheirAborted::default().with_producer_id(44.into()).with_first_offset(33),
            ]))
            .with_records(Some(Bytes::from_static(b"the records as they lie")));
        let data = if version >= 12 {
            data.with_diverging_epoch(EpochEndOffset::default().with_epoch(4).with_end_offset(77))
                .with_current_leader(
                    LeaderIdAndEpoch::default().with_leader_id(2.into()).with_leader_epoch(8),
                )
        } else {
            data
        };
        let named = FetchableTopicResponse::default().with_partitions(vec![data]);
        let named = if uses_topic_ids(version) {
            named.with_topic_id(Uuid::from_bytes([1; 16]))
        } else {
            named.with_topic(TopicName(StrBytes::from_static_str("a")))
        };
        let body =
            FetchResponse::default().with_throttle_time_ms(3).with_session_id(12).with_responses(vec![named]);
        let frame = answer(version, &body);
        let decoded = FetchAnswer::decode(version, &frame).unwrap();

        let mut session = FetchSession::default();
        session.want(42, &topic("a", 1), 7, at(0));
        assert_eq!(decoded.throttle_time_ms, 3);
        let fetched = session.accept(decoded).unwrap();
        let [(42, partition)] = &fetched[..] else { panic!("version {version}: {fetched:?}") };
        assert_eq!(&partition.records.bytes()[..], b"the records as they lie");
        assert!(frame.as_ptr_range().contains(&partition.records.bytes().as_ptr()), "a slice of the frame");
        assert_eq!((partition.error_code, partition.high_watermark), (6, 100));
        assert_eq!((partition.last_stable_offset, partition.log_start_offset), (90, 5));
        assert_eq!(
            partition.aborted_transactions,
            [AbortedTransaction { producer_id: 44, first_offset: 33 }]
        );
        let flexible = version >= 12;
        assert_eq!(
            partition.diverging_epoch,
            flexible.then_some(DivergingEpoch { epoch: 4, end_offset: 77 })
        );
        assert_eq!(partition.current_leader, flexible.then_some((2, 8)));

        for cut in 0..frame.len() {
            assert!(
                FetchAnswer::decode(version, &frame.slice(..cut)).is_err(),
                "version {version} cut at {cut}"
            );
        }
    }
}

#[test]
fn a_count_from_the_wire_allocates_nothing() {
    let mut hostile = vec![0; 10];
    hostile.extend(i32::MAX.to_be_bytes());
    assert!(FetchAnswer::decode(11, &hostile.into()).is_err());
}

#[test]
fn a_partition_forgotten_while_the_session_is_being_opened_is_taken_out_of_it() {
    let mut session = FetchSession::default();
    let (a, b) = (topic("a", 1), topic("b", 2));
    session.want(0, &a, 0, at(0));
    session.want(1, &b, 0, at(0));
    assert_eq!(request(&mut session, 12).topics.len(), 2);
    session.forget(0);
    let opened =
        FetchAnswer { throttle_time_ms: 0, error_code: 0, session_id: 9, topics: vec![], partitions: vec![] };
    session.accept(opened).unwrap();
    let second = request(&mut session, 12);
    assert_eq!(second.forgotten_topics_data.len(), 1, "or the broker would answer for it for ever");
    assert_eq!(second.forgotten_topics_data[0].partitions, [0]);

    // Taken back and forgotten again, all before the next request.
    session.forget(1);
    session.want(1, &b, 0, at(5));
    session.forget(1);
    assert_eq!(request(&mut session, 12).forgotten_topics_data.len(), 1);
}

/// A broker keeps the limit that came with a partition when it was last named.
#[test]
fn a_session_names_all_again_when_it_is_told_to() {
    let mut session = FetchSession::default();
    let a = topic("a", 1);
    for number in 0..3 {
        session.want(number, &a, 10 + number.cast_signed(), at(0));
    }
    assert_eq!(request(&mut session, 12).topics[0].partitions.len(), 3);
    let opened =
        FetchAnswer { throttle_time_ms: 0, error_code: 0, session_id: 9, topics: vec![], partitions: vec![] };
    session.accept(opened).unwrap();
    session.forget(1);
    session.want(2, &a, 12, at(5));
    session.name_all();
    let again = request(&mut session, 12);
    assert_eq!((again.session_id, again.session_epoch), (9, 1));
    let named = again.topics[0].partitions.iter().map(|named| (named.partition, named.fetch_offset));
    assert_eq!(named.collect::<Vec<_>>(), [(10, 0), (12, 5)]);
    assert_eq!(again.forgotten_topics_data[0].partitions, [11]);
    assert_eq!(request(&mut session, 12).topics.len(), 0);
}

#[test]
fn a_session_sends_only_what_changed() {
    let mut session = FetchSession::default();
    let (a, b) = (topic("a", 1), topic("b", 2));
    session.want(0, &a, 0, at(0));
    session.want(1, &b, 0, at(0));
    assert_eq!(request(&mut session, 12).topics.len(), 2);
    let opened = |id| FetchAnswer {
        throttle_time_ms: 0,
        error_code: 0,
        session_id: id,
        topics: vec![],
        partitions: vec![],
    };
    session.accept(opened(99)).unwrap();

    session.want(1, &b, 0, at(10));
    session.want(0, &a, 0, at(0));
    let second = request(&mut session, 12);
    assert_eq!((second.session_id, second.session_epoch), (99, 1));
    assert_eq!(second.topics.len(), 1);
    assert_eq!(second.topics[0].partitions[0].fetch_offset, 10);
    session.accept(opened(99)).unwrap();

    session.forget(0);
    let third = request(&mut session, 12);
    assert_eq!((third.session_epoch, third.topics.len()), (2, 0));
    assert_eq!(third.forgotten_topics_data[0].partitions, [0]);

    let failed = FetchAnswer { error_code: 71, ..opened(0) };
    assert_eq!(session.accept(failed).err(), Some(SessionError(71)));
    let fourth = request(&mut session, 12);
    assert_eq!((fourth.session_id, fourth.session_epoch, fourth.topics.len()), (0, 0, 1));
}
