//! Points in time at which the task has something to do.

use crate::Side;
use crate::broker::LaneKey;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A partition's pause is over.
    Partition(u32),
    /// A source broker may be tried again.
    Source(i32),
    /// A target connection may be tried again.
    Lane(LaneKey),
    /// Leaders may be asked for again: of the source (`true`) or the target.
    Leaders(bool),
    /// The flow's claim may be asked for, or has to be renewed.
    Claim,
    /// A rate limit may let something pass.
    Rate,
    /// What keeps partitions may have to be said.
    Troubles,
    /// A source partition may be read from again, whose leader has refused.
    Rested(u32),
    /// Positions are to be saved.
    Checkpoint,
    /// What could not be saved is to be saved again, sooner than that.
    Save,
}

impl Timer {
    pub(crate) fn leaders(side: Side) -> Self {
        Self::Leaders(side == Side::Source)
    }
}

/// Timers in order of time.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The next timer that is due by `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
