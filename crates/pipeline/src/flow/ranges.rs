//! Beside stage 1: a partition that is behind, on a source that is far, is read in several ranges at once.
//!
//! What a session brings with one answer is asked for again only when it is there: one answer per round trip. So where the
//! round trip is long and much is left to read, the partition leaves its session. Ranges of offsets are asked for one after the
//! other without waiting, as many as the budget has room for, over several connections, since one may not fill a far link. How
//! many offsets a range has is reckoned from the bytes per offset seen so far. Ranges are taken in order: where one ends in the next,
//! what is there twice is passed over; where it ends before the next, what is missing is asked for. Anything but records sets the
//! partition back into its session, which knows what to make of it.

use crate::partition::Partition;
use crate::task::FlowTask;
use crate::task::events::Event;
use std::collections::VecDeque;
use tokio::time::Instant;
use verbatim_wire::cluster::{BrokerError, ClusterError, Lane, Range};
use verbatim_wire::fetch::FetchedPartition;
use verbatim_wire::records::{BatchHeader, Fetched};

/// Connections to a broker that ranges are spread over.
const LANES: u64 = 2;
/// Bytes asked for with one range, at the least: one batch at its start and one at its end come twice or not whole.
const RANGE_BYTES: usize = 8 << 20;
/// A range is at most this part of the budget, of which three quarters are for ranges.
const RANGES_IN_BUDGET: usize = 8;
/// Batches of the size seen last that a range has room for, at the least.
const RANGE_BATCHES: usize = 16;

/// Less than this is left to the session, and less than this part of a range.
const REST_BYTES: usize = 256 << 10;
const REST: i64 = 8;

/// Ranges of a partition that are being read.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    /// In the order of their offsets.
    open: VecDeque<OpenRange>,
    /// How many were asked for: lanes take turns.
    asked: u64,
    /// Records' bytes and the offsets they took, of the last answers.
    seen: (usize, i64),
    /// The largest batch seen at the start of an answer.
    batch_bytes: usize,
}

#[derive(Debug)]
struct OpenRange {
    /// No other range of the flow has it: an answer that comes late is not taken for another's.
    number: u64,
    from: i64,
    /// Where the next one begins.
    to: i64,
    answer: Option<FetchedPartition>,
}

impl Ranges {
    /// Notes how large records are: `bytes` from this first batch on brought the cursor to offset `next`.
    fn see(&mut self, bytes: usize, (first, batch_bytes): (i64, usize), next: i64) {
        if next > first && bytes > 0 {
            // Half of what was before counts, so that a change shows within some answers.
            self.seen = (self.seen.0 / 2 + bytes, self.seen.1 / 2 + (next - first));
            self.batch_bytes = self.batch_bytes.max(batch_bytes);
        }
    }

    /// Bytes to ask for to get so many offsets.
    fn bytes_of(&self, offsets: i64) -> usize {
        let (bytes, seen) = (self.seen.0 as u128, u128::from(self.seen.1.max(1).unsigned_abs()));
        let wanted = u128::from(offsets.max(1).unsigned_abs()) * bytes / seen;
        usize::try_from(wanted).unwrap_or(usize::MAX).saturating_add(2 * self.batch_bytes)
    }

    /// Bytes to ask for, with a budget of `budget_bytes`, and the offsets that they hold for sure or nearly so.
    fn size(&self, budget_bytes: usize) -> (usize, i64) {
        let bytes = RANGE_BYTES.max(RANGE_BATCHES * self.batch_bytes).min(budget_bytes / RANGES_IN_BUDGET);
        let useful = bytes.saturating_sub(2 * self.batch_bytes).max(1);
        (bytes, offsets_in(useful, self.seen))
    }

    /// Offsets that are left to the session, where a range holds so many.
    fn rest(&self, offsets: i64) -> i64 {
        offsets_in(REST_BYTES, self.seen).min(offsets / REST).max(1)
    }
}

/// How many offsets to ask for next of the `left` ones, at most `most`: as many each time, so that no small rest is left.
fn even(left: i64, most: i64) -> i64 {
    let ranges = (left - 1) / most + 1;
    (left - 1) / ranges + 1
}

/// Offsets that `bytes` hold, where `seen` bytes held so many.
fn offsets_in(bytes: usize, seen: (usize, i64)) -> i64 {
    let (seen_bytes, seen_offsets) = (seen.0.max(1) as u128, u128::from(seen.1.max(1).unsigned_abs()));
    i64::try_from(bytes as u128 * seen_offsets / seen_bytes).unwrap_or(i64::MAX).max(1)
}

/// What is seen of a slice before it is handed on.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    bytes: usize,
    /// Offset and size of the first batch.
    first: Option<(i64, usize)>,
}

impl Seen {
    pub(crate) fn of(records: &Fetched) -> Self {
        let header = BatchHeader::parse(records.bytes());
        let first = header.and_then(|header| Some((header.base_offset, header.batch_bytes()?)));
        Self { bytes: records.len(), first }
    }
}

impl FlowTask {
    pub(crate) fn is_read_from_far(&self, number: u32) -> bool {
        let node = self.partitions.get(number as usize).and_then(|partition| partition.source.fetched_from);
        node.and_then(|node| self.sources.get(&node)).is_some_and(|broker| broker.far.is_some())
    }

    /// After an answer of its session that came from far: goes over to ranges if that is worth it.
    pub(crate) fn read_in_ranges_if_worth_it(&mut self, number: u32, seen: Seen) {
        if self.origins.is_some() || self.is_draining {
            return; // Where records came from is learned batch by batch.
        }
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let Some(node) = partition.source.fetched_from else { return };
        let Some(broker) = self.sources.get_mut(&node) else { return };
        if !partition.may_read_ahead() {
            return;
        }
        let mut ranges = Ranges::default();
        let Some(first) = seen.first else { return };
        ranges.see(seen.bytes, first, partition.cursor.offset);
        let (_, offsets) = ranges.size(self.config.far_budget_bytes);
        let left = partition.source.end_offset.map_or(0, |end| end - partition.cursor.offset);
        if ranges.seen.1 == 0 || left <= ranges.rest(offsets) {
            return;
        }
        broker.session.forget(number);
        partition.source.ranges = Some(Box::new(ranges));
        self.in_ranges.insert(number);
    }

    /// Back into the session, at the cursor. What is still on its way is of no use any more.
    fn leave_ranges(&mut self, number: u32) {
        self.in_ranges.remove(&number);
        let Some(partition) = self.partition(number) else { return };
        if partition.source.ranges.take().is_some() && partition.state.is_copying() {
            self.join_session(number);
        }
    }

    /// Asks for further ranges as far as the budget goes, one of each partition in turn.
    pub(crate) fn fetch_ranges(&mut self) {
        if self.in_ranges.is_empty() || self.is_draining {
            return;
        }
        let mut numbers: Vec<u32> = self.in_ranges.iter().copied().collect();
        let at = self.last_ranged.min(numbers.len());
        numbers.rotate_left(at);
        while !numbers.is_empty() {
            numbers.retain(|number| self.fetch_next_range(*number));
        }
        self.last_ranged = (self.last_ranged + 1) % self.in_ranges.len().max(1);
    }

    /// Whether a range was asked for, and another may be.
    fn fetch_next_range(&mut self, number: u32) -> bool {
        let limit = self.budget.limit_bytes();
        let pause_bytes = self.budget.pause_bytes();
        let Some(partition) = self.partition(number) else { return false };
        let (offset, end) = (partition.cursor.offset, partition.source.end_offset.unwrap_or(0));
        let is_full = partition.queued_bytes > pause_bytes || !partition.may_read_ahead();
        let Some(ranges) = &mut partition.source.ranges else { return false };
        let (most_bytes, most) = ranges.size(limit);
        let from = ranges.open.back().map_or(offset, |last| last.to);
        if end - from < ranges.rest(most) {
            // The rest is the session's.
            if ranges.open.is_empty() {
                self.leave_ranges(number);
            }
            return false;
        }
        let offsets = even(end - from, most);
        // A quarter more: records are not all of a size, and what is missing costs a round trip.
        let bytes = ranges.bytes_of(offsets);
        let bytes = bytes.saturating_add(bytes / 4).min(most_bytes);
        let is_none_open = ranges.open.is_empty();
        if is_full || !self.budget.reserve_ahead(bytes) {
            if is_none_open && !is_full && self.ranges_asked == 0 {
                self.leave_ranges(number); // No room comes back by itself; in a session memory goes round.
            }
            return false;
        }
        self.submit_range(number, from, from + offsets, bytes, false);
        true
    }

    /// Asks for what begins at `from`; `bytes` are reserved.
    fn submit_range(&mut self, number: u32, from: i64, to: i64, bytes: usize, is_first: bool) {
        let isolation = self.config.isolation;
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let route = self.routes.topic(partition.topic);
        let (Some(route), Some((leader, leader_epoch))) = (route, partition.source.leader) else {
            return self.budget.release(bytes);
        };
        let Some(ranges) = &mut partition.source.ranges else { return self.budget.release(bytes) };
        let range_number = self.next_range;
        self.ranges_asked += 1;
        self.next_range += 1;
        ranges.asked += 1;
        let lane = 1 + ranges.asked % LANES;
        let open = OpenRange { number: range_number, from, to, answer: None };
        if is_first {
            ranges.open.push_front(open);
        } else {
            ranges.open.push_back(open);
        }
        let range = Range {
            leader,
            // The first lane is the session's.
            lane: Lane::Fetch(u8::try_from(lane).unwrap_or(1)),
            topic: route.source.clone(),
            partition: partition.partition,
            leader_epoch,
            from,
            max_bytes: i32::try_from(bytes).unwrap_or(i32::MAX),
            isolation,
        };
        let (source, generation) = (self.source.clone(), partition.generation);
        self.beside(async move {
            let outcome = source.fetch_range(&range).await;
            Event::RangeFetched { number, generation, range: range_number, reserved_bytes: bytes, outcome }
        });
    }

    /// An answer: kept until those before it are there.
    pub(crate) fn range_fetched(
        &mut self,
        number: u32,
        generation: u32,
        range: u64,
        reserved_bytes: usize,
        outcome: Result<FetchedPartition, ClusterError>,
        now: Instant,
    ) {
        self.budget.release(reserved_bytes);
        self.ranges_asked = self.ranges_asked.saturating_sub(1);
        let Some(partition) = self.partition(number).filter(|p| p.generation == generation) else { return };
        let Some(ranges) = &mut partition.source.ranges else { return };
        let Some(open) = ranges.open.iter_mut().find(|open| open.number == range) else { return };
        match outcome {
            Ok(fetched) if fetched.error_code == BrokerError::NONE.0 && fetched.diverging_epoch.is_none() => {
                open.answer = Some(fetched);
                self.take_ranges(number, now);
            }
            Ok(fetched) => {
                tracing::debug!(number, code = fetched.error_code, "a range is not served");
                self.leave_ranges(number);
            }
            Err(error) => {
                tracing::debug!(number, %error, "a range is not served");
                self.leave_ranges(number);
            }
        }
    }

    /// Takes the answers that are next.
    fn take_ranges(&mut self, number: u32, now: Instant) {
        let limit = self.budget.limit_bytes();
        while let Some(partition) = self.partition(number)
            && let Some(ranges) = &mut partition.source.ranges
            && let Some(first) = ranges.open.front()
        {
            let cursor = partition.cursor.offset;
            if first.from > cursor {
                // The one before it held less than reckoned.
                tracing::debug!(number, from = cursor, to = first.from, "between two ranges");
                let to = first.from;
                let bytes = ranges.bytes_of(to - cursor).min(ranges.size(limit).0);
                if !self.budget.reserve_ahead(bytes) {
                    return self.leave_ranges(number);
                }
                return self.submit_range(number, cursor, to, bytes, true);
            }
            if first.answer.is_none() {
                return;
            }
            let Some(answer) = ranges.open.pop_front().and_then(|open| open.answer) else { return };
            if !partition.state.is_copying() {
                return self.leave_ranges(number);
            }
            let Seen { bytes, first } = Seen::of(&answer.records);
            self.take_range(number, answer, now);
            let Some(partition) = self.partition(number) else { return };
            let Some(ranges) = &mut partition.source.ranges else { return };
            let next = partition.cursor.offset;
            if next <= cursor && ranges.open.front().is_none_or(|open| open.from > next) {
                return self.leave_ranges(number); // Whatever it is, the session sees it too.
            }
            if let Some(first) = first.filter(|_| next > cursor) {
                ranges.see(bytes, first, next);
            }
        }
    }

    fn take_range(&mut self, number: u32, fetched: FetchedPartition, now: Instant) {
        let isolation = self.config.isolation;
        let Some(partition) = self.partition(number) else { return };
        partition.note_bounds(&fetched, isolation);
        let slice = partition.slice_of(fetched);
        self.inspect_slice(number, slice, now);
        self.check_goal(number);
    }
}

impl Partition {
    /// Nothing is in the way of reading on: nothing has to be compared or looked up first.
    fn may_read_ahead(&self) -> bool {
        self.state.is_copying()
            && self.ending.is_none()
            && !self.is_learning
            && !self.is_repacking
            && self.backlog.is_empty()
            && !self.source.is_paused
            && self.cursor.records_to_pass == 0
            && self.cursor.landmark.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_the_offsets_that_fit_besides_two_batches() {
        let mut ranges = Ranges::default();
        ranges.see(1 << 20, (5000, 64 << 10), 6024);
        assert_eq!(ranges.size(64 << 20), (8 << 20, 8192 - 128));
        // A small budget bounds it, large batches widen it.
        assert_eq!(ranges.size(8 << 20).0, 1 << 20);
        ranges.see(4 << 20, (6024, 1 << 20), 6028);
        assert_eq!(ranges.size(240 << 20).0, 16 << 20);
        // Never none: it would be asked for again and again.
        assert_eq!(ranges.size(6).1, 1);
    }

    #[test]
    fn ranges_are_of_a_size() {
        assert_eq!([even(1, 30), even(30, 30), even(31, 30), even(100, 30)], [1, 30, 16, 25]);
    }
}
