//! What is queued for each target broker: one that is slow must not take the memory of all.

use crate::task::FlowTask;
use std::collections::{BTreeMap, BTreeSet};

/// Below this a partition's queue is no burden: it is read on however much is queued for its broker, so that what is nearly caught
/// up stays so.
const SMALL_BYTES: usize = 64 << 10;

/// Queues by target broker.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    by_broker: BTreeMap<i32, Backlog>,
    /// Bytes queued in all.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Backlog {
    bytes: usize,
    /// Partitions that are not read on until it is shorter.
    waiting: BTreeSet<u32>,
}

impl Backlogs {
    /// Bytes queued for all brokers.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl FlowTask {
    /// Counts a partition's queue to its leader's backlog.
    fn count_backlog(&mut self, number: u32) {
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        let is_now = partition.target.leader.map(|(node, _)| (node, partition.queued_bytes));
        if let Some((node, bytes)) = std::mem::replace(&mut partition.target.counted, is_now)
            && let Some(backlog) = self.backlogs.by_broker.get_mut(&node)
        {
            backlog.bytes -= bytes;
            self.backlogs.bytes -= bytes;
        }
        if let Some((node, bytes)) = is_now {
            self.backlogs.by_broker.entry(node).or_default().bytes += bytes;
            self.backlogs.bytes += bytes;
        }
    }

    /// Takes a partition with a long queue out of its session, or one whose broker has much queued; puts those back that may go on.
    pub(crate) fn pause_or_unpause(&mut self, number: u32) {
        self.count_backlog(number);
        self.pause_if_long(number);
        let short = self.budget.backlog_bytes() * 3 / 4;
        let node = self.partitions.get(number as usize).and_then(|p| p.target.leader).map(|(node, _)| node);
        let backlog = node.and_then(|node| self.backlogs.by_broker.get_mut(&node));
        if let Some(backlog) = backlog.filter(|backlog| backlog.bytes < short && !backlog.waiting.is_empty())
        {
            // One answer of their source brokers is all they bring at once.
            for number in std::mem::take(&mut backlog.waiting) {
                self.pause_if_long(number);
            }
        }
    }

    fn pause_if_long(&mut self, number: u32) {
        let (long, long_backlog) = (self.budget.pause_bytes(), self.budget.backlog_bytes());
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        if partition.source.ranges.is_some() {
            return;
        }
        let Some(broker) = partition.source.fetched_from.and_then(|node| self.sources.get_mut(&node)) else {
            return;
        };
        let backlog = partition.target.leader.and_then(|(node, _)| self.backlogs.by_broker.get_mut(&node));
        let is_slow = |backlog: &&mut Backlog| {
            let limit = if partition.source.is_paused { long_backlog * 3 / 4 } else { long_backlog };
            backlog.bytes > limit && partition.queued_bytes > SMALL_BYTES
        };
        let slow = backlog.filter(is_slow);
        let is_slow = slow.is_some();
        if let Some(backlog) = slow {
            backlog.waiting.insert(number);
        }
        if !partition.source.is_paused && (is_slow || partition.queued_bytes > long) {
            partition.source.is_paused = true;
            broker.paused += 1;
            broker.pausing.push(number);
        } else if partition.source.is_paused && !is_slow && partition.queued_bytes <= long - long / 4 {
            partition.source.is_paused = false;
            broker.paused -= 1;
            if broker.session.wants(number) {
                self.ask_from_cursor(number);
            } else {
                self.join_session(number);
            }
        }
    }
}
