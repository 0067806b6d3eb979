//! A source broker: the way to it, and which partitions are in its fetch session.

use super::Link;
use crate::error::Side;
use crate::partition::{Cause, Obstacle};
use crate::task::FlowTask;
use crate::task::events::Event;
use crate::task::timers::Timer;
use std::time::Duration;
use tokio::time::Instant;
use verbatim_wire::cluster::{Backoff, ClusterError, Lane};
use verbatim_wire::connection::Connection;
use verbatim_wire::fetch::{self, FetchSession, FetchTarget};

/// A source broker and what is fetched from it.
#[derive(Debug)]
pub(crate) struct SourceBroker {
    pub(crate) link: Link,
    pub(crate) session: FetchSession,
    /// Number of the next request.
    pub(crate) next_request: u64,
    pub(crate) outstanding: Option<Outstanding>,
    /// Partitions taken out of the session because their queues are long.
    pub(crate) paused: usize,
    /// Partitions to be taken out of the session with the next request: what the last one brings of them is
    /// still taken.
    pub(crate) pausing: Vec<u32>,
    /// The time to it and back, if it is far.
    pub(crate) far: Option<Duration>,
    /// Bytes of each partition that are asked for, if it is far.
    pub(crate) partition_bytes: usize,
    backoff: Backoff,
}

#[derive(Debug)]
pub(crate) struct Outstanding {
    pub(crate) request: u64,
    pub(crate) reserved_bytes: usize,
}

impl FlowTask {
    /// Puts a copying partition into its leader's session, at its cursor.
    pub(crate) fn join_session(&mut self, number: u32) {
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let (Some((node, _)), true) = (partition.source.leader, partition.state.is_copying()) else { return };
        let config = &self.config;
        let broker = self.sources.entry(node).or_insert_with(|| SourceBroker {
            link: Link::Closed,
            session: FetchSession::default(),
            next_request: 0,
            outstanding: None,
            paused: 0,
            pausing: Vec::new(),
            far: None,
            partition_bytes: 0,
            backoff: Backoff::new(config.first_retry, config.last_retry, u64::from(node.unsigned_abs())),
        });
        // What an earlier request brings belongs to an earlier cursor.
        partition.source.valid_from_request = broker.next_request;
        partition.source.fetched_from = Some(node);
        self.ask_from_cursor(number);
        self.pause_or_unpause(number);
    }

    /// Tells the session where a partition is read from next.
    pub(crate) fn ask_from_cursor(&mut self, number: u32) {
        let Some(partition) = self.partitions.get(number as usize) else { return };
        let (Some((_, epoch)), Some(node)) = (partition.source.leader, partition.source.fetched_from) else {
            return;
        };
        let Some(route) = self.routes.topic(partition.topic) else { return };
        let is_out = partition.source.is_paused || partition.source.ranges.is_some();
        if let Some(broker) = self.sources.get_mut(&node).filter(|_| !is_out) {
            let target = FetchTarget {
                fetch_offset: partition.cursor.offset,
                current_leader_epoch: epoch,
                last_fetched_epoch: partition.cursor.last_fetched_epoch,
            };
            broker.session.want(number, &route.source, partition.partition, target);
        }
    }

    /// Takes a partition out of its session.
    pub(crate) fn leave_session(&mut self, number: u32) {
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let node = partition.source.fetched_from.take();
        let was_paused = std::mem::replace(&mut partition.source.is_paused, false);
        if partition.source.ranges.take().is_some() {
            self.in_ranges.remove(&number);
        }
        if let Some(broker) = node.and_then(|node| self.sources.get_mut(&node)) {
            broker.session.forget(number);
            broker.paused -= usize::from(was_paused);
        }
    }

    pub(crate) fn open_source(&mut self, node: i32) {
        if let Some(broker) = self.sources.get_mut(&node) {
            broker.link = Link::Opening;
            let source = self.source.clone();
            self.beside(async move {
                Event::SourceOpened { node, outcome: source.connection(node, Lane::Fetch(0)).await }
            });
        }
    }

    pub(crate) fn source_opened(
        &mut self,
        node: i32,
        outcome: Result<Connection, ClusterError>,
        now: Instant,
    ) {
        let opened = outcome.and_then(|connection| {
            let version = connection.version(fetch::API_KEY, fetch::MIN_VERSION, fetch::MAX_VERSION);
            let version = version.ok_or(ClusterError::UnknownBroker { node })?;
            Ok((connection, version))
        });
        match opened {
            Ok((connection, offered)) => {
                self.measure_if_far(Side::Source, node, &connection);
                let version = self.routes.fetch_version(offered);
                if let Some(broker) = self.sources.get_mut(&node) {
                    broker.backoff.reset();
                    broker.session.reset();
                    broker.link = Link::Open { connection, version };
                }
            }
            Err(error) => self.source_failed(node, &error, now),
        }
    }

    /// The broker is gone or not there: its leaders may have moved.
    pub(crate) fn source_failed(&mut self, node: i32, error: &dyn std::fmt::Display, now: Instant) {
        let Some(broker) = self.sources.get_mut(&node) else { return };
        // Said once, not with each try: what it keeps waiting says so.
        if broker.backoff.attempts() == 0 {
            tracing::warn!(broker = node, %error, "source broker lost; trying again");
        } else {
            tracing::debug!(broker = node, %error, "source broker still lost; trying again");
        }
        broker.session.reset();
        broker.link = Link::Waiting;
        let pause = broker.backoff.pause();
        self.timers.set(now + pause, Timer::Source(node));
        self.source_leaders.want();
        let cause = Cause::Lost(error.to_string().into());
        let lost = Obstacle { side: Side::Source, broker: Some(node), cause };
        for number in (0u32..).take(self.partitions.len()) {
            if self.partition(number).is_some_and(|partition| partition.source.fetched_from == Some(node)) {
                self.meets(number, lost.clone(), now);
            }
        }
    }

    pub(crate) fn source_may_open(&mut self, node: i32) {
        if let Some(broker) = self.sources.get_mut(&node) {
            broker.link = Link::Closed;
        }
    }
}
