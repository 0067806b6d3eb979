//! Answers of brokers: our own decoders, and the guard before the `kafka-protocol` crate's.

use crate::fetch::{self, FetchAnswer, Scan, Step};
use crate::messages;
use crate::produce::{self, ProduceAnswer};
use crate::records::{Entry, Walker};
use bytes::Bytes;
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, DescribeProducersRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest,
};
use kafka_protocol::protocol::Request;
use std::ops::{Range, RangeInclusive};

/// Version (one byte), then the body of a Fetch answer: records lie within the frame, in order. What a scan would leave out of it ends
/// where a batch ends.
pub fn fetch_answer(data: &[u8]) {
    let Some((version, frame)) = versioned(data, fetch::MIN_VERSION, fetch::MAX_VERSION) else { return };
    let left_out = left_out(version, &frame, 1..=usize::MAX, 0, &mut Vec::new());
    let Ok(answer) = FetchAnswer::decode(version, &frame) else { return };
    let mut ends = Vec::new();
    let range = frame.as_ptr_range();
    let mut last = range.start;
    for partition in answer.partitions().filter(|partition| !partition.records.is_empty()) {
        let records = partition.records.bytes().as_ptr_range();
        assert!(records.start >= last && records.end <= range.end);
        last = records.end;
        let mut end = records.start.addr() - range.start.addr();
        for entry in Walker::new(partition.records.bytes().clone()) {
            let Entry::Batch(batch) = entry else { break };
            end += batch.bytes.len();
            ends.push(end);
        }
    }
    assert!(left_out.iter().all(|range| ends.contains(&range.end)), "{left_out:?} {ends:?}");
}

/// The parts of a frame that a scan leaves out: payloads of these `sizes`. The others are read into `have`, as a connection does: each
/// read brings what is asked for, or `ahead` bytes if that is more.
pub fn left_out(
    version: i16,
    frame: &Bytes,
    sizes: RangeInclusive<usize>,
    ahead: usize,
    have: &mut Vec<u8>,
) -> Vec<Range<usize>> {
    let mut scan = Scan::new(version, frame.len(), 0, sizes);
    let (mut at, mut left_out) = (ahead.min(frame.len()), Vec::new());
    have.extend_from_slice(frame.get(..at).unwrap_or_default());
    loop {
        let read = match scan.step(have) {
            Step::ReadAll => {
                have.extend_from_slice(frame.get(at..).unwrap_or_default());
                return left_out;
            }
            Step::Read(bytes) => bytes.max(scan.len().min(have.len() + ahead)) - have.len(),
            Step::LeaveOut(bytes) => {
                scan.left_out(have.len(), bytes);
                left_out.push(at..at + bytes);
                at += bytes;
                assert!(bytes > 0 && at <= frame.len());
                continue;
            }
        };
        assert!(read > 0 && have.len() + read <= scan.len());
        have.extend_from_slice(frame.get(at..at + read).unwrap_or_default());
        at += read;
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
