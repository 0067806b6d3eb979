//! The cluster's time: tokio's clock, so that a paused one stops it, counted from a given wall time.

use std::time::Duration;

use tokio::time::Instant;

/// Wall time of a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    start_ms: i64,
}

impl Clock {
    /// A clock that shows `start_ms` (milliseconds since the epoch) now.
    pub(crate) fn starting_at(start_ms: i64) -> Self {
        Self { start: Instant::now(), start_ms }
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.start_ms + self.start.elapsed().as_millis() as i64
    }

    pub(crate) fn since_start(&self) -> Duration {
        self.start.elapsed()
    }
}
