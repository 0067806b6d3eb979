//! The slow path beside stage 4: records taken out of a batch that no broker would accept, into a new one.
//!
//! Pure and run off the task. Exact in key, value, headers, timestamp and timestamp type; compressed with the
//! codec the batch had. The CRC is verified first: what is opened here is not covered by the target's check.

use super::inspect::{InspectedBatch, RepackReason, Verdict};
use bytes::Bytes;
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions, BuildError};
use verbatim_wire::records::codec::{Codec, CodecError, UnknownCodec, decompress_shared};
use verbatim_wire::records::legacy::{LegacyError, LegacyMessage, LegacyRecords};
use verbatim_wire::records::record::{Headers, RecordError, Records};
use verbatim_wire::records::{Attributes, Batch, BatchHeader, HEADER_BYTES, patch};

/// Why a batch could not be opened or built again.
#[derive(Debug, thiserror::Error)]
pub enum RepackError {
    /// The checksum is wrong.
    #[error("its checksum does not match its {bytes} bytes")]
    Crc {
        /// Size of the batch.
        bytes: usize,
    },
    /// The codec number is not defined.
    #[error(transparent)]
    UnknownCodec(#[from] UnknownCodec),
    /// The payload does not decompress, or to more than the limit.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A record is malformed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An old message is malformed.
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    /// The new batch cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Bounds of the new batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RepackLimits {
    /// Bytes a payload may unpack to.
    pub(crate) unpacked_bytes: usize,
    /// Largest batch the target takes; a larger one is split while it has more than one record.
    pub(crate) batch_bytes: usize,
    /// A batch for each stretch of records without a hole: with preserved offsets the holes are filled in between.
    pub(crate) splits_at_holes: bool,
}

/// What the slow path hands back, in log order.
#[derive(Debug)]
pub(crate) enum Repacked {
    /// A batch that needed nothing, or is to be dropped.
    Untouched(InspectedBatch),
    /// New batches in place of one.
    Batches { batches: Vec<NewBatch>, leader_epoch: i32, next_offset: i64 },
}

/// A batch built here.
#[derive(Debug)]
pub(crate) struct NewBatch {
    pub(crate) bytes: Bytes,
    /// Source offsets of its records, as stretches: first offset, number of records.
    pub(crate) stretches: Vec<(i64, i64)>,
    /// Source position after it.
    pub(crate) next_offset: i64,
}

/// The batch that could not be repacked.
#[derive(Debug)]
pub(crate) struct RepackFailure {
    pub(crate) offset: i64,
    pub(crate) reason: RepackReason,
    pub(crate) error: RepackError,
}

/// Repacks what needs it among `batches`; what comes before a failure is good.
pub(crate) fn repack(
    batches: Vec<InspectedBatch>,
    limits: RepackLimits,
) -> (Vec<Repacked>, Option<RepackFailure>) {
    let mut done = Vec::with_capacity(batches.len());
    for inspected in batches {
        let Verdict::Repack(reason) = inspected.verdict else {
            done.push(Repacked::Untouched(inspected));
            continue;
        };
        match repacked(&inspected, reason, limits) {
            Ok(batches) => done.push(Repacked::Batches {
                batches,
                leader_epoch: inspected.batch.header.partition_leader_epoch,
                next_offset: inspected.next_offset,
            }),
            Err(error) => {
                let offset = inspected.batch.header.base_offset;
                return (done, Some(RepackFailure { offset, reason, error }));
            }
        }
    }
    (done, None)
}

/// A record with its offset and time resolved.
pub(crate) struct Kept {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    /// The timestamp is the broker's, not the producer's.
    pub(crate) is_append_time: bool,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Headers,
}

fn repacked(
    inspected: &InspectedBatch,
    reason: RepackReason,
    limits: RepackLimits,
) -> Result<Vec<NewBatch>, RepackError> {
    let codec = match reason {
        RepackReason::Legacy => LegacyMessage::parse(&inspected.batch.bytes)?.codec()?,
        RepackReason::Holes | RepackReason::StartsBefore => {
            Codec::from_attributes(inspected.batch.header.attributes)?
        }
    };
    let kept = kept(inspected, limits)?;
    let mut batches = Vec::new();
    let is_dense = |a: &Kept, b: &Kept| !limits.splits_at_holes || a.offset + 1 == b.offset;
    let mut parts = kept.chunk_by(is_dense).peekable();
    while let Some(part) = parts.next() {
        let next = parts.peek().and_then(|next| next.first());
        let next_offset = next.map_or(inspected.next_offset, |next| next.offset);
        build(codec, part, next_offset, limits, &mut batches)?;
    }
    Ok(batches)
}

/// The records of a batch that are to be copied, in order.
pub(crate) fn kept(inspected: &InspectedBatch, limits: RepackLimits) -> Result<Vec<Kept>, RepackError> {
    let mut kept = match inspected.verdict {
        Verdict::Repack(RepackReason::Legacy) => legacy_records(&inspected.batch.bytes, limits)?,
        _ => kept_of(&inspected.batch, limits)?,
    };
    kept.retain(|record| record.offset >= inspected.from_offset);
    Ok(kept)
}

/// All records of a batch, in order.
pub(crate) fn kept_of(batch: &Batch, limits: RepackLimits) -> Result<Vec<Kept>, RepackError> {
    let (header, payload) = (&batch.header, batch.payload());
    if !patch::crc_is_right(header, &payload) {
        return Err(RepackError::Crc { bytes: batch.bytes.len() });
    }
    let codec = Codec::from_attributes(header.attributes)?;
    let payload = decompress_shared(codec, &payload, limits.unpacked_bytes)?;
    let append_time = header.attributes.is_log_append_time().then_some(header.max_timestamp);
    let mut kept = Vec::new();
    for record in Records::new(payload, header.records_count) {
        let record = record?;
        kept.push(Kept {
            offset: record.offset(header.base_offset),
            timestamp: append_time.unwrap_or_else(|| record.timestamp(header.base_timestamp)),
            is_append_time: append_time.is_some(),
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }
    Ok(kept)
}

fn legacy_records(entry: &Bytes, limits: RepackLimits) -> Result<Vec<Kept>, RepackError> {
    let mut kept = Vec::new();
    for record in LegacyRecords::new(entry, limits.unpacked_bytes)? {
        let record = record?;
        let headers = Headers::none();
        kept.push(Kept {
            offset: record.offset,
            timestamp: record.timestamp,
            is_append_time: false,
            key: record.key,
            value: record.value,
            headers,
        });
    }
    Ok(kept)
}

/// Builds `kept` into one batch, or into halves of it while that is too large for the target.
fn build(
    codec: Codec,
    kept: &[Kept],
    next_offset: i64,
    limits: RepackLimits,
    batches: &mut Vec<NewBatch>,
) -> Result<(), RepackError> {
    if kept.is_empty() {
        return Ok(());
    }
    let mut builder = BatchBuilder::new(BatchOptions { codec, ..BatchOptions::default() });
    for record in kept {
        builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers)?;
    }
    let batch = builder.finish()?;
    if batch.len() <= limits.batch_bytes || kept.len() == 1 {
        batches.push(NewBatch { bytes: batch, stretches: stretches(kept), next_offset });
        return Ok(());
    }
    let (first, second) = kept.split_at(kept.len() / 2);
    let middle = second.first().map_or(next_offset, |record| record.offset);
    build(codec, first, middle, limits, batches)?;
    build(codec, second, next_offset, limits, batches)
}

fn stretches(kept: &[Kept]) -> Vec<(i64, i64)> {
    let stretches = kept.chunk_by(|a, b| a.offset + 1 == b.offset);
    stretches.filter_map(|part| Some((part.first()?.offset, part.len() as i64))).collect()
}

/// Header and payload of a batch the builder made.
pub(crate) fn taken_apart(batch: &Bytes) -> Option<(BatchHeader, Bytes)> {
    let header = BatchHeader::parse(batch)?;
    debug_assert_eq!(header.attributes.0 & !Attributes::CODEC_MASK, 0);
    Some((header, batch.slice(HEADER_BYTES..)))
}

#[cfg(test)]
mod tests;
