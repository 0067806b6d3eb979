//! Decodes a Produce answer.

use super::{is_flexible, uses_topic_ids};
use crate::primitives::{Malformed, Reader, TopicId};
use bytes::Bytes;

/// A decoded answer: one entry per partition of the request, in any order.
#[derive(Debug)]
pub struct ProduceAnswer {
    /// What each partition answered.
    pub partitions: Vec<ProducedPartition>,
    /// Milliseconds the broker will keep the connection muted for (quota).
    pub throttle_time_ms: i32,
}

/// What one partition answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducedPartition {
    /// Topic name; empty where the version names topics by id.
    pub topic_name: Bytes,
    /// Topic id; zero where the version names topics by name.
    pub topic_id: TopicId,
    /// Partition number.
    pub partition: i32,
    /// Kafka error code, 0 for none.
    pub error_code: i16,
    /// Offset the first record got, also for a batch recognised as sent before; −1 with an error.
    pub base_offset: i64,
    /// The time the broker stamped the records with, in milliseconds since the epoch; −1 where the topic keeps
    /// the producers' times. For a batch recognised as sent before it is that batch's own largest time.
    pub log_append_time_ms: i64,
    /// First offset of the log; −1 when unknown.
    pub log_start_offset: i64,
    /// The broker's explanation, if any (version 8 and up).
    pub error_message: Option<Bytes>,
    /// Node id and epoch of the new leader, with a leader error (version 10 and up).
    pub current_leader: Option<(i32, i32)>,
}

const PARTITION_MIN_BYTES: usize = 4 + 2 + 8 + 8 + 8;
const TOPIC_MIN_BYTES: usize = 3;
const RECORD_ERROR_MIN_BYTES: usize = 5;

/// What the answer to a request with batches for so many partitions has at the least, size field and correlation id included.
pub(super) fn least_bytes(partitions: usize) -> usize {
    4 + 4 + TOPIC_MIN_BYTES + partitions * PARTITION_MIN_BYTES
}

impl ProduceAnswer {
    /// Decodes the body of an answer in `version` (after the correlation id).
    ///
    /// # Errors
    /// When the frame is not such an answer; the error says where.
    pub fn decode(version: i16, frame: &Bytes) -> Result<Self, Malformed> {
        Self::decode_into(Vec::new(), version, frame)
    }

    /// As [`ProduceAnswer::decode`], into the memory of `partitions`, which is emptied first.
    ///
    /// # Errors
    /// The same.
    pub fn decode_into(
        mut partitions: Vec<ProducedPartition>,
        version: i16,
        frame: &Bytes,
    ) -> Result<Self, Malformed> {
        partitions.clear();
        let flexible = is_flexible(version);
        let mut reader = Reader::new(frame);
        reader.skip_tags(flexible)?; // response header version 1
        for _ in 0..reader.count(flexible, TOPIC_MIN_BYTES)?.unwrap_or(0) {
            let (topic_name, topic_id) = if uses_topic_ids(version) {
                (Bytes::new(), reader.uuid()?)
            } else {
                (reader.nullable_string(flexible)?.unwrap_or_default(), TopicId::ZERO)
            };
            let count = reader.count(flexible, PARTITION_MIN_BYTES)?.unwrap_or(0);
            partitions.reserve(count);
            for _ in 0..count {
                partitions.push(decode_partition(version, &mut reader, &topic_name, topic_id)?);
            }
            reader.skip_tags(flexible)?;
        }
        let throttle_time_ms = reader.i32()?;
        reader.skip_tags(flexible)?;
        if reader.remaining() > 0 {
            return Err(reader.malformed("bytes after the end of the answer"));
        }
        Ok(Self { partitions, throttle_time_ms })
    }
}

fn decode_partition(
    version: i16,
    reader: &mut Reader<'_>,
    topic_name: &Bytes,
    topic_id: TopicId,
) -> Result<ProducedPartition, Malformed> {
    let flexible = is_flexible(version);
    let partition = reader.i32()?;
    let error_code = reader.i16()?;
    let base_offset = reader.i64()?;
    let log_append_time_ms = reader.i64()?;
    let log_start_offset = reader.i64()?;
    let mut error_message = None;
    if version >= 8 {
        let mut first_record_error = None;
        for _ in 0..reader.count(flexible, RECORD_ERROR_MIN_BYTES)?.unwrap_or(0) {
            reader.i32()?; // index of the record in its batch
            let message = reader.nullable_string(flexible)?;
            first_record_error = first_record_error.or(message);
            reader.skip_tags(flexible)?;
        }
        error_message = reader.nullable_string(flexible)?.or(first_record_error);
    }
    let mut current_leader = None;
    reader.tags(flexible, |tag, field| {
        if tag == 0 {
            let (leader, epoch) = (field.i32()?, field.i32()?);
            current_leader = (leader >= 0).then_some((leader, epoch));
        }
        Ok(())
    })?;
    Ok(ProducedPartition {
        topic_name: topic_name.clone(),
        topic_id,
        partition,
        error_code,
        base_offset,
        log_append_time_ms,
        log_start_offset,
        error_message,
        current_leader,
    })
}
