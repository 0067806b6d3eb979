//! The source's log is not what it was when we last looked: seen, judged by the flow's policy, and stopped at or
//! written down as a gap.

use crate::config::OnSourceAccident;
use crate::error::{Side, StopReason};
use crate::partition::{Failure, Goal, Partition};
use crate::positions::{Gap, GapCause};
use crate::task::FlowTask;
use crate::task::events::Event;
use std::sync::Arc;
use tokio::time::Instant;
use verbatim_wire::cluster::ClusterError;
use verbatim_wire::primitives::TopicId;

/// What has happened to the source's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accident {
    /// The log begins after, or ends before, where we wanted to go on.
    OutOfRange { wanted: i64, log_start: i64, log_end: i64 },
    /// It went another way than the last batch copied says.
    Diverged { wanted: i64, epoch: i32, end_offset: i64 },
    /// The topic is another one of the same name.
    Recreated { id: TopicId },
}

/// How a partition's copying ends, once everything read before is settled.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    Stop(Arc<StopReason>),
    /// Goes on at this source offset.
    Gap {
        to: i64,
        why: GapCause,
        source: Option<TopicId>,
    },
}

impl Accident {
    fn reason(self) -> StopReason {
        match self {
            Self::OutOfRange { wanted, log_start, log_end } => {
                StopReason::OutOfRange { wanted, log_start, log_end }
            }
            Self::Diverged { wanted, epoch, end_offset } => {
                StopReason::Diverged { wanted, epoch, end_offset }
            }
            Self::Recreated { .. } => StopReason::Recreated { side: Side::Source },
        }
    }

    fn gap(self) -> Ending {
        let (to, why, source) = match self {
            Self::OutOfRange { wanted, log_start, .. } if wanted < log_start => {
                (log_start, GapCause::Retention, None)
            }
            Self::OutOfRange { log_end, .. } => (log_end, GapCause::Truncation, None),
            Self::Diverged { end_offset, .. } => (end_offset, GapCause::Truncation, None),
            Self::Recreated { id } => (0, GapCause::Recreation, Some(id)),
        };
        Ending::Gap { to, why, source }
    }
}

impl FlowTask {
    /// The source does not hold the offset we want: where does its log begin and end?
    pub(crate) fn out_of_range(&mut self, number: u32) {
        self.leave_session(number);
        let name = self.name(number);
        let Some(partition) = self.partition(number) else { return };
        let Some((leader, _)) = partition.source.leader else { return self.source_leaders.want() };
        if std::mem::replace(&mut partition.source.is_asking_bounds, true) {
            return;
        }
        let (generation, source) = (partition.generation, self.source.clone());
        self.beside(async move {
            let outcome = source.log_bounds(leader, (name.topic, name.partition)).await;
            Event::Bounds { number, generation, outcome }
        });
    }

    pub(crate) fn bounds_heard(
        &mut self,
        number: u32,
        generation: u32,
        outcome: Result<(i64, i64), ClusterError>,
        now: Instant,
    ) {
        let Some(partition) = self.partition(number) else { return };
        partition.source.is_asking_bounds = false;
        if partition.generation != generation || !partition.state.is_copying() {
            return;
        }
        let (log_start, log_end) = match outcome {
            Ok(bounds) => bounds,
            Err(error) => {
                tracing::warn!(%error, "{}: the source's log bounds are not known; trying again", self.name(number));
                return self.fail(number, Failure::Passing, now);
            }
        };
        let keep_from = partition.cursor.keep_from;
        let wanted = partition.cursor.offset;
        partition.source.log_start = log_start;
        let is_short = partition.cursor.landmark.is_some() && log_end < keep_from;
        if !is_short && (log_start..=log_end).contains(&wanted) {
            return self.join_session(number); // It moved meanwhile, or a replica was behind.
        }
        if wanted < log_start && log_start <= keep_from && keep_from <= log_end {
            // Only the batch before our place is gone, which was to be compared.
            partition.cursor.landmark = None;
            partition.cursor.offset = keep_from;
            return self.join_session(number);
        }
        if wanted < log_start && partition.follows_log_start && partition.queue.is_empty() {
            return self.start_later(number, log_start);
        }
        self.accident(
            number,
            Accident::OutOfRange { wanted: wanted.max(keep_from), log_start, log_end },
            now,
        );
    }

    /// Retention has moved the start of a log of which nothing has been copied yet: that is where it starts now.
    fn start_later(&mut self, number: u32, log_start: i64) {
        tracing::warn!("{}: its log now begins at offset {log_start}; starting there", self.name(number));
        let Some(partition) = self.partition(number) else { return };
        partition.settled.source_offset = log_start;
        partition.map.pass(log_start);
        partition.rewind();
        self.checkpoint.note(number);
        self.locate(number);
    }

    /// Something happened to the source: stops, or goes on with a gap, as the policy says.
    pub(crate) fn accident(&mut self, number: u32, accident: Accident, now: Instant) {
        self.leave_session(number);
        let goes_on = self.config.on_source_accident == OnSourceAccident::Continue;
        let Some(partition) = self.partition(number) else { return };
        if let Accident::OutOfRange { wanted, log_end, .. } = accident
            && wanted > log_end
        {
            partition.source.end_offset = Some(log_end);
        }
        let ending = accident.gap();
        // Offsets that the target has already cannot be given to other records.
        let is_backward =
            matches!(ending, Ending::Gap { why: GapCause::Truncation | GapCause::Recreation, .. });
        partition.ending = Some(if goes_on && !(is_backward && partition.is_preserved()) {
            ending
        } else {
            Ending::Stop(Arc::new(accident.reason()))
        });
        self.end_if_settled(number, now);
    }

    /// Everything before the gap is settled: notes it and goes on behind it.
    pub(crate) fn leave_gap(&mut self, number: u32, to: i64, why: GapCause, source: Option<TopicId>) {
        let name = self.name(number);
        let Some(partition) = self.partition(number) else { return };
        let gap =
            Gap { from: partition.settled.source_offset, to, target: partition.settled.target_offset, why };
        tracing::error!(
            "{name}: going on at source offset {to} instead of {} ({why}), by the flow's policy; the gap is noted",
            gap.from
        );
        partition.note_gap(gap);
        // Behind the gap there may be nothing to be fetched, and so no answer that would tell where the log ends.
        if let (Goal::Unknown, Some(end)) = (partition.goal, partition.source.end_offset) {
            partition.goal = Goal::Offset(end);
        }
        let topic = partition.topic;
        if let Some(id) = source {
            self.routes.source_is_now(topic, id);
        }
        self.note_first(number);
        self.check_goal(number);
    }
}

impl Partition {
    fn note_gap(&mut self, gap: Gap) {
        let (to, target) = (gap.to, gap.target);
        self.settled.leader_epoch = -1;
        match gap.why {
            GapCause::Retention if self.is_preserved() => self.read_from = to,
            GapCause::Retention => self.map.pass(to),
            GapCause::Truncation => {
                self.map.cut_source(to);
                self.map.skip_target(target);
            }
            GapCause::Recreation => {
                self.map.cut_source(0);
                self.map.skip_target(target);
                self.map_from = target;
            }
        }
        if !self.is_preserved() {
            self.settled.source_offset = to;
        }
        self.follows_log_start = gap.why == GapCause::Recreation;
        // The same gap may be met again by a life that did not get to store more.
        if self.gaps.last() != Some(&gap) {
            self.gaps.push(gap);
        }
    }
}
