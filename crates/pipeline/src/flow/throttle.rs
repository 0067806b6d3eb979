//! Before stage 6: what rate limits let pass.
//!
//! The flow's limits hold a lane back before a request is put together, a topic's limit passes its partitions over. Under a limit requests
//! are small, so that those who share it take turns often, and partitions that are close to the source's end go first: a backfill costs
//! the live topics beside it little of their latency.

use crate::broker::LaneKey;
use crate::partition::Partition;
use crate::task::FlowTask;
use crate::task::timers::Timer;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// Tells flows from one another at limits that they share.
static ASKERS: AtomicU64 = AtomicU64::new(0);

/// What waits for limits.
#[derive(Debug)]
pub(crate) struct Throttle {
    pub(crate) asker: u64,
    /// Partitions whose topics are at their limits.
    held: BTreeSet<u32>,
    /// When the next look is due.
    due: Option<Instant>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { asker: ASKERS.fetch_add(1, Ordering::Relaxed), held: BTreeSet::new(), due: None }
    }
}

impl FlowTask {
    /// Whether the flow's limits let another request pass now.
    pub(crate) fn may_send(&mut self, now: Instant) -> bool {
        let asker = self.throttle.asker;
        let Some(at) = self.config.limits.iter().filter_map(|limit| limit.wait(asker, now)).max() else {
            return true;
        };
        self.look_again(at);
        false
    }

    /// Partitions whose topics' limits let nothing pass before the time beside them.
    pub(crate) fn hold(&mut self, held: Vec<(u32, Instant)>) {
        for (number, at) in held {
            self.throttle.held.insert(number);
            self.look_again(at);
        }
    }

    fn look_again(&mut self, at: Instant) {
        if self.throttle.due.is_none_or(|due| at < due) {
            self.throttle.due = Some(at);
            self.timers.set(at, Timer::Rate);
        }
    }

    pub(crate) fn try_again_for_rate(&mut self) {
        self.throttle.due = None;
        for number in std::mem::take(&mut self.throttle.held) {
            self.make_ready(number);
        }
    }

    /// `bytes` are sent.
    pub(crate) fn count_for_flow(&self, bytes: usize) {
        for limit in &self.config.limits {
            limit.take(bytes);
        }
    }

    /// Bytes that a request may have.
    pub(crate) fn request_bytes(&self) -> usize {
        let limits = self.config.limits.iter().map(crate::RateLimit::request_bytes);
        limits.fold(self.config.produce_request_bytes, usize::min)
    }

    /// Under a limit those that are nearly caught up go first.
    pub(crate) fn put_live_first(&mut self, key: LaneKey) {
        if self.config.limits.iter().all(|limit| limit.get().is_none()) {
            return;
        }
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let is_behind = |number: &u32| {
            self.partitions.get(*number as usize).is_some_and(|partition| !partition.is_nearly_caught_up())
        };
        lane.ready.make_contiguous().sort_by_key(is_behind);
    }
}

impl Partition {
    /// All that the source has is read, and no more waits than can be under way.
    fn is_nearly_caught_up(&self) -> bool {
        let is_read = self.source.end_offset.is_none_or(|end| self.cursor.offset >= end);
        is_read && self.queue.len() <= self.in_flight + crate::partition::MAX_IN_FLIGHT
    }
}
