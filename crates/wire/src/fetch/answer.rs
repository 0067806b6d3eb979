//! Decodes a Fetch answer; every records field is a slice of the received frame.

use super::{is_flexible, uses_topic_ids};
use crate::primitives::{Malformed, Reader, TopicId};
use bytes::{Buf, Bytes};

/// How an answer names a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicRef {
    Name(Bytes),
    Id(TopicId),
}

impl TopicRef {
    pub(crate) fn is(&self, topic: &super::TopicIdentity) -> bool {
        match self {
            Self::Name(name) => name.as_ref() == topic.name.as_bytes(),
            Self::Id(id) => *id == topic.id,
        }
    }
}

/// A decoded answer.
#[derive(Debug)]
pub struct FetchAnswer {
    /// Milliseconds the broker will keep the connection muted for (quota).
    pub throttle_time_ms: i32,
    /// Error of the whole request: of the session.
    pub error_code: i16,
    /// Session the broker opened or continued; 0 for none.
    pub session_id: i32,
    /// Topics with news, and how many of the partitions are theirs: a name is not shared with each of them, because a
    /// reference counted up and down costs as much as the rest of a partition.
    pub(super) topics: Vec<(TopicRef, usize)>,
    /// Partitions with news, topic after topic. An incremental answer omits the others.
    pub(super) partitions: Vec<FetchedPartition>,
}

/// What one partition answered.
#[derive(Debug)]
pub struct FetchedPartition {
    /// Partition number.
    pub partition: i32,
    /// Kafka error code, 0 for none.
    pub error_code: i16,
    /// Offset up to which records are replicated; −1 when unknown.
    pub high_watermark: i64,
    /// Offset up to which transactions are decided; −1 when unknown.
    pub last_stable_offset: i64,
    /// First offset of the log; −1 when unknown.
    pub log_start_offset: i64,
    /// Where the log went another way than the last fetched epoch says (versions 12 and up).
    pub diverging_epoch: Option<DivergingEpoch>,
    /// Node id and epoch of the new leader, with a leader error (versions 12 and up).
    pub current_leader: Option<(i32, i32)>,
    /// Transactions aborted within the returned range; empty under read_uncommitted.
    pub aborted_transactions: Vec<AbortedTransaction>,
    /// Entries of the log, the last one possibly cut: see [`crate::records::Walker`].
    pub records: Bytes,
}

/// A transaction whose records between `first_offset` and its abort marker are not to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Producer id of the transaction.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
}

/// The largest epoch not above the one we sent, and its end offset on the leader (KIP-595).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DivergingEpoch {
    /// Epoch.
    pub epoch: i32,
    /// First offset after that epoch.
    pub end_offset: i64,
}

/// Smallest encodings, to bound array counts: a partition's fixed fields, an aborted transaction.
const PARTITION_MIN_BYTES: usize = FIXED_BYTES + 1 + 1;
/// What a partition begins with: number, error code, three offsets.
const FIXED_BYTES: usize = 4 + 2 + 8 + 8 + 8;
const ABORTED_MIN_BYTES: usize = 16;
const TOPIC_MIN_BYTES: usize = 3;

impl FetchAnswer {
    /// Decodes the body of an answer in `version` (after the correlation id).
    ///
    /// # Errors
    /// When the frame is not such an answer; the error says where.
    pub fn decode(version: i16, frame: &Bytes) -> Result<Self, Malformed> {
        let flexible = is_flexible(version);
        let mut reader = Reader::new(frame);
        reader.skip_tags(flexible)?; // response header version 1
        let throttle_time_ms = reader.i32()?;
        let error_code = reader.i16()?;
        let session_id = reader.i32()?;
        let (mut topics, mut partitions) = (Vec::new(), Vec::new());
        for _ in 0..reader.count(flexible, TOPIC_MIN_BYTES)?.unwrap_or(0) {
            let topic = if uses_topic_ids(version) {
                TopicRef::Id(reader.uuid()?)
            } else {
                let name = reader.nullable_string(flexible)?;
                TopicRef::Name(name.ok_or(reader.malformed("a topic without a name"))?)
            };
            let count = reader.count(flexible, PARTITION_MIN_BYTES)?.unwrap_or(0);
            partitions.reserve(count);
            for _ in 0..count {
                partitions.push(decode_partition(version, &mut reader)?);
            }
            topics.push((topic, count));
            reader.skip_tags(flexible)?;
        }
        reader.skip_tags(flexible)?;
        if reader.remaining() > 0 {
            return Err(reader.malformed("bytes after the end of the answer"));
        }
        Ok(Self { throttle_time_ms, error_code, session_id, topics, partitions })
    }

    /// The partitions, without their topics: for looking at an answer on its own.
    pub fn partitions(&self) -> impl Iterator<Item = &FetchedPartition> {
        self.partitions.iter()
    }

    /// The partitions, each with its topic: where there are few.
    pub(crate) fn into_named(self) -> impl Iterator<Item = (TopicRef, FetchedPartition)> {
        let topics = self.topics.into_iter();
        topics.flat_map(|(topic, count)| std::iter::repeat_n(topic, count)).zip(self.partitions)
    }
}

fn decode_partition(version: i16, reader: &mut Reader<'_>) -> Result<FetchedPartition, Malformed> {
    let flexible = is_flexible(version);
    let fixed = reader.array::<FIXED_BYTES>()?;
    let mut fixed = fixed.as_slice();
    let (partition, error_code) = (fixed.get_i32(), fixed.get_i16());
    let (high_watermark, last_stable_offset) = (fixed.get_i64(), fixed.get_i64());
    let log_start_offset = fixed.get_i64();
    let aborted = reader.count(flexible, ABORTED_MIN_BYTES)?.unwrap_or(0);
    let mut aborted_transactions = Vec::with_capacity(aborted);
    for _ in 0..aborted {
        aborted_transactions
            .push(AbortedTransaction { producer_id: reader.i64()?, first_offset: reader.i64()? });
        reader.skip_tags(flexible)?;
    }
    if version >= 11 {
        reader.i32()?; // preferred read replica: only with a rack id, which we never send
    }
    let records = reader.nullable_bytes(flexible)?.unwrap_or_default();
    let mut diverging_epoch = None;
    let mut current_leader = None;
    reader.tags(flexible, |tag, field| {
        match tag {
            0 => {
                let (epoch, end_offset) = (field.i32()?, field.i64()?);
                diverging_epoch = (epoch >= 0).then_some(DivergingEpoch { epoch, end_offset });
            }
            1 => {
                let (leader, epoch) = (field.i32()?, field.i32()?);
                current_leader = (leader >= 0).then_some((leader, epoch));
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(FetchedPartition {
        partition,
        error_code,
        high_watermark,
        last_stable_offset,
        log_start_offset,
        diverging_epoch,
        current_leader,
        aborted_transactions,
        records,
    })
}
