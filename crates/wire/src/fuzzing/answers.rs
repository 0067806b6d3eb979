//! Answers of brokers: our own decoders, and the guard before the `kafka-protocol` crate's.

use crate::fetch::{self, FetchAnswer};
use crate::messages;
use crate::produce::{self, ProduceAnswer};
use bytes::Bytes;
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, DescribeProducersRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest,
};
use kafka_protocol::protocol::Request;

/// Version (one byte), then the body of a Fetch answer: records lie within the frame, in order.
pub fn fetch_answer(data: &[u8]) {
    let Some((version, frame)) = versioned(data, fetch::MIN_VERSION, fetch::MAX_VERSION) else { return };
    let Ok(answer) = FetchAnswer::decode(version, &frame) else { return };
    let range = frame.as_ptr_range();
    let mut last = range.start;
    for partition in answer.partitions().filter(|partition| !partition.records.is_empty()) {
        let records = partition.records.bytes().as_ptr_range();
        assert!(records.start >= last && records.end <= range.end);
        last = records.end;
    }
}

/// Version (one byte), then the body of a Produce answer.
pub fn produce_answer(data: &[u8]) {
    let Some((version, frame)) = versioned(data, produce::MIN_VERSION, produce::MAX_VERSION) else { return };
    if let Ok(answer) = ProduceAnswer::decode(version, &frame) {
        assert!(answer.partitions.len() <= frame.len());
    }
}

/// API and version (one byte each), then the body of an answer: it is read or refused, in bounded memory.
pub fn control_answer(data: &[u8]) {
    let Some((&api, data)) = data.split_first() else { return };
    match api % 6 {
        0 => control::<MetadataRequest>(data),
        1 => control::<ListOffsetsRequest>(data),
        2 => control::<CreateTopicsRequest>(data),
        3 => control::<DescribeConfigsRequest>(data),
        4 => control::<DescribeProducersRequest>(data),
        _ => control::<InitProducerIdRequest>(data),
    }
}

fn control<R: Request>(data: &[u8]) {
    if let Some((version, frame)) = versioned(data, R::VERSIONS.min, R::VERSIONS.max) {
        let _ = messages::decode::<R>(&frame, version);
    }
}

fn versioned(data: &[u8], min: i16, max: i16) -> Option<(i16, Bytes)> {
    let (&selector, body) = data.split_first()?;
    let version = min + i16::from(selector) % (max - min + 1);
    Some((version, Bytes::copy_from_slice(body)))
}
