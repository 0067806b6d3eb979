//! Stage 8: positions are noted on the target every few seconds, and when the flow ends.

use crate::partition::State;
use crate::positions::{OffsetsHeld, PartitionChange, PositionError, Summary};
use crate::task::FlowTask;
use crate::task::events::Event;
use crate::task::timers::Timer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use verbatim_wire::cluster::{BrokerError, ClusterError, CommittedOffset, ErrorClass};

/// Pause after a save that failed while a partition waits for it.
const RETRY: Duration = Duration::from_millis(500);

/// What has moved since it was last noted.
#[derive(Debug, Default)]
pub(crate) struct Checkpoint {
    moved: BTreeSet<u32>,
    /// Taken from partitions and not known to be stored; in order.
    unsaved: Vec<PartitionChange>,
    is_saving: bool,
    /// Partitions that wait until what is known of them is stored.
    noting: BTreeSet<u32>,
    /// Committing to the source's group, or following its retention, failed: said once.
    has_warned_of: BTreeSet<&'static str>,
}

impl Checkpoint {
    pub(crate) fn note(&mut self, number: u32) {
        self.moved.insert(number);
    }
}

impl FlowTask {
    /// The stage itself.
    pub(crate) fn checkpoint(&mut self, now: Instant) {
        self.timers.set(now + self.config.position_interval, Timer::Checkpoint);
        self.follow_retention();
        self.save_moved();
    }

    /// Saves what has moved, unless the last save is still under way.
    pub(crate) fn save_moved(&mut self) {
        if self.checkpoint.is_saving {
            return;
        }
        let moved = std::mem::take(&mut self.checkpoint.moved);
        self.commit_to_source(&moved);
        let mut changes = std::mem::take(&mut self.checkpoint.unsaved);
        changes.extend(moved.into_iter().filter_map(|number| self.take_change(number)));
        if changes.is_empty() {
            return;
        }
        self.checkpoint.is_saving = true;
        let store = self.store.clone();
        self.beside(async move {
            let outcome = store.save(changes.clone()).await;
            Event::Saved { changes, outcome }
        });
    }

    pub(crate) fn saved(
        &mut self,
        mut changes: Vec<PartitionChange>,
        outcome: Result<(), PositionError>,
        now: Instant,
    ) {
        self.checkpoint.is_saving = false;
        if let Err(error) = outcome {
            tracing::warn!(%error, "positions not saved; trying again");
            changes.append(&mut self.checkpoint.unsaved);
            self.checkpoint.unsaved = changes;
            if !self.checkpoint.noting.is_empty() {
                self.timers.set(now + RETRY, Timer::Save);
            }
            return;
        }
        let noting = std::mem::take(&mut self.checkpoint.noting);
        let (not_yet, stored) = noting.into_iter().partition(|number| self.checkpoint.moved.contains(number));
        self.checkpoint.noting = not_yet;
        for number in stored {
            if self.partition(number).is_some_and(|partition| matches!(partition.state, State::Noting)) {
                self.locate(number);
            }
        }
        if !self.checkpoint.noting.is_empty() {
            self.save_moved();
        }
    }

    /// What has been decided about a partition is stored before it goes on.
    pub(crate) fn note_first(&mut self, number: u32) {
        self.leave_session(number);
        let Some(partition) = self.partition(number) else { return };
        partition.rewind();
        partition.state = State::Noting;
        self.checkpoint.note(number);
        self.checkpoint.noting.insert(number);
        self.save_moved();
    }

    /// Everything, for the last time.
    pub(crate) async fn save_all(&mut self) -> Result<(), PositionError> {
        let mut changes = std::mem::take(&mut self.checkpoint.unsaved);
        let all = 0..u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        changes.extend(all.filter_map(|number| self.take_change(number)));
        self.store.save(changes).await
    }

    fn take_change(&mut self, number: u32) -> Option<PartitionChange> {
        let name = self.name(number);
        let partition = self.partitions.get_mut(number as usize).filter(|p| !p.is_forgotten)?;
        let route = self.routes.topic(partition.topic)?;
        let summary = Summary {
            position: partition.settled,
            offsets: partition.offsets,
            source_topic: route.source.id,
            target_topic: route.target.id,
            map_from: partition.map_from,
            map_to: partition.map_to(),
        };
        let change = PartitionChange {
            name,
            summary: Some(summary),
            chunks: Vec::new(),
            gaps: Vec::new(),
            forgotten_gaps: Vec::new(),
        };
        Some(partition.take_change(change))
    }

    /// Commits positions as those of a consumer group on the source, for lag tools.
    fn commit_to_source(&mut self, moved: &BTreeSet<u32>) {
        const WHAT: &str = "positions are not committed on the source for lag tools";
        if !self.config.commit_to_source || moved.is_empty() || self.checkpoint.has_warned_of.contains(WHAT) {
            return;
        }
        let position = |number: &u32| {
            let partition = self.partitions.get(*number as usize).filter(|p| !p.state.is_stopped())?;
            let name = self.name(*number);
            Some(CommittedOffset::new(name.topic, name.partition, partition.settled.source_offset))
        };
        let offsets: Vec<_> = moved.iter().filter_map(position).collect();
        if offsets.is_empty() {
            return;
        }
        let (source, group) = (self.source.clone(), format!("verbatim.{}", self.config.name));
        self.beside(async move {
            let outcome = source.commit_offsets(&group, &offsets).await;
            Event::Aside {
                what: WHAT,
                denied: outcome.map_or_else(
                    |error| denied(&error),
                    |answers| {
                        answers
                            .into_iter()
                            .map(|(.., code)| code)
                            .find(|code| code.class() == ErrorClass::Denied)
                    },
                ),
            }
        });
    }

    /// Deletes on the target what the source has deleted by retention.
    fn follow_retention(&mut self) {
        const WHAT: &str = "the source's retention is not followed on the target";
        if !self.config.follow_retention || self.checkpoint.has_warned_of.contains(WHAT) {
            return;
        }
        let mut by_leader: BTreeMap<i32, Vec<(Arc<str>, i32, i64)>> = BTreeMap::new();
        for partition in self.partitions.iter_mut().filter(|p| p.state.is_copying()) {
            let log_start = partition.source.log_start.min(partition.settled.source_offset);
            let Some(route) = self.routes.topic(partition.topic) else { continue };
            if log_start <= partition.source.followed_to || route.target_traits.is_compacted_only {
                continue;
            }
            let before = match partition.offsets {
                OffsetsHeld::Preserved => Some(log_start),
                OffsetsHeld::Translated => partition.map.target_position(log_start),
            };
            let (Some(before), Some((leader, _))) = (before, partition.target.leader) else { continue };
            partition.source.followed_to = log_start;
            partition.map.forget_below(log_start);
            let target = route.target.name.clone();
            by_leader.entry(leader).or_default().push((target, partition.partition, before));
        }
        for (leader, partitions) in by_leader {
            let target = self.target.clone();
            self.beside(async move {
                let outcome = target.delete_records(leader, &partitions).await;
                let denied = outcome.map_or_else(
                    |error| denied(&error),
                    |answers| {
                        answers
                            .into_iter()
                            .map(|answer| answer.error)
                            .find(|code| code.class() == ErrorClass::Denied)
                    },
                );
                Event::Aside { what: WHAT, denied }
            });
        }
    }

    /// Something beside the data has been tried.
    pub(crate) fn tried_aside(&mut self, what: &'static str, denied: Option<BrokerError>) {
        if let Some(code) = denied.filter(|_| self.checkpoint.has_warned_of.insert(what)) {
            tracing::warn!("{what}: {code}; this is tried no more");
        }
    }
}

fn denied(error: &ClusterError) -> Option<BrokerError> {
    tracing::debug!(%error, "beside the data");
    error.broker_error().filter(|code| code.class() == ErrorClass::Denied)
}
