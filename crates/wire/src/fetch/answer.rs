//! Decodes a Fetch answer; every records field is a slice of the received frame, but for what was left in the kernel of it.

use super::{is_flexible, uses_topic_ids};
use crate::pipe::Cut;
use crate::primitives::{Malformed, Reader, TopicId};
use crate::records::Fetched;
use bytes::{Buf, Bytes};
use std::iter::Peekable;
use std::vec::IntoIter;

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
    pub records: Fetched,
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
        Self::decode_cut(version, frame, Vec::new())
    }

    /// As [`FetchAnswer::decode`], of a frame that `cuts` were left out of.
    pub(crate) fn decode_cut(version: i16, frame: &Bytes, cuts: Vec<Cut>) -> Result<Self, Malformed> {
        let flexible = is_flexible(version);
        let mut cuts = cuts.into_iter().peekable();
        let mut reader = Reader::new(frame);
        let Head { throttle_time_ms, error_code, session_id, topics: count } =
            Head::read(version, &mut reader)?;
        let (mut topics, mut partitions) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (topic, count) = read_topic(version, &mut reader)?;
            partitions.reserve(count);
            for _ in 0..count {
                let before = BeforeRecords::read(version, &mut reader)?;
                let records = read_records(flexible, &mut reader, &mut cuts)?;
                partitions.push(before.with(records, &mut reader, flexible)?);
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

/// What an answer begins with.
pub(super) struct Head {
    throttle_time_ms: i32,
    error_code: i16,
    session_id: i32,
    pub(super) topics: usize,
}

impl Head {
    pub(super) fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let flexible = is_flexible(version);
        reader.skip_tags(flexible)?; // response header version 1
        Ok(Self {
            throttle_time_ms: reader.i32()?,
            error_code: reader.i16()?,
            session_id: reader.i32()?,
            topics: reader.count(flexible, TOPIC_MIN_BYTES)?.unwrap_or(0),
        })
    }
}

/// A topic and how many partitions of it follow.
pub(super) fn read_topic(version: i16, reader: &mut Reader<'_>) -> Result<(TopicRef, usize), Malformed> {
    let flexible = is_flexible(version);
    let topic = if uses_topic_ids(version) {
        TopicRef::Id(reader.uuid()?)
    } else {
        let name = reader.nullable_string(flexible)?;
        TopicRef::Name(name.ok_or(reader.malformed("a topic without a name"))?)
    };
    Ok((topic, reader.count(flexible, PARTITION_MIN_BYTES)?.unwrap_or(0)))
}

/// A records field, with those of `cuts` that belong into it.
#[inline]
fn read_records(
    flexible: bool,
    reader: &mut Reader<'_>,
    cuts: &mut Peekable<IntoIter<Cut>>,
) -> Result<Fetched, Malformed> {
    let mut len = reader.bytes_len(flexible)?;
    if cuts.peek().is_none() {
        return Ok(reader.nullable(len)?.unwrap_or_default().into());
    }
    let start = reader.position();
    let mut tails = Vec::new();
    let left_out = |cut: &Cut| i64::try_from(cut.tail.len()).unwrap_or(i64::MAX);
    // Where they were left out they are missing from the field: the next place is the field's own if it is not behind its end.
    let end = |len: i64| start.saturating_add(usize::try_from(len).unwrap_or(0));
    while let Some(cut) = cuts.next_if(|cut| len > left_out(cut) && cut.at <= end(len - left_out(cut))) {
        len -= left_out(&cut);
        if tails.is_empty() {
            tails.reserve(cuts.len() + 1);
        }
        tails.push(Cut { at: cut.at - start, ..cut });
    }
    Ok(Fetched::new(reader.nullable(len)?.unwrap_or_default(), tails))
}

/// What stands of a partition before its records.
pub(super) struct BeforeRecords {
    partition: i32,
    error_code: i16,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
    aborted_transactions: Vec<AbortedTransaction>,
}

impl BeforeRecords {
    #[inline]
    pub(super) fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, Malformed> {
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
        Ok(Self {
            partition,
            error_code,
            high_watermark,
            last_stable_offset,
            log_start_offset,
            aborted_transactions,
        })
    }

    /// With the records, and what stands behind them.
    #[inline]
    fn with(
        self,
        records: Fetched,
        reader: &mut Reader<'_>,
        flexible: bool,
    ) -> Result<FetchedPartition, Malformed> {
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
        let Self {
            partition,
            error_code,
            high_watermark,
            last_stable_offset,
            log_start_offset,
            aborted_transactions,
        } = self;
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
}
