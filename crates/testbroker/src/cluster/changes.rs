//! Who waits for what: a long poll for its own broker's partitions, everything else for any change at all.

use std::collections::BTreeMap;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Wakes those who wait, in a cluster whose brokers are known from the start.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    anywhere: Notify,
    /// By node. With a hundred brokers, each record would wake ninety-nine long polls for nothing.
    at: BTreeMap<i32, Notify>,
}

impl Changes {
    pub(crate) fn of(nodes: impl Iterator<Item = i32>) -> Self {
        Self { anywhere: Notify::new(), at: nodes.map(|node| (node, Notify::new())).collect() }
    }

    /// Something changed that may concern any broker.
    pub(crate) fn notify_waiters(&self) {
        self.anywhere.notify_waiters();
        self.at.values().for_each(Notify::notify_waiters);
    }

    /// Something changed in partitions that `node` leads; without a leader, nobody polls for it.
    pub(crate) fn notify_waiters_at(&self, node: Option<i32>) {
        self.anywhere.notify_waiters();
        if let Some(at) = node.and_then(|node| self.at.get(&node)) {
            at.notify_waiters();
        }
    }

    /// The next change.
    pub(crate) fn notified(&self) -> Notified<'_> {
        self.anywhere.notified()
    }

    /// The next change that may concern `node`.
    pub(crate) fn notified_at(&self, node: i32) -> Notified<'_> {
        self.at.get(&node).unwrap_or(&self.anywhere).notified()
    }
}
