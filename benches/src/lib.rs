//! Inputs shared by the micro-benchmarks.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchResponse, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions, BuildError};
use verbatim_wire::records::record::Headers;

/// The Fetch version the benchmarks use.
pub const FETCH_VERSION: i16 = 12;

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

/// A Fetch answer of `partitions` partitions with `records` each, as it stands in a frame; `None` if it
/// cannot be encoded.
pub fn fetch_answer(partitions: i32, records: &Bytes) -> Option<Bytes> {
    let data = (0..partitions).map(|partition| {
        PartitionData::default()
            .with_partition_index(partition)
            .with_high_watermark(1000)
            .with_records(Some(records.clone()))
    });
    let topic = FetchableTopicResponse::default()
        .with_topic(TopicName(StrBytes::from_static_str("orders")))
        .with_partitions(data.collect());
    let mut frame = BytesMut::from(&[0][..]); // no tagged fields in the header
    FetchResponse::default().with_responses(vec![topic]).encode(&mut frame, FETCH_VERSION).ok()?;
    Some(frame.freeze())
}
