//! A lane to a target broker: one connection, whose broker answers in order.

use super::{Link, Window};
use crate::config::FlowConfig;
use crate::error::Side;
use crate::partition::{Cause, Failure, Obstacle};
use crate::task::FlowTask;
use crate::task::events::Event;
use crate::task::timers::Timer;
use std::collections::VecDeque;
use tokio::time::Instant;
use verbatim_wire::cluster::{Backoff, ClusterError, Lane};
use verbatim_wire::connection::Connection;
use verbatim_wire::produce;

/// A connection to a target broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    pub(crate) node: i32,
    pub(crate) index: u8,
}

/// What is sent over one connection.
#[derive(Debug)]
pub(crate) struct TargetLane {
    pub(crate) link: Link,
    /// Partitions with something to send, in turn.
    pub(crate) ready: VecDeque<u32>,
    /// Requests under way, oldest first.
    pub(crate) requests: VecDeque<ProduceInFlight>,
    pub(crate) next_request: u64,
    pub(crate) window: Window,
    backoff: Backoff,
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct ProduceInFlight {
    pub(crate) request: u64,
    pub(crate) numbers: Vec<u32>,
    pub(crate) bytes: usize,
    pub(crate) sent_at: Instant,
}

impl TargetLane {
    pub(crate) fn new(config: &FlowConfig, key: LaneKey) -> Self {
        let seed = u64::from(key.node.unsigned_abs()) << 8 | u64::from(key.index);
        Self {
            link: Link::Closed,
            ready: VecDeque::new(),
            requests: VecDeque::new(),
            next_request: 0,
            window: Window::new(config),
            backoff: Backoff::new(config.first_retry, config.last_retry, seed),
        }
    }

    /// Whether it is open, with room for another request.
    pub(crate) fn may_send(&self) -> bool {
        matches!(self.link, Link::Open { .. }) && self.window.has_room(self.requests.len())
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.requests.is_empty()
    }
}

impl FlowTask {
    pub(crate) fn open_lane(&mut self, key: LaneKey) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.link = Link::Opening;
            let target = self.target.clone();
            self.beside(async move {
                let outcome = target.connection(key.node, Lane::Produce(key.index)).await;
                Event::TargetOpened { lane: key, outcome }
            });
        }
    }

    pub(crate) fn lane_opened(
        &mut self,
        key: LaneKey,
        outcome: Result<Connection, ClusterError>,
        now: Instant,
    ) {
        let opened = outcome.and_then(|connection| {
            let version = connection.version(produce::API_KEY, produce::MIN_VERSION, produce::MAX_VERSION);
            Ok((connection, version.ok_or(ClusterError::UnknownBroker { node: key.node })?))
        });
        match opened {
            Ok((connection, offered)) => {
                self.measure_if_far(Side::Target, key.node, &connection);
                let version = self.routes.produce_version(offered);
                // The broker may be another process than before, one that knows no producer.
                for number in (0u32..).take(self.partitions.len()) {
                    if self.lane_of(number) == Some(key)
                        && let Some(partition) = self.partition(number)
                    {
                        partition.target.has_accepted = false;
                    }
                }
                if let Some(lane) = self.lanes.get_mut(&key) {
                    lane.backoff.reset();
                    lane.window.opened();
                    lane.link = Link::Open { connection, version };
                }
            }
            Err(error) => self.lane_failed(key, &error, now),
        }
    }

    /// The broker is gone or not there: everything on this lane starts over, perhaps on another.
    pub(crate) fn lane_failed(&mut self, key: LaneKey, error: &dyn std::fmt::Display, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if !matches!(lane.link, Link::Waiting) {
            if lane.backoff.attempts() == 0 {
                tracing::warn!(broker = key.node, %error, "target broker lost; trying again");
            } else {
                tracing::debug!(broker = key.node, %error, "target broker still lost; trying again");
            }
            lane.link = Link::Waiting;
            let pause = lane.backoff.pause();
            self.timers.set(now + pause, Timer::Lane(key));
        }
        let lost = Obstacle {
            side: Side::Target,
            broker: Some(key.node),
            cause: Cause::Lost(error.to_string().into()),
        };
        for number in std::mem::take(&mut lane.ready) {
            let Some(partition) = self.partition(number) else { continue };
            if partition.target.ready_on == Some(key) {
                partition.target.ready_on = None;
                partition.target.leader = None;
                self.meets(number, lost.clone(), now);
                self.fail(number, Failure::Passing, now);
            }
        }
        self.target_leaders.want();
    }

    pub(crate) fn lane_may_open(&mut self, key: LaneKey) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.link = Link::Closed;
        }
    }
}
