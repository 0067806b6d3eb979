//! Before stage 6: what rate limits let pass.
//!
//! The flow's limits hold a lane back before a request is put together, a topic's limit passes its partitions over. Under a limit requests
//! are small, so that those who share it take turns often, by bytes, and partitions that are close to the source's end go first: a backfill
//! costs the live topics beside it, of this flow or another, little of their latency.

use crate::broker::LaneKey;
use crate::partition::Partition;
use crate::rate::Turns;
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
    /// Whose turn it is of the flow's partitions.
    turns: Turns,
    /// Partitions whose topics are at their limits.
    held: BTreeSet<u32>,
    /// When the next look is due.
    due: Option<Instant>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            asker: ASKERS.fetch_add(1, Ordering::Relaxed),
            turns: Turns::default(),
            held: BTreeSet::new(),
            due: None,
        }
    }
}

impl Throttle {
    /// Where partition `number` stands.
    pub(crate) fn place(&self, number: u32) -> u64 {
        self.turns.place(u64::from(number))
    }

    /// A batch of partition `number` goes into a request, while one waits that stands at `least`.
    pub(crate) fn took(&mut self, number: u32, bytes: usize, least: Option<u64>) {
        self.turns.took(u64::from(number), bytes, least);
    }
}

impl FlowTask {
    /// Whether the flow's limits let another request of a lane pass now, and if so whether it is one of partitions that are nearly caught up
    /// alone: others would go first in their name.
    pub(crate) fn may_send(&mut self, key: LaneKey) -> Option<bool> {
        if self.is_unlimited() {
            return Some(false);
        }
        let now = Instant::now();
        let asker = self.throttle.asker;
        let ready = self.lanes.get(&key).map(|lane| lane.ready.iter());
        let is_live = ready
            .into_iter()
            .flatten()
            .any(|number| self.partitions.get(*number as usize).is_some_and(Partition::is_nearly_caught_up));
        let limits = self.config.limits.iter();
        let Some(at) = limits.filter_map(|limit| limit.wait(asker, is_live, now)).max() else {
            return Some(is_live);
        };
        self.look_again(at);
        None
    }

    pub(crate) fn is_unlimited(&self) -> bool {
        self.config.limits.iter().all(|limit| limit.get().is_none())
    }

    /// Partitions whose topics' limits let nothing pass before the time beside them.
    pub(crate) fn hold(&mut self, held: Vec<(u32, Instant)>) {
        for (number, at) in held {
            self.throttle.held.insert(number);
            self.look_again(at);
        }
    }

    pub(crate) fn look_again(&mut self, at: Instant) {
        if self.throttle.due.is_none_or(|due| at < due) {
            self.throttle.due = Some(at);
            self.timers.set(at, Timer::Rate);
        }
    }

    pub(crate) fn try_again_for_rate(&mut self, now: Instant) {
        self.throttle.due = None;
        for number in std::mem::take(&mut self.throttle.held) {
            self.make_ready(number, now);
        }
    }

    /// `bytes` are sent.
    pub(crate) fn count_for_flow(&self, bytes: usize) {
        for limit in &self.config.limits {
            limit.take(self.throttle.asker, bytes);
        }
    }

    /// Bytes that a request may have.
    pub(crate) fn request_bytes(&self) -> usize {
        let limits = self.config.limits.iter().map(crate::RateLimit::request_bytes);
        limits.fold(self.config.produce_request_bytes, usize::min)
    }

    /// Under a limit those that are nearly caught up go first, and of others those that have had the fewest bytes. Returned is the place of the
    /// one furthest behind: one batch of each in a request would give those of large batches more, so who is ahead of it by a request's
    /// worth waits.
    pub(crate) fn put_in_turn(&mut self, key: LaneKey) -> Option<u64> {
        if self.is_unlimited() {
            return None;
        }
        let (partitions, turns) = (&self.partitions, &self.throttle.turns);
        let place = |number: &u32| {
            let partition = partitions.get(*number as usize);
            let is_behind = partition.is_some_and(|partition| !partition.is_nearly_caught_up());
            (is_behind, turns.place(u64::from(*number)))
        };
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.ready.make_contiguous().sort_by_key(place);
        }
        // Who cannot be sent keeps nobody waiting.
        let lanes = self.lanes.values().filter(|lane| lane.may_send());
        let places = lanes.flat_map(|lane| &lane.ready).map(place);
        places.filter_map(|(is_behind, place)| is_behind.then_some(place)).min()
    }
}

impl Partition {
    /// All that the source has is read, and no more waits than can be under way.
    pub(crate) fn is_nearly_caught_up(&self) -> bool {
        let is_read = self.source.end_offset.is_none_or(|end| self.cursor.offset >= end);
        is_read && self.queue.len() <= self.in_flight + crate::partition::MAX_IN_FLIGHT
    }
}
