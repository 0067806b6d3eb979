//! Who leads what, on both sides: asked for when a broker says it is no longer the one, or is gone.

use super::FlowTask;
use super::events::Event;
use super::timers::Timer;
use crate::config::FlowConfig;
use crate::error::{Side, StopReason};
use crate::flow::accident::Accident;
use crate::partition::{Cause, Obstacle, Partition, State};
use std::sync::Arc;
use tokio::time::Instant;
use verbatim_wire::cluster::{Backoff, BrokerError, ClusterError, Metadata, TopicMetadata};
use verbatim_wire::primitives::TopicId;

/// Whether leaders have to be asked for again.
#[derive(Debug)]
pub(crate) struct LeaderWatch {
    is_wanted: bool,
    is_asking: bool,
    not_before: Option<Instant>,
    backoff: Backoff,
    /// Nobody could be asked when that was tried last.
    pub(super) is_unanswered: bool,
}

impl LeaderWatch {
    pub(crate) fn new(config: &FlowConfig, seed: u64) -> Self {
        let backoff = Backoff::new(config.first_retry, config.last_retry, seed);
        Self { is_wanted: false, is_asking: false, not_before: None, backoff, is_unanswered: false }
    }

    pub(crate) fn want(&mut self) {
        self.is_wanted = true;
    }
}

impl FlowTask {
    /// Sets a partition on its way: to the next state that its leaders allow.
    pub(crate) fn locate(&mut self, number: u32) {
        let Some(partition) = self.partition(number) else { return };
        partition.state = State::Locating;
        let target = partition.target.leader;
        if partition.source.leader.is_none() {
            self.source_leaders.want();
        }
        match target {
            Some((leader, _)) => {
                if let Some(partition) = self.partition(number) {
                    partition.state = State::Resuming;
                }
                self.to_resume.entry(leader).or_default().push(number);
            }
            None => self.target_leaders.want(),
        }
    }

    pub(crate) fn pause_is_over(&mut self, number: u32, now: Instant) {
        if self.partition(number).is_some_and(|p| matches!(p.state, State::Pausing(until) if until <= now)) {
            self.locate(number);
        }
    }

    pub(crate) fn ask_for_leaders(&mut self, side: Side, now: Instant) {
        let watch = self.leaders(side);
        if !watch.is_wanted || watch.is_asking {
            return;
        }
        if let Some(at) = watch.not_before.filter(|at| *at > now) {
            return self.timers.set(at, Timer::leaders(side));
        }
        watch.is_wanted = false;
        let names = self.routes.names(side);
        if names.is_empty() {
            return;
        }
        self.leaders(side).is_asking = true;
        let cluster = if side == Side::Source { self.source.clone() } else { self.target.clone() };
        self.beside(async move { Event::Leaders { side, outcome: cluster.metadata(Some(&names)).await } });
    }

    pub(crate) fn leaders_heard(
        &mut self,
        side: Side,
        outcome: Result<Arc<Metadata>, ClusterError>,
        now: Instant,
    ) {
        let pause = self.leaders(side).backoff.pause();
        let watch = self.leaders(side);
        watch.is_asking = false;
        watch.not_before = Some(now + pause);
        let metadata = match outcome {
            Ok(metadata) => {
                if std::mem::take(&mut watch.is_unanswered) {
                    tracing::info!("{side} cluster: it answers again");
                }
                metadata
            }
            Err(error) => {
                if std::mem::replace(&mut watch.is_unanswered, true) {
                    tracing::debug!(%error, "{side} cluster: asking for leaders failed again");
                } else {
                    tracing::warn!(%error, "{side} cluster: asking for leaders failed; trying again until it answers");
                }
                return watch.want();
            }
        };
        let mut all_found = true;
        for number in (0u32..).take(self.partitions.len()) {
            all_found &= match side {
                Side::Source => self.source_leader_heard(number, &metadata, now),
                Side::Target => self.target_leader_heard(number, &metadata, now),
            };
        }
        let watch = self.leaders(side);
        if all_found {
            watch.backoff.reset();
        } else {
            watch.want();
        }
    }

    /// Returns whether the leader is known now.
    fn source_leader_heard(&mut self, number: u32, metadata: &Metadata, now: Instant) -> bool {
        if !self.topic_is_there(number, Side::Source, metadata, now) {
            return true;
        }
        let name = self.name(number);
        let found = metadata.partition(&name.topic, name.partition).filter(|found| found.leader >= 0);
        let leader = found.map(|found| (found.leader, found.leader_epoch));
        let Some(partition) = self.partition(number) else { return true };
        if leader.is_none() && partition.source.leader.is_some() {
            return true; // Being elected: the old leader will say so when it is asked.
        }
        let has_moved = partition.source.leader != leader || partition.source.fetched_from.is_none();
        partition.source.leader = leader;
        if has_moved
            && !partition.source.is_resting
            && partition.state.is_copying()
            && partition.ending.is_none()
        {
            self.leave_session(number);
            self.join_session(number);
        }
        if leader.is_none() {
            self.meets(number, Obstacle::no_leader(Side::Source), now);
        }
        leader.is_some()
    }

    fn target_leader_heard(&mut self, number: u32, metadata: &Metadata, now: Instant) -> bool {
        if !self.topic_is_there(number, Side::Target, metadata, now) {
            return true;
        }
        let Some(partition) = self.partitions.get(number as usize) else { return true };
        if !matches!(partition.state, State::Locating) {
            return true;
        }
        let Some(route) = self.routes.topic(partition.topic) else { return true };
        let found = metadata.partition(&route.target.name, partition.partition);
        let leader = found.map(|found| (found.leader, found.leader_epoch)).filter(|(leader, _)| *leader >= 0);
        if let Some(partition) = self.partition(number) {
            partition.target.leader = leader;
        }
        match leader {
            Some(_) => self.locate(number),
            None => self.meets(number, Obstacle::no_leader(Side::Target), now),
        }
        leader.is_some()
    }

    /// Whether the topic is still the one we know. A topic that stays away, or comes back as another one,
    /// stops its partitions.
    fn topic_is_there(&mut self, number: u32, side: Side, metadata: &Metadata, now: Instant) -> bool {
        let patience = self.config.missing_topic_patience;
        let Some(partition) = self.partitions.get_mut(number as usize) else { return false };
        if partition.state.is_stopped() {
            return false;
        }
        let Some(known) = self.routes.topic(partition.topic).map(|route| route.side(side)) else {
            return false;
        };
        let found = metadata.topic(&known.name);
        let gone = |topic: &TopicMetadata| topic.error == BrokerError::UNKNOWN_TOPIC_OR_PARTITION;
        let missing_since = partition.missing_since(side);
        if found.is_none_or(gone) {
            let since = *missing_since.get_or_insert(now);
            let missing_for = now.duration_since(since);
            if missing_for >= patience {
                let reason = StopReason::TopicGone { side, seconds: missing_for.as_secs() };
                self.stop(number, &Arc::new(reason));
            }
            self.leaders(side).want();
            self.meets(number, Obstacle { side, broker: None, cause: Cause::NoTopic }, now);
            return false;
        }
        *missing_since = None;
        let is_another = found.is_some_and(|topic| {
            topic.error == BrokerError::NONE && topic.identity.id != known.id && known.id != TopicId::ZERO
        });
        let Some(id) = found.map(|topic| topic.identity.id).filter(|_| is_another) else { return true };
        match side {
            Side::Source if self.is_unharmed(number) => {
                self.accident(number, Accident::Recreated { id }, now);
            }
            Side::Source => {}
            Side::Target => self.stop(number, &Arc::new(StopReason::Recreated { side })),
        }
        false
    }
}

impl Partition {
    fn missing_since(&mut self, side: Side) -> &mut Option<Instant> {
        match side {
            Side::Source => &mut self.source.missing_since,
            Side::Target => &mut self.target.missing_since,
        }
    }
}
