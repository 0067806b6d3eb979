//! Beside stage 5: where a partition is behind and its batches are small, neighbours go on as one.
//!
//! A broker takes one batch of a partition per request, so a partition of small batches moves at the rate of requests and not of
//! bytes. With [`Batching::Adaptive`](crate::Batching) batches that wait while as many as may be are under way become one: whole
//! batches only, of offsets that follow one another on both sides, and never over a marker. So positions still stand between
//! source batches, the sequence number still counts records, the map has the same runs, and what is preserved stays so.
//!
//! What is opened here is no longer covered by the target's check of the source's checksum, so it is verified first.

use super::patch::PatchedBatch;
use crate::config::Batching;
use crate::partition::{Landmark, Partition};
use crate::task::FlowTask;
use crate::task::events::Event;
use bytes::Bytes;
use std::sync::Arc;
use tokio::time::Instant;
use verbatim_wire::connection::BufferPool;
use verbatim_wire::records::codec::{Codec, CodecError, compress, decompress};
use verbatim_wire::records::merge::{GROWTH_BYTES, MergeError, Merged, Merger};
use verbatim_wire::records::{BatchHeader, HEADER_BYTES, ProducerStamp, crc, patch};

/// Batches from this size on are sent as they are: a request with one of them carries enough.
const SMALL_BYTES: usize = 32 << 10;
/// Size that merged batches grow to, in bytes, where the target takes that much: from here on requests cost less than bytes.
pub(super) const MERGED_BYTES: usize = 256 << 10;
/// Bytes that merged batches unpack to, at most.
const UNPACKED_BYTES: usize = 768 << 10;
/// Memory that is taken meanwhile: for the records of all, for those of one, for all compressed.
const MEMORY_BYTES: usize = 2 * UNPACKED_BYTES + MERGED_BYTES;

/// Batches that become one.
#[derive(Debug)]
pub(crate) struct Run {
    batches: Vec<(BatchHeader, Bytes)>,
    codec: Codec,
    /// Bytes that their payloads may unpack to, all together.
    unpacked_bytes: usize,
}

/// What became of them.
#[derive(Debug)]
pub(crate) struct MergedRun {
    header: BatchHeader,
    payload: Bytes,
    /// Batches that are in it: the first ones of the run.
    count: usize,
}

/// Why they stay as they are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The target, or whoever reads it, is to see the damage: nothing is opened.
    #[error("a checksum is wrong")]
    Crc,
    #[error("the work ended early")]
    Ended,
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Merge(#[from] MergeError),
}

impl Run {
    /// The batches `batches`, of which the first says the codec.
    pub(crate) fn of(batches: Vec<(BatchHeader, Bytes)>, unpacked_bytes: usize) -> Option<Self> {
        let codec = Codec::from_attributes(batches.first()?.0.attributes).ok()?;
        Some(Self { batches, codec, unpacked_bytes })
    }

    /// Makes one of them, in memory of `pool`.
    pub(crate) fn merge(&self, pool: &Arc<BufferPool>) -> Result<MergedRun, RunError> {
        let (records, merged, count) = self.records(pool)?;
        let payload = match self.codec {
            Codec::None => records,
            codec => {
                let compressed = compress(codec, &records)?;
                pool.build(compressed.len(), |out| {
                    out.extend_from_slice(&compressed);
                    Ok::<(), RunError>(())
                })?
            }
        };
        Ok(MergedRun { header: merged.header(self.codec, &payload, self.stamp()?)?, payload, count })
    }

    fn stamp(&self) -> Result<ProducerStamp, RunError> {
        let (first, _) = self.batches.first().ok_or(MergeError::TooLarge)?;
        let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = *first;
        Ok(ProducerStamp { producer_id, producer_epoch, base_sequence })
    }

    /// The records of the first of them, uncompressed: of all that fit, and how many batches these are.
    fn records(&self, pool: &Arc<BufferPool>) -> Result<(Bytes, Merged, usize), RunError> {
        let (first, _) = self.batches.first().ok_or(MergeError::TooLarge)?;
        let mut merged = None;
        let bytes: usize = self.batches.iter().map(|(header, payload)| grown(header, payload)).sum();
        let records = pool.build(bytes, |out| {
            let mut merger = Merger::new(out, first.base_timestamp);
            let (mut count, mut unpacked_bytes) = (0, 0);
            for (header, payload) in &self.batches {
                if !patch::crc_is_right(header, payload) {
                    return Err(RunError::Crc);
                }
                if self.codec == Codec::None {
                    merger.push(header, payload)?;
                } else {
                    match decompress(self.codec, payload, self.unpacked_bytes - unpacked_bytes) {
                        Ok(records) => {
                            unpacked_bytes += records.len();
                            merger.push(header, &records)?;
                        }
                        // It begins the next run, if it can be read at all.
                        Err(_) if count > 0 => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                count += 1;
            }
            merged = Some((merger.finish(), count));
            Ok(())
        })?;
        let (merged, count) = merged.ok_or(MergeError::TooLarge)?;
        Ok((records, merged, count))
    }
}

/// Whether `landmark`, a batch of the target, is `batches` of the source in one. Compressors may change between versions of
/// this program: of a compressed batch the records have to be the same, its bytes need not.
pub(crate) fn are_in(
    batches: impl Iterator<Item = (BatchHeader, Bytes)>,
    landmark: &Landmark,
    unpacked_bytes: usize,
    pool: &Arc<BufferPool>,
) -> bool {
    let is_same = |run: Run| -> Result<bool, RunError> {
        let copy = &landmark.header;
        let Some(records_crc) = landmark.records_crc else {
            return Ok(patch::is_copy(&run.merge(pool)?.header, copy));
        };
        let (records, merged, count) = run.records(pool)?;
        Ok(count == run.batches.len()
            && merged.records_count == copy.records_count
            && merged.base_timestamp == copy.base_timestamp
            && run.codec.id() == copy.attributes.codec()
            && crc::crc32c(&records) == records_crc)
    };
    Run::of(batches.collect(), unpacked_bytes).is_some_and(|run| is_same(run).unwrap_or(false))
}

/// Size of a payload with every record of it grown as much as can be.
fn grown(header: &BatchHeader, payload: &Bytes) -> usize {
    let records = usize::try_from(header.records_count).unwrap_or(0);
    payload.len() + records * GROWTH_BYTES
}

impl PatchedBatch {
    fn parsed(&self) -> Option<(BatchHeader, Bytes)> {
        Some((BatchHeader::parse(&self.header)?, self.payload.clone()))
    }
}

impl Partition {
    /// How many of the batches that wait can become one, and their codec; `None` for fewer than two, or while it is not behind.
    /// More have to wait than can be under way: fewer are sent at once.
    fn mergeable(&self, max_batch_bytes: usize, requests: usize) -> Option<(usize, i16)> {
        let waiting = self.queue.len() - self.in_flight.min(self.queue.len());
        if waiting <= requests || self.unmerged > 0 || self.is_merging || !self.state.is_copying() {
            return None;
        }
        let first = self.queue.get(self.in_flight).filter(|first| first.bytes() < SMALL_BYTES)?;
        let (header, _) = first.parsed()?;
        let codec = header.attributes.codec();
        let limit = MERGED_BYTES.min(max_batch_bytes).min(self.largest_merged);
        let mut bytes = HEADER_BYTES;
        let mut next_offset = first.source_offset;
        let mut count = 0;
        for batch in self.queue.iter().skip(self.in_flight) {
            bytes += match codec {
                0 => batch.payload.len() + usize::try_from(batch.records).unwrap_or(0) * GROWTH_BYTES,
                _ => batch.payload.len(),
            };
            let is_next = batch.tail.is_none()
                && batch.stretches.is_none()
                && batch.source_offset == next_offset
                && (count == 0 || batch.fill_before == 0)
                && batch.codec() == codec
                && (batch.is_old, batch.needs_claim) == (first.is_old, first.needs_claim)
                && batch.bytes() < SMALL_BYTES;
            if !is_next || bytes > limit {
                break;
            }
            next_offset += i64::from(batch.records);
            count += 1;
        }
        (count > 1).then_some((count, codec))
    }

    fn run(&self, count: usize, unpacked_bytes: usize) -> Option<Run> {
        let batches = self.queue.iter().skip(self.in_flight).take(count);
        Run::of(batches.map(PatchedBatch::parsed).collect::<Option<_>>()?, unpacked_bytes)
    }

    /// The first `count` batches that wait have become one, or go on as they are: what is wrong with them is for the target to say.
    fn take_merged(&mut self, count: usize, outcome: Result<MergedRun, RunError>, max_batch_bytes: usize) {
        match outcome {
            Ok(merged) if merged.count > 1 && merged.payload.len() + HEADER_BYTES <= max_batch_bytes => {
                return self.replace(merged);
            }
            Ok(merged) => return self.unmerged = merged.count,
            Err(error) => {
                tracing::debug!(partition = self.partition, count, %error, "batches are not merged");
            }
        }
        self.unmerged = count;
    }

    /// Puts `merged` in the place of the batches that wait and are in it.
    fn replace(&mut self, merged: MergedRun) {
        let MergedRun { header, payload, count } = merged;
        let run: Vec<PatchedBatch> = self.queue.drain(self.in_flight..self.in_flight + count).collect();
        let before: usize = run.iter().map(PatchedBatch::bytes).sum();
        let sources = run.iter().map(|batch| batch.merged_from.max(1)).sum();
        let is_repacked = run.iter().any(|batch| batch.is_repacked);
        let mut run = run.into_iter();
        let Some(first) = run.next() else { return };
        let (source_next, leader_epoch, next_sequence) =
            run.last().map_or((first.source_next, first.leader_epoch, first.next_sequence), |last| {
                (last.source_next, last.leader_epoch, last.next_sequence)
            });
        let merged = PatchedBatch {
            header: header.to_bytes(),
            payload,
            tail: None,
            records: header.records_count,
            source_next,
            leader_epoch,
            next_sequence,
            is_repacked,
            merged_from: sources,
            ..first
        };
        self.queued_bytes = self.queued_bytes + merged.bytes() - before;
        self.queue.insert(self.in_flight, merged);
    }
}

impl FlowTask {
    /// Merges what waits of a partition that is behind, or has it done beside the task where codecs have work with it.
    pub(crate) fn merge_waiting(&mut self, number: u32) {
        if self.config.batching == Batching::Verbatim {
            return;
        }
        let pool = self.source.pool();
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let Some(route) = self.routes.topic(partition.topic) else { return };
        let max_batch_bytes = route.target_traits.max_message_bytes;
        let Some((count, codec)) = partition.mergeable(max_batch_bytes, self.config.requests_per_lane) else {
            return;
        };
        // What is merged takes memory of its own until the frames it came from are done with.
        if !self.budget.has_room_to_merge(MERGED_BYTES) {
            return;
        }
        if codec != 0 && !self.budget.has_room_to_unpack(self.unpacking, MEMORY_BYTES) {
            return;
        }
        let Some(run) = partition.run(count, UNPACKED_BYTES) else { return };
        if codec == 0 {
            return partition.take_merged(count, run.merge(pool), max_batch_bytes);
        }
        partition.is_merging = true;
        self.unpacking += 1;
        let (generation, pool) = (partition.generation, pool.clone());
        let work = tokio::task::spawn_blocking(move || run.merge(&pool));
        self.beside(async move {
            let outcome = work.await.unwrap_or(Err(RunError::Ended));
            Event::Merged { number, generation, count, outcome }
        });
    }

    pub(crate) fn merged(
        &mut self,
        number: u32,
        generation: u32,
        count: usize,
        outcome: Result<MergedRun, RunError>,
        now: Instant,
    ) {
        self.unpacking = self.unpacking.saturating_sub(1);
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        if partition.generation != generation {
            return;
        }
        let Some(route) = self.routes.topic(partition.topic) else { return };
        partition.is_merging = false;
        partition.take_merged(count, outcome, route.target_traits.max_message_bytes);
        self.make_ready(number, now);
    }
}

#[cfg(test)]
mod tests;
