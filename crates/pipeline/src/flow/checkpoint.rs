//! Stage 8: positions are noted on the target every few seconds, and when the flow ends.

use crate::error::PartitionName;
use crate::positions::{Position, PositionError};
use crate::task::FlowTask;
use crate::task::events::Event;
use crate::task::timers::Timer;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// What has moved since it was last noted.
#[derive(Debug, Default)]
pub(crate) struct Checkpoint {
    moved: BTreeSet<u32>,
    saving: BTreeSet<u32>,
}

impl Checkpoint {
    pub(crate) fn note(&mut self, number: u32) {
        self.moved.insert(number);
    }
}

impl FlowTask {
    /// The stage itself: saves what has moved, unless the last save is still under way.
    pub(crate) fn checkpoint(&mut self, now: Instant) {
        self.timers.set(now + self.config.position_interval, Timer::Checkpoint);
        if self.checkpoint.moved.is_empty() || !self.checkpoint.saving.is_empty() {
            return;
        }
        self.checkpoint.saving = std::mem::take(&mut self.checkpoint.moved);
        let positions: Vec<_> =
            self.checkpoint.saving.iter().filter_map(|number| self.position(*number)).collect();
        let store = self.store.clone();
        self.beside(async move { Event::Saved(store.save(positions).await) });
    }

    pub(crate) fn saved(&mut self, outcome: Result<(), PositionError>, _now: Instant) {
        let saved = std::mem::take(&mut self.checkpoint.saving);
        if let Err(error) = outcome {
            tracing::warn!(%error, "positions not saved; trying again");
            self.checkpoint.moved.extend(saved);
        }
    }

    fn position(&self, number: u32) -> Option<(PartitionName, Position)> {
        Some((self.name(number), self.partitions.get(number as usize)?.settled))
    }

    pub(crate) fn all_positions(&self) -> Vec<(PartitionName, Position)> {
        (0u32..).take(self.partitions.len()).filter_map(|number| self.position(number)).collect()
    }
}
