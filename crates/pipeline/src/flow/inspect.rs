//! Stage 2: walks a fetched slice and gives every batch a named verdict, from headers alone.

use std::collections::HashSet;
use verbatim_wire::fetch::{AbortedTransaction, Isolation};
use verbatim_wire::records::{Batch, BatchHeader, ControlKind, ControlRecord, Entry, Walker, patch};

use super::fetch::FetchedSlice;
use crate::error::StopReason;
use crate::partition::{Failure, Partition};
use crate::positions::Origins;
use crate::task::FlowTask;
use tokio::time::Instant;

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Goes on as it is, with a new header.
    Forward,
    /// Its records go on in a new batch.
    Repack(RepackReason),
    /// Part of an aborted transaction.
    DropAborted,
    /// A commit or abort marker.
    DropControl,
    /// Emptied by compaction.
    DropEmpty,
    /// It was produced on another cluster than those that are copied.
    DropForeign,
    /// Wholly below the position: a broker serves from the start of a batch.
    BeforeStart,
    /// No batch, or one that contradicts itself.
    Corrupt(&'static str),
}

/// Why a batch cannot be forwarded as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RepackReason {
    /// Compaction took records out; brokers take no batch with holes.
    Holes,
    /// It starts below the position.
    StartsBefore,
    /// Message format 0 or 1; brokers take only format 2.
    Legacy,
}

impl RepackReason {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Holes => "compaction removed some of its records",
            Self::StartsBefore => "it starts before the position to copy from",
            Self::Legacy => "it is in message format 0 or 1",
        }
    }
}

/// A whole entry of the source log and its verdict.
#[derive(Debug)]
pub(crate) struct InspectedBatch {
    pub(crate) verdict: Verdict,
    /// Header and bytes; for legacy entries the header is not meaningful.
    pub(crate) batch: Batch,
    /// Records of the batch below this offset are not to be copied.
    pub(crate) from_offset: i64,
    /// Position after it.
    pub(crate) next_offset: i64,
    /// Readers of committed records are given nothing of it, or nothing is left of it.
    pub(crate) is_gap: bool,
}

/// Walks `slice` and calls `each` with every whole entry in log order, until it returns `false`. A cut tail
/// is left to the next fetch. Returns the position after the last entry seen.
pub(crate) fn inspect(
    slice: FetchedSlice,
    isolation: Isolation,
    mut each: impl FnMut(InspectedBatch) -> bool,
) -> i64 {
    let mut aborted = AbortedWalk::new(&slice.aborted_transactions, isolation);
    let mut position = slice.from_offset;
    for entry in Walker::new(slice.records) {
        let inspected = match entry {
            Entry::Partial { .. } => break,
            Entry::Malformed { offset, .. } => {
                malformed(offset.max(position), "its length or format field is impossible")
            }
            Entry::Legacy { offset, bytes, .. } => legacy(offset, bytes, position),
            Entry::Batch(batch) => {
                let header = &batch.header;
                let is_aborted = aborted.covers(&batch);
                let is_gap = is_aborted || header.attributes.is_control() || header.records_count == 0;
                let verdict = judge(&batch, position, is_aborted);
                let next_offset = header.next_offset().max(position);
                InspectedBatch { verdict, batch, from_offset: position, next_offset, is_gap }
            }
        };
        position = inspected.next_offset;
        if !each(inspected) {
            break;
        }
    }
    position
}

fn judge(batch: &Batch, position: i64, is_aborted: bool) -> Verdict {
    let header = &batch.header;
    if header.last_offset_delta < 0 || header.base_offset < 0 {
        return Verdict::Corrupt("its offsets are negative");
    }
    if header.last_offset() < position {
        return Verdict::BeforeStart;
    }
    if header.attributes.is_control() {
        return Verdict::DropControl;
    }
    if is_aborted {
        return Verdict::DropAborted;
    }
    let count = i64::from(header.records_count);
    let offsets = i64::from(header.last_offset_delta) + 1;
    match count {
        _ if header.attributes.codec() > 4 => Verdict::Corrupt("its codec is not known"),
        0 => Verdict::DropEmpty,
        _ if count < 0 || count > offsets => Verdict::Corrupt("it claims more records than offsets"),
        _ if header.base_offset < position => Verdict::Repack(RepackReason::StartsBefore),
        _ if count < offsets => Verdict::Repack(RepackReason::Holes),
        _ => Verdict::Forward,
    }
}

fn legacy(offset: i64, bytes: bytes::Bytes, position: i64) -> InspectedBatch {
    // A wrapper's offset is that of its last message, so this is the last offset in every case.
    let verdict =
        if offset < position { Verdict::BeforeStart } else { Verdict::Repack(RepackReason::Legacy) };
    InspectedBatch {
        verdict,
        batch: Batch { header: placeholder(offset), bytes, tail: None },
        from_offset: position,
        next_offset: offset.saturating_add(1).max(position),
        is_gap: false,
    }
}

fn malformed(offset: i64, problem: &'static str) -> InspectedBatch {
    InspectedBatch {
        verdict: Verdict::Corrupt(problem),
        batch: Batch { header: placeholder(offset), bytes: bytes::Bytes::new(), tail: None },
        from_offset: offset,
        next_offset: offset,
        is_gap: false,
    }
}

/// Stands where an entry has no header of format 2; only its offset is meaningful.
fn placeholder(offset: i64) -> BatchHeader {
    BatchHeader {
        base_offset: offset,
        batch_length: 0,
        partition_leader_epoch: -1,
        magic: 0,
        crc: 0,
        attributes: verbatim_wire::records::Attributes(0),
        last_offset_delta: 0,
        base_timestamp: -1,
        max_timestamp: -1,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: 0,
    }
}

/// Which producers are inside an aborted transaction at the walk's place (as the consumer's `Fetcher`): a
/// transaction begins at its first offset and ends at its producer's next abort marker.
struct AbortedWalk<'a> {
    /// Not begun yet, by first offset.
    ahead: std::iter::Peekable<std::vec::IntoIter<&'a AbortedTransaction>>,
    inside: HashSet<i64>,
}

impl<'a> AbortedWalk<'a> {
    fn new(transactions: &'a [AbortedTransaction], isolation: Isolation) -> Self {
        let considered = if isolation == Isolation::ReadCommitted { transactions } else { &[] };
        let mut ahead: Vec<_> = considered.iter().collect();
        ahead.sort_by_key(|transaction| transaction.first_offset);
        Self { ahead: ahead.into_iter().peekable(), inside: HashSet::new() }
    }

    /// Whether `batch` is data of an aborted transaction; an abort marker ends its producer's.
    fn covers(&mut self, batch: &Batch) -> bool {
        let header = &batch.header;
        while let Some(begun) = self.ahead.next_if(|t| t.first_offset <= header.last_offset()) {
            self.inside.insert(begun.producer_id);
        }
        if self.inside.is_empty() {
            return false;
        }
        if header.attributes.is_control() {
            // An emptied control batch ends nothing: its marker no longer says what it was, and the
            // broker lists no transaction that ended there with data left.
            if let Ok(Some(ControlKind::Abort)) = ControlRecord::kind_of(batch) {
                self.inside.remove(&header.producer_id);
            }
            return false;
        }
        header.attributes.is_transactional() && self.inside.contains(&header.producer_id)
    }
}

impl InspectedBatch {
    /// Whether its records are copied, by where they were produced; `None` if that is not known.
    pub(crate) fn is_copied(&self, origins: &Origins) -> Option<bool> {
        match self.verdict {
            Verdict::Forward | Verdict::Repack(RepackReason::Holes | RepackReason::StartsBefore) => {
                origins.is_copied(self.batch.header.producer_id)
            }
            // Flows write neither transactions nor old formats.
            _ => Some(true),
        }
    }
}

impl Partition {
    /// Whether a batch of this verdict goes on, or is left out, by more than its header.
    fn looks_into(&self, verdict: Verdict) -> bool {
        let waits = self.is_repacking || !self.backlog.is_empty();
        let is_compared = self.cursor.records_to_pass > 0 || self.cursor.landmark.is_some();
        waits || is_compared || matches!(verdict, Verdict::Repack(_))
    }
}

impl FlowTask {
    /// The stage itself: moves the partition's cursor past `slice` and hands its batches on.
    #[inline(never)] // Its instructions are counted.
    pub(crate) fn inspect_slice(&mut self, number: u32, slice: FetchedSlice, now: Instant) {
        let mut batches = std::mem::take(&mut self.scratch);
        let origins = self.origins.clone();
        let mut unknown: Option<(i64, i64)> = None;
        let mut next_offset = inspect(slice, self.config.isolation, |mut inspected| {
            match origins.as_ref().map_or(Some(true), |origins| inspected.is_copied(origins)) {
                Some(true) => {}
                Some(false) => (inspected.verdict, inspected.is_gap) = (Verdict::DropForeign, true),
                None => {
                    unknown = Some((inspected.batch.header.producer_id, inspected.from_offset));
                    return false;
                }
            }
            let is_readable = !matches!(inspected.verdict, Verdict::Corrupt(_));
            batches.push(inspected);
            is_readable
        });
        if let Some((producer_id, from_offset)) = unknown {
            next_offset = from_offset;
            self.learn_origin(number, producer_id);
        }
        if let Some(partition) = self.partition(number) {
            partition.cursor.offset = next_offset;
            if let Some(last) = batches.last() {
                // Batches before the start are read one by one where they are to be compared.
                if last.verdict == Verdict::BeforeStart && partition.cursor.landmark.is_some() {
                    partition.cursor.offset = last.batch.header.next_offset();
                }
                partition.cursor.last_fetched_epoch = last.batch.header.partition_leader_epoch;
            }
        }
        self.ask_from_cursor(number);
        for inspected in batches.drain(..) {
            self.take(number, inspected, now);
        }
        self.scratch = batches;
        self.repack_backlog(number);
        self.make_ready(number, now);
        self.pause_or_unpause(number);
    }

    /// One batch in log order: on its way, into the backlog behind one that is being repacked, or dropped.
    pub(crate) fn take(&mut self, number: u32, mut inspected: InspectedBatch, now: Instant) {
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let Some(route) = self.routes.topic(partition.topic) else { return };
        if partition.ending.is_some() || !partition.state.is_copying() {
            return;
        }
        // What is to be looked at has to be in memory.
        if inspected.batch.tail.is_some()
            && partition.looks_into(inspected.verdict)
            && let Err(error) = inspected.batch.gather(self.source.pool())
        {
            tracing::warn!(number, %error, "a batch left in the kernel is lost; fetching it again");
            return self.fail(number, Failure::Passing, now);
        }
        let may_be_compacted = route.source_traits.may_be_compacted || route.target_traits.is_compacted;
        let (unpacked_bytes, pool) = (self.config.repack_limit_bytes, self.source.pool());
        if partition.is_preserved() && !partition.agrees(&inspected, may_be_compacted, unpacked_bytes, pool) {
            return self.realign(number, now);
        }
        let must_wait = partition.is_repacking || !partition.backlog.is_empty();
        if must_wait || matches!(inspected.verdict, Verdict::Repack(_)) {
            partition.queued_bytes += inspected.batch.bytes.len();
            partition.backlog.push_back(inspected);
            return;
        }
        let leader_epoch = inspected.batch.header.partition_leader_epoch;
        match inspected.verdict {
            Verdict::Forward => {
                let Batch { header, bytes, .. } = &inspected.batch;
                if self.config.verify_source && !patch::crc_is_right(header, &inspected.batch.payload()) {
                    let (offset, bytes) = (header.base_offset, bytes.len());
                    return self.damaged(number, offset, bytes, now);
                }
                let routed = self.route(inspected);
                self.patch(number, routed, now);
                return;
            }
            Verdict::DropAborted => partition.counters.aborted_batches += 1,
            Verdict::DropControl | Verdict::DropEmpty => partition.counters.empty_batches += 1,
            Verdict::DropForeign => partition.counters.foreign_batches += 1,
            Verdict::BeforeStart => {
                // The last batch copied, by its place: its leader epoch tells whether the source's log is cut later.
                if partition.queue.is_empty()
                    && inspected.batch.header.next_offset() == partition.settled.source_offset
                {
                    partition.settled.leader_epoch = leader_epoch;
                }
                return;
            }
            Verdict::Repack(_) => {}
            Verdict::Corrupt(problem) => {
                let offset = inspected.batch.header.base_offset;
                return self.end(number, StopReason::Malformed { offset, problem }, now);
            }
        }
        partition.pass_to(inspected.next_offset, leader_epoch);
        self.note_progress(number);
    }

    /// A checksum that is wrong before anything was sent: damage on the way does not come twice, that at the source does.
    pub(crate) fn damaged(&mut self, number: u32, offset: i64, bytes: usize, now: Instant) {
        let Some(partition) = self.partition(number) else { return };
        match partition.corrupt(offset, bytes) {
            Failure::Passing => self.fail(number, Failure::Passing, now),
            Failure::Final(_) => self.end(number, StopReason::CorruptAtSource { offset, bytes }, now),
        }
    }
}

#[cfg(test)]
mod tests;
