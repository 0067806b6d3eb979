//! Where a flow stands, for people and programs.

use crate::error::{PartitionName, Side, StopReason};
use crate::partition::{Counters, Trouble};
use crate::positions::{Gap, OffsetsHeld, Position};
use std::sync::Arc;
use tokio::time::Instant;

/// A flow at one moment.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Every partition, in the order they were added.
    pub partitions: Vec<PartitionStatus>,
    /// Bytes of fetched frames held or asked for.
    pub held_bytes: usize,
    /// How many bytes the connections to both clusters have read into memory and written from it, and that were copied to be put together
    /// anew: see [`BufferPool::copied_bytes`](verbatim_wire::connection::BufferPool::copied_bytes).
    pub copied_bytes: u64,
    /// Clusters that could not be asked who leads what when that was tried last: brokers are away.
    pub unanswering: Vec<Side>,
    /// When the target acknowledged the first batch.
    pub first_settled: Option<Instant>,
}

/// A partition at one moment.
#[derive(Debug, Clone)]
pub struct PartitionStatus {
    /// Source topic and partition.
    pub name: PartitionName,
    /// Up to where it is on the target.
    pub position: Position,
    /// Source and target offset of the last record copied, where offsets are translated and there is one.
    pub last_record: Option<(i64, i64)>,
    /// End of what can be read on the source, once known.
    pub end_offset: Option<i64>,
    /// End of what is replicated on the source, once known. What stands between `end_offset` and it is held back by open transactions.
    pub high_watermark: Option<i64>,
    /// Offsets between position and end, once known.
    pub lag_records: Option<i64>,
    /// What became of the batches.
    pub counters: Counters,
    /// Why it stopped, if it did.
    pub stopped: Option<Arc<StopReason>>,
    /// What keeps it from getting on for now, and since when; trying again goes on.
    pub waits: Option<Trouble>,
    /// Whether it is being copied right now (and not looked up, paused or stopped).
    pub is_copying: bool,
    /// Whether offsets are the same on both sides.
    pub offsets: OffsetsHeld,
    /// Why they are not, where they might have been.
    pub translated_because: Option<Arc<str>>,
    /// What is missing on one side because the source's log changed and the policy was to go on.
    pub gaps: Vec<Gap>,
}

impl PartitionStatus {
    /// Offsets that open transactions hold back on the source; `None` while its end is not known.
    pub fn held_back_records(&self) -> Option<i64> {
        Some((self.high_watermark? - self.end_offset?).max(0))
    }
}

impl Status {
    /// Offsets behind, over all partitions; `None` until every running partition knows its end.
    pub fn lag_records(&self) -> Option<i64> {
        let running = self.partitions.iter().filter(|partition| partition.stopped.is_none());
        running.map(|partition| partition.lag_records).sum()
    }

    /// Several flows as one.
    pub fn merged(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |mut merged, status| {
            merged.partitions.extend(status.partitions);
            merged.held_bytes += status.held_bytes;
            merged.copied_bytes += status.copied_bytes;
            merged.unanswering.extend(status.unanswering);
            merged.first_settled = match (merged.first_settled, status.first_settled) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            merged
        })
    }

    /// All counters added up.
    pub fn total(&self) -> Counters {
        self.partitions.iter().fold(Counters::default(), |mut total, partition| {
            let Counters {
                forwarded_batches,
                spliced_batches,
                repacked_batches,
                merged_batches,
                records,
                bytes,
                aborted_batches,
                foreign_batches,
                empty_batches,
                filled_offsets,
            } = partition.counters;
            total.forwarded_batches += forwarded_batches;
            total.spliced_batches += spliced_batches;
            total.repacked_batches += repacked_batches;
            total.merged_batches += merged_batches;
            total.records += records;
            total.bytes += bytes;
            total.aborted_batches += aborted_batches;
            total.foreign_batches += foreign_batches;
            total.empty_batches += empty_batches;
            total.filled_offsets += filled_offsets;
            total
        })
    }

    /// Partitions of which records went on in other batches than they came in.
    pub fn not_verbatim(&self) -> impl Iterator<Item = &PartitionStatus> {
        self.partitions.iter().filter(|partition| partition.counters.is_changed())
    }

    /// Partitions that stopped, and why.
    pub fn stopped(&self) -> impl Iterator<Item = (&PartitionName, &Arc<StopReason>)> {
        self.partitions.iter().filter_map(|partition| Some((&partition.name, partition.stopped.as_ref()?)))
    }
}
