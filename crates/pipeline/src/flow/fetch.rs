//! Stage 1: reads from source brokers. One session per broker; while one answer is being forwarded the next
//! request is under way, within the budget.

use super::accident::{Accident, Ending};
use super::ranges::Seen;
use crate::broker::{Link, Outstanding};
use crate::error::{Side, StopReason};
use crate::partition::{Cause, Goal, Obstacle, Partition};
use crate::task::timers::Timer;
use crate::task::{FlowTask, room};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use verbatim_wire::cluster::{BrokerError, ErrorClass, Lane};
use verbatim_wire::connection::{Asked, Reception};
use verbatim_wire::fetch::{AbortedTransaction, DivergingEpoch, FetchLimits, FetchedPartition, Isolation};
use verbatim_wire::records::Fetched;

/// What one answer holds of one partition.
#[derive(Debug)]
pub(crate) struct FetchedSlice {
    /// Offset asked for.
    pub(crate) from_offset: i64,
    /// Entries of the log, the last one possibly cut.
    pub(crate) records: Fetched,
    pub(crate) aborted_transactions: Vec<AbortedTransaction>,
}

/// A broker that is far is asked for so many times as much at once, of all partitions together.
const FAR_TIMES: usize = 8;
/// At least so much is asked for of each of its partitions: fewer bytes may hold no batch.
const FAR_PARTITION_BYTES: usize = 128 << 10;

/// How long a broker waits for data while partitions are paused, or are read in ranges: they come back with the next request.
const WAIT_WHILE_AWAY_MS: i32 = 5;

impl FlowTask {
    /// Sends the next fetch to every broker that has answered its last one, as far as the budget goes.
    pub(crate) fn fetch_where_possible(&mut self) {
        if self.is_draining {
            return;
        }
        let brokers = self.sources.values().filter(|broker| !broker.session.is_empty()).count();
        let most = self.config.fetch_max_bytes;
        let share = |most| self.budget.share(brokers, most, self.backlogs.bytes());
        let (share, far_share) = (share(most), share(most.saturating_mul(FAR_TIMES)));
        // In turn: when the budget is short, the first to ask must not be the same every time.
        let first = self.source_after(self.last_fetched);
        let mut next = first;
        while let Some(node) = next {
            self.fetch_from(node, share, far_share);
            next = self.source_after(node).filter(|next| Some(*next) != first);
        }
    }

    /// The broker whose turn is after `node`'s.
    fn source_after(&self, node: i32) -> Option<i32> {
        let after = self.sources.range(node.saturating_add(1)..).next();
        after.or_else(|| self.sources.iter().next()).map(|(node, _)| *node)
    }

    /// Asks broker `node` for `share` bytes, or `far_share` if it is far.
    fn fetch_from(&mut self, node: i32, share: usize, far_share: usize) {
        let Some(broker) = self.sources.get_mut(&node) else { return };
        if broker.outstanding.is_some() {
            return;
        }
        for number in broker.pausing.drain(..) {
            if self.partitions.get(number as usize).is_some_and(|p| p.source.is_paused) {
                broker.session.forget(number);
            }
        }
        if broker.session.is_empty() {
            return;
        }
        broker.link.close_if_ended();
        let (connection, version) = match &broker.link {
            Link::Open { connection, version } => (connection.clone(), *version),
            Link::Closed => return self.open_source(node),
            Link::Opening | Link::Waiting => return,
        };
        let Some(room) = room(&self.asked) else { return };
        // Of every partition some, from far: one that is behind is read in ranges once it is known how large its records are.
        let (share, partition_bytes) = match broker.far {
            None => (share, share),
            Some(_) => (far_share, far_partition_bytes(far_share, broker.session.len())),
        };
        if !self.budget.reserve(share) {
            return;
        }
        if broker.far.is_some()
            && std::mem::replace(&mut broker.partition_bytes, partition_bytes) != partition_bytes
        {
            broker.session.name_all();
        }
        let max_wait = if broker.paused > 0 || !self.in_ranges.is_empty() {
            WAIT_WHILE_AWAY_MS
        } else {
            i32::try_from(self.config.fetch_max_wait.as_millis()).unwrap_or(i32::MAX)
        };
        let limits = FetchLimits {
            max_wait_ms: max_wait,
            min_bytes: 1,
            max_bytes: i32::try_from(share).unwrap_or(i32::MAX),
            partition_max_bytes: i32::try_from(partition_bytes.min(self.config.partition_max_bytes))
                .unwrap_or(i32::MAX),
            isolation: self.config.isolation,
        };
        let request = broker.next_request;
        broker.next_request += 1;
        broker.outstanding = Some(Outstanding { request, reserved_bytes: share });
        self.last_fetched = node;
        let frame = broker.session.next_request(version, connection.client_id(), &limits);
        let wait = Duration::from_millis(u64::from(max_wait.unsigned_abs()));
        connection.submit_to(frame, wait, self.payloads, Asked { node, lane: Lane::Fetch(0), request }, room);
    }

    /// An answer: its batches go through the stages at once, the broker gets its next request after.
    pub(crate) fn fetched(&mut self, node: i32, request: u64, answer: Reception, now: Instant) {
        let Some(broker) = self.sources.get_mut(&node) else { return };
        let Some(outstanding) = broker.outstanding.take_if(|outstanding| outstanding.request == request)
        else {
            return;
        };
        self.budget.release(outstanding.reserved_bytes);
        let Link::Open { version, .. } = broker.link else { return };
        let decoded = match answer {
            Ok(received) => received.into_fetched(version),
            Err(error) => return self.source_failed(node, &error, now),
        };
        let answer = match decoded {
            Ok(answer) => answer,
            Err(error) => return self.source_failed(node, &error, now),
        };
        let partitions = match broker.session.accept(answer) {
            Ok(partitions) => partitions,
            Err(error) if BrokerError(error.0).class() == ErrorClass::Retry => {
                tracing::debug!(broker = node, %error, "opening a new fetch session");
                return;
            }
            Err(error) => return self.source_failed(node, &error, now),
        };
        for (number, fetched) in partitions {
            let is_current = self.partitions.get(number as usize).is_some_and(|p| {
                p.state.is_copying()
                    && p.source.fetched_from == Some(node)
                    && request >= p.source.valid_from_request
            });
            if is_current {
                self.partition_fetched(number, fetched, now);
            }
        }
    }

    fn partition_fetched(&mut self, number: u32, fetched: FetchedPartition, now: Instant) {
        let isolation = self.config.isolation;
        let Some(partition) = self.partition(number) else { return };
        let wanted = partition.cursor.offset;
        let code = BrokerError(fetched.error_code);
        match code.class() {
            ErrorClass::None => partition.source.backoff.reset(),
            class if class.may_pass() => {
                return self.source_refuses(number, "Fetch", code, now);
            }
            ErrorClass::OutOfRange => return self.out_of_range(number),
            ErrorClass::Denied => {
                return self.end(number, StopReason::Denied { side: Side::Source, code, right: "READ" }, now);
            }
            _ => return self.end(number, StopReason::FetchRefused { offset: wanted, code }, now),
        }
        partition.note_bounds(&fetched, isolation);
        // An answer without records is no sign that a transaction has ended.
        if !fetched.records.is_empty() || !partition.is_held_back() {
            partition.troubled.gets_on(Side::Source);
        }
        if let Some(DivergingEpoch { epoch, end_offset }) = fetched.diverging_epoch {
            return self.accident(number, Accident::Diverged { wanted, epoch, end_offset }, now);
        }
        let has_landmark = partition.cursor.landmark.is_some();
        if has_landmark && fetched.records.is_empty() && fetched.high_watermark < partition.cursor.keep_from {
            return self.out_of_range(number); // Shorter than what was copied of it, or its high watermark is behind.
        }
        if !fetched.records.is_empty() {
            let slice = partition.slice_of(fetched);
            let seen = self.is_read_from_far(number).then(|| Seen::of(&slice.records));
            self.inspect_slice(number, slice, now);
            if let Some(seen) = seen {
                self.read_in_ranges_if_worth_it(number, seen);
            }
        }
        self.check_goal(number);
        self.realign_if_short(number, now);
        if let Some(obstacle) = self.partition(number).and_then(|partition| partition.held_back()) {
            self.meets(number, obstacle, now);
        }
    }

    /// The leader does not let us read for now: perhaps another leads, perhaps it will. Asked again after a pause, longer each time.
    pub(crate) fn source_refuses(
        &mut self,
        number: u32,
        request: &'static str,
        code: BrokerError,
        now: Instant,
    ) {
        tracing::debug!(number, %code, request, "the source refuses for now");
        let Some(partition) = self.partition(number) else { return };
        let broker = partition.source.fetched_from;
        let until = now + partition.source.backoff.pause();
        partition.source.leader = None;
        partition.source.is_resting = true;
        self.timers.set(until, Timer::Rested(number));
        self.leave_session(number);
        self.meets(number, Obstacle::refused(Side::Source, broker, request, code), now);
    }

    /// The pause is over: the leader is asked for, and then asked.
    pub(crate) fn is_rested(&mut self, number: u32) {
        let Some(partition) = self.partition(number) else { return };
        partition.source.is_resting = false;
        if !partition.state.is_stopped() {
            self.source_leaders.want();
        }
    }

    /// The source ends before all that the target holds has been met: it has fewer records than it had.
    pub(crate) fn realign_if_short(&mut self, number: u32, now: Instant) {
        let Some(partition) = self.partition(number) else { return };
        let is_read = partition.source.end_offset.is_some_and(|end| partition.cursor.offset >= end);
        let is_waiting =
            partition.is_repacking || !partition.backlog.is_empty() || partition.ending.is_some();
        if partition.state.is_copying() && partition.cursor.records_to_pass > 0 && is_read && !is_waiting {
            self.realign(number, now);
        }
    }

    /// Stops a partition once everything it has read before is settled.
    pub(crate) fn end(&mut self, number: u32, reason: StopReason, now: Instant) {
        self.leave_session(number);
        if let Some(partition) = self.partition(number) {
            partition.ending = Some(Ending::Stop(Arc::new(reason)));
        }
        self.end_if_settled(number, now);
    }
}

/// Bytes to ask for of each of so many partitions, in few steps.
fn far_partition_bytes(share: usize, partitions: usize) -> usize {
    let bytes = share / partitions.max(1);
    (bytes.next_power_of_two() / 2).max(FAR_PARTITION_BYTES)
}

impl Partition {
    /// Where the source's log begins and ends now.
    pub(super) fn note_bounds(&mut self, fetched: &FetchedPartition, isolation: Isolation) {
        let end_offset = match isolation {
            Isolation::ReadCommitted => fetched.last_stable_offset,
            Isolation::ReadUncommitted => fetched.high_watermark,
        };
        self.source.log_start = fetched.log_start_offset;
        self.source.end_offset = Some(end_offset);
        self.source.high_watermark = Some(fetched.high_watermark);
        // A log that ends before our place is an accident about to be seen. What open transactions hold back is missing until they end.
        if self.goal == Goal::Unknown && fetched.high_watermark >= self.settled.source_offset {
            self.goal = Goal::Offset(fetched.high_watermark);
        }
    }

    /// Whether the source's log goes on where it has been read to, behind a transaction that is open.
    fn is_held_back(&self) -> bool {
        let (Some(end), Some(high_watermark)) = (self.source.end_offset, self.source.high_watermark) else {
            return false;
        };
        end < high_watermark && self.cursor.offset >= end
    }

    /// What holds it back.
    fn held_back(&self) -> Option<Obstacle> {
        let (from, end) = (self.source.end_offset?, self.source.high_watermark?);
        let holder = self.source.held_by.filter(|holder| holder.from == from);
        let cause = Cause::OpenTransaction { from, behind: end - from, holder };
        let broker = self.source.fetched_from;
        self.is_held_back().then_some(Obstacle { side: Side::Source, broker, cause })
    }

    /// What has come for the place that is read next.
    pub(super) fn slice_of(&self, fetched: FetchedPartition) -> FetchedSlice {
        FetchedSlice {
            from_offset: self.cursor.offset.max(self.cursor.keep_from),
            records: fetched.records,
            aborted_transactions: fetched.aborted_transactions,
        }
    }
}
