//! After events: everything they made possible.

use super::FlowTask;
use super::events::Event;
use super::timers::Timer;
use crate::error::Side;
use crate::partition::{Partition, Resume, State, look_at_target};
use crate::prepare::PreparedTopic;
use tokio::time::Instant;

impl FlowTask {
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Partition(number) => self.pause_is_over(number, now),
                Timer::Source(node) => self.source_may_open(node),
                Timer::Lane(lane) => self.lane_may_open(lane),
                Timer::Leaders(_) | Timer::Claim => {}
                Timer::Checkpoint => self.checkpoint(now),
                Timer::Save => self.save_moved(),
                Timer::Troubles => self.say_troubles(now),
                Timer::Rested(number) => self.is_rested(number),
                Timer::Rate => self.try_again_for_rate(now),
            }
        }
        self.ask_for_leaders(Side::Source, now);
        self.ask_for_leaders(Side::Target, now);
        self.look_at_targets(now);
        self.fetch_where_possible();
        self.fetch_ranges();
        self.produce_where_possible();
        self.lead_where_possible(now);
        self.fill_where_possible(now);
        self.claim_if_needed(now);
    }

    /// Asks every target leader once about all partitions that are about to go on.
    fn look_at_targets(&mut self, now: Instant) {
        for (leader, numbers) in std::mem::take(&mut self.to_resume) {
            let claim = self.ownership.held(now).map(|claim| claim.number);
            for number in &numbers {
                if let Some(partition) = self.partition(*number) {
                    (partition.looked_at, partition.looked_under) = (Some(now), claim);
                }
            }
            let resumes: Vec<Resume> = numbers.into_iter().filter_map(|number| self.resume(number)).collect();
            if resumes.is_empty() {
                continue;
            }
            let (target, producers) = (self.target.clone(), self.producers);
            let unpacked_bytes = self.config.repack_limit_bytes;
            self.beside(async move {
                Event::Resumed(look_at_target(&target, leader, producers, unpacked_bytes, resumes).await)
            });
        }
    }

    fn resume(&self, number: u32) -> Option<Resume> {
        let partition = self.partitions.get(number as usize)?;
        matches!(partition.state, State::Resuming).then_some(())?;
        Some(Resume {
            number,
            generation: partition.generation,
            topic: self.routes.topic(partition.topic)?.target.clone(),
            partition: partition.partition,
            leader_epoch: partition.target.leader?.1,
            settled: partition.settled,
            offsets: partition.offsets,
            shares_target: partition.shares_target,
            is_target_compacted: self.routes.topic(partition.topic)?.target_traits.is_compacted,
            is_set_back: partition.is_set_back,
        })
    }
}

impl FlowTask {
    /// Topics and partitions to copy from now on; those being copied already are not touched.
    pub(super) fn add_topics(&mut self, topics: Vec<PreparedTopic>, now: Instant) {
        for topic in topics {
            let PreparedTopic { source, target, source_traits, target_traits, limit, partitions } = topic;
            let index = self.routes.add(source, target, source_traits, target_traits, limit);
            for mut prepared in partitions {
                let number = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
                if !self.routes.number(index, prepared.partition, number) {
                    continue;
                }
                let is_untouched = prepared.is_untouched && prepared.target_leader.is_some();
                let accident = prepared.accident.take();
                let partition = Partition::new(index, prepared, &self.config, number);
                let is_untouched = is_untouched && !partition.is_before_first();
                self.partitions.push(partition);
                match accident {
                    None if is_untouched => self.copy(number),
                    None => self.locate(number),
                    Some(found) => self.begin_with_accident(number, found, now),
                }
                if self.partition(number).is_some_and(|p| p.source.leader.is_none()) {
                    self.source_leaders.want();
                }
            }
        }
        self.advance(now);
    }
}
