//! Inputs shared by the micro-benchmarks and the counting of instructions: the same bytes every time.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{FetchResponse, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use std::ops::Range;
use verbatim_wire::fetch::TopicIdentity;
use verbatim_wire::fuzzing::left_out;
use verbatim_wire::primitives::TopicId;
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions, BuildError};
use verbatim_wire::records::record::Headers;
use verbatim_wire::records::{HEADER_BYTES, ProducerStamp};

/// The Fetch version that is measured: the last one with topic names, which costs more than ids.
pub const FETCH_VERSION: i16 = 12;
/// The Produce version that is measured, likewise.
pub const PRODUCE_VERSION: i16 = 9;
/// Whose batches are made.
pub const STAMP: ProducerStamp = ProducerStamp { producer_id: 4001, producer_epoch: 0, base_sequence: 77 };

const TOPIC: &str = "orders";

/// The topic of all inputs.
pub fn topic() -> TopicIdentity {
    TopicIdentity { name: TOPIC.into(), id: TopicId::ZERO }
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

/// A batch of about `bytes` bytes of 1 KiB records.
///
/// # Errors
/// When the builder refuses, which it does not for sane sizes.
pub fn batch(bytes: usize) -> Result<Bytes, BuildError> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let value = [7; 1024];
    while builder.size_estimate_bytes() + value.len() <= bytes || builder.is_empty() {
        builder.push(1_700_000_000_000, None, Some(&value), &Headers::none())?;
    }
    builder.finish()
}

/// `count` of the same batch behind one another, as they stand in a log.
pub fn slice_of(batch: &[u8], count: usize) -> Bytes {
    batch.repeat(count).into()
}

/// A batch in the two parts a request is made of; `None` if it is shorter than a header.
pub fn split(batch: &Bytes) -> Option<([u8; HEADER_BYTES], Bytes)> {
    let header = *batch.first_chunk()?;
    Some((header, batch.slice(HEADER_BYTES..)))
}

/// A Fetch answer of `partitions` partitions with `records` each, as it stands in a frame; `None` if it
/// cannot be encoded.
pub fn fetch_answer(partitions: i32, records: &Bytes) -> Option<Bytes> {
    let data = (0..partitions).map(|partition| {
        PartitionData::default()
            .with_partition_index(partition)
            .with_high_watermark(1000)
            .with_records(Some(records.clone()))
    });
    let topic = FetchableTopicResponse::default().with_topic(topic_name()).with_partitions(data.collect());
    let mut frame = BytesMut::from(&[0][..]); // no tagged fields in the header
    FetchResponse::default().with_responses(vec![topic]).encode(&mut frame, FETCH_VERSION).ok()?;
    Some(frame.freeze())
}

/// What a connection leaves out of a Fetch answer; `fields` is the rest, which is read with the same little that comes ahead.
pub fn payloads_left_out(frame: &Bytes, fields: &mut Vec<u8>) -> Vec<Range<usize>> {
    fields.clear();
    left_out(FETCH_VERSION, frame, 32 << 10..=160 << 10, 192, fields)
}

/// A Produce answer for `partitions` partitions, all well, as it stands in a frame; `None` if it cannot be encoded.
pub fn produce_answer(partitions: i32) -> Option<Bytes> {
    let answered = |partition| {
        let log_start = PartitionProduceResponse::default().with_log_start_offset(0);
        log_start.with_index(partition).with_base_offset(1000)
    };
    let topic = TopicProduceResponse::default()
        .with_name(topic_name())
        .with_partition_responses((0..partitions).map(answered).collect());
    let mut frame = BytesMut::from(&[0][..]); // no tagged fields in the header
    ProduceResponse::default().with_responses(vec![topic]).encode(&mut frame, PRODUCE_VERSION).ok()?;
    Some(frame.freeze())
}
