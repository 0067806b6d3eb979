//! Encodes a Produce request around borrowed payloads.

use super::answer::least_bytes;
use super::{API_KEY, is_flexible, uses_topic_ids};
use crate::fetch::TopicIdentity;
use crate::frame::Frame;
use crate::pipe::Tail;
use crate::primitives::{put_count, put_no_tags, put_string};
use crate::records::HEADER_BYTES;
use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

/// The one batch a partition may have in a request.
#[derive(Debug, Clone, Copy)]
pub struct ProduceBatch<'a> {
    /// Topic on the target.
    pub topic: &'a TopicIdentity,
    /// Partition on the target.
    pub partition: i32,
    /// The batch's new header.
    pub header: &'a [u8; HEADER_BYTES],
    /// The records as they were fetched.
    pub payload: &'a Bytes,
    /// The rest of them, where it was left in the kernel. It must not have been taken: it goes with the first request.
    pub tail: Option<&'a Tail>,
}

/// Payloads below this are copied into the head: a vectored write's entry costs more than the copy.
const CHAIN_BYTES: usize = 1024;

/// More than these in a request have their list in memory of its own.
const USUAL_BATCHES: usize = 8;

/// More than what a request takes besides its topics and partitions.
const FIXED_BYTES: usize = 64;
/// More than what a partition takes besides its batch, and its topic besides its name.
const PARTITION_BYTES: usize = 48;

impl<'a> ProduceBatch<'a> {
    /// A batch that is in memory as a whole.
    pub fn in_memory(
        topic: &'a TopicIdentity,
        partition: i32,
        header: &'a [u8; HEADER_BYTES],
        payload: &'a Bytes,
    ) -> Self {
        Self { topic, partition, header, payload, tail: None }
    }
}

impl ProduceBatch<'_> {
    /// Bytes of it that are written into the head, or a few more.
    fn copied_bytes(&self) -> usize {
        let payload = if self.is_chained() { 0 } else { self.payload.len() };
        PARTITION_BYTES + self.topic.name.len() + HEADER_BYTES + payload
    }

    fn is_chained(&self) -> bool {
        self.payload.len() >= CHAIN_BYTES
    }

    /// Bytes of the batch.
    fn len(&self) -> usize {
        HEADER_BYTES + self.payload.len() + self.tail.map_or(0, Tail::len)
    }
}

/// A request with acks = all for `batches`, which are grouped by topic and name each partition once
/// (a broker keeps only the last of two entries for a partition, without an error).
pub fn encode<'a>(
    version: i16,
    client_id: &str,
    timeout_ms: i32,
    batches: impl Iterator<Item = ProduceBatch<'a>>,
) -> Frame {
    let flexible = is_flexible(version);
    // Whoever has them looks each up: once.
    let batches: SmallVec<[ProduceBatch<'a>; USUAL_BATCHES]> = batches.collect();
    let bytes: usize = batches.iter().map(ProduceBatch::copied_bytes).sum();
    let mut frame = Frame::request_of(API_KEY, version, client_id, flexible, FIXED_BYTES + bytes);
    frame.reserve_payloads(batches.len());
    frame.expect_answer(least_bytes(batches.len()));
    let out = frame.body();
    if flexible {
        out.put_u8(0); // transactional id: null
    } else {
        out.put_i16(-1);
    }
    out.put_i16(-1); // acks: all in-sync replicas
    out.put_i32(timeout_ms);

    let topics = || batches.chunk_by(|batch, next| batch.topic == next.topic);
    put_count(out, flexible, topics().count());
    for of_topic in topics() {
        let Some(ProduceBatch { topic, .. }) = of_topic.first() else { continue };
        let out = frame.body();
        if uses_topic_ids(version) {
            out.put_slice(&topic.id.0);
        } else {
            put_string(out, flexible, &topic.name);
        }
        put_count(out, flexible, of_topic.len());
        for batch in of_topic {
            put_batch(&mut frame, flexible, batch);
        }
        put_no_tags(frame.body(), flexible);
    }
    put_no_tags(frame.body(), flexible);
    frame
}

fn put_batch(frame: &mut Frame, flexible: bool, batch: &ProduceBatch<'_>) {
    let out = frame.body();
    out.put_i32(batch.partition);
    put_count(out, flexible, batch.len());
    out.put_slice(batch.header);
    if batch.is_chained() {
        frame.chain(batch.payload.clone());
    } else {
        out.put_slice(batch.payload);
    }
    if let Some(tail) = batch.tail {
        frame.chain_tail(tail);
    }
    put_no_tags(frame.body(), flexible);
}
