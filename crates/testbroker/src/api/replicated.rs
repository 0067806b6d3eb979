//! Waiting for replication: what an answer to acks −1 waits for while a test holds a high watermark back.

use std::time::Duration;

use tokio::time::Instant;

use crate::api::Call;
use crate::cluster::state::State;

/// A partition that was written to, up to the log end at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    end: i64,
}

impl Written {
    /// What has just been written to a partition; `None` when it is replicated already.
    pub(crate) fn now(state: &State, topic: &str, partition: i32) -> Option<Self> {
        let log = &state.topics.partition(topic, partition).ok()?.log;
        let end = log.end();
        (log.high_watermark() < end).then(|| Self { topic: topic.to_owned(), partition, end })
    }

    /// A partition that is gone is not waited for.
    fn is_replicated(&self, state: &State) -> bool {
        let partition = state.topics.partition(&self.topic, self.partition);
        partition.map_or(true, |partition| partition.log.high_watermark() >= self.end)
    }
}

/// Waits until all of `written` is replicated; returns what is not when time is up.
pub(crate) async fn wait(call: &Call, mut written: Vec<Written>, timeout: Duration) -> Vec<Written> {
    let deadline = Instant::now() + timeout;
    loop {
        // Made before the look: see `fetch::poll`.
        let changed = call.core.changed.notified();
        if !written.is_empty() {
            let state = call.core.state();
            written.retain(|written| !written.is_replicated(&state));
        }
        if written.is_empty() || Instant::now() >= deadline {
            return written;
        }
        tokio::select! {
            biased;
            () = changed => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}
