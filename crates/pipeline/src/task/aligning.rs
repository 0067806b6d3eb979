//! The source is not what was counted on: its place is looked for by content.

use super::FlowTask;
use super::events::Event;
use crate::error::StopReason;
use crate::flow::accident::Accident;
use crate::partition::{Align, Aligned, Failure, Ground, Misaligned, State, align};
use std::sync::Arc;
use tokio::time::Instant;

impl FlowTask {
    /// The batch that the target ends with is not the one counted to on the source.
    pub(crate) fn realign(&mut self, number: u32, now: Instant) {
        self.leave_session(number);
        let name = self.name(number);
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let Some(route) = self.routes.topic(partition.topic) else { return };
        let Some(ground) = partition.ground else { return };
        if partition.is_preserved() {
            let target = ground.end - 1;
            return self.stop(number, &Arc::new(StopReason::NotTheSource { target }));
        }
        let leaders = (partition.source.leader, partition.target.leader);
        let (Some((source_leader, _)), Some(target_leader)) = leaders else {
            return self.fail(number, Failure::Passing, now);
        };
        tracing::info!(
            "{name}: the source has changed since it was copied; looking for where the target ends in it"
        );
        let what = Align {
            source: (route.source.clone(), source_leader),
            target: (route.target.clone(), target_leader),
            partition: partition.partition,
            isolation: self.config.isolation,
            settled: partition.ground_from,
            end: ground.end,
            is_source_compacted: route.source_traits.may_be_compacted,
            is_target_compacted: route.target_traits.is_compacted,
            unpacked_bytes: self.config.repack_limit_bytes,
            only_by: partition.shares_target.then_some(self.producers.records.0),
            held: ground.held,
            origins: self.origins.clone(),
        };
        // What was passed over on the way here may have been something else.
        partition.settled = partition.ground_from;
        partition.map.cut_target(partition.ground_from.target_offset);
        partition.map.pass(partition.ground_from.source_offset);
        partition.rewind();
        partition.state = State::Aligning;
        let generation = partition.generation;
        let (source, target) = (self.source.clone(), self.target.clone());
        self.beside(async move {
            let outcome = align(&source, &target, &what).await;
            Event::Aligned { number, generation, ground, outcome }
        });
    }

    pub(super) fn aligned(
        &mut self,
        number: u32,
        generation: u32,
        ground: Ground,
        outcome: Result<Aligned, Misaligned>,
        now: Instant,
    ) {
        let Some(partition) = self.partition(number).filter(|p| p.generation == generation) else { return };
        if !matches!(partition.state, State::Aligning) {
            return;
        }
        let aligned = match outcome {
            Ok(aligned) => aligned,
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "{}: comparing both sides failed; trying again", self.name(number));
                return self.fail(number, Failure::Passing, now);
            }
            Err(Misaligned::NotInSource { target }) => {
                return self.stop(number, &Arc::new(StopReason::NotTheSource { target }));
            }
            Err(Misaligned::Gone { log_start, log_end }) => {
                return self.gone(number, ground, (log_start, log_end), now);
            }
            Err(Misaligned::Unreadable(problem)) => {
                return self.stop(number, &Arc::new(StopReason::Unreadable { problem }));
            }
            Err(Misaligned::Origins(error)) => {
                return self.stop(number, &Arc::new(StopReason::NotCompared { problem: error.to_string() }));
            }
            Err(Misaligned::Cluster(error)) => {
                return self.stop(number, &Arc::new(StopReason::NotCompared { problem: error.to_string() }));
            }
        };
        self.go_on_from(number, ground, aligned);
    }

    /// Copying goes on where the target ends, which is at this place of the source.
    fn go_on_from(&mut self, number: u32, ground: Ground, aligned: Aligned) {
        let Some(partition) = self.partition(number) else { return };
        for run in aligned.runs {
            partition.map.push(run.source, run.target, run.records);
        }
        partition.map.pass(aligned.source_offset);
        partition.map.skip_target(ground.end);
        partition.settled.source_offset = aligned.source_offset;
        partition.settled.target_offset = ground.end;
        partition.settled.sequence = ground.sequence;
        partition.settled.leader_epoch = aligned.leader_epoch;
        partition.reset_cursor();
        self.note_progress(number);
        self.copy(number);
    }

    /// The source's log no longer holds the offset that was noted, and the target holds records beyond it.
    fn gone(&mut self, number: u32, ground: Ground, (log_start, log_end): (i64, i64), now: Instant) {
        let Some(partition) = self.partition(number) else { return };
        let wanted = partition.settled.source_offset;
        if wanted < log_start {
            // By their content alone those that are left cannot be told from those that are gone.
            let problem = format!(
                "its log begins at offset {log_start} now, after offset {wanted}, up to where copies were noted, and the target holds \
                 more. Delete the target topic and copy it anew (--on-source-accident reseed does both), or start a flow of another \
                 name behind what is there"
            );
            return self.stop(number, &Arc::new(StopReason::NotCompared { problem }));
        }
        // All that was copied from there on is lost on the source; what it has now is another log.
        let leader_epoch = partition.settled.leader_epoch;
        self.go_on_from(number, ground, Aligned { source_offset: wanted, leader_epoch, runs: Vec::new() });
        // With the epoch of what was copied last the broker says where the logs parted; without, its end has to do, now: the log
        // may grow beyond the place before it is asked for it.
        if leader_epoch < 0 {
            self.accident(number, Accident::OutOfRange { wanted, log_start, log_end }, now);
        }
    }
}
