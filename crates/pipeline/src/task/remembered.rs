//! From when on brokers remember who wrote a record.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// How long what the clock said is good for: what it is asked for is a matter of hours.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// See [`FlowConfig::old_record_age`](crate::FlowConfig::old_record_age).
#[derive(Debug)]
pub(crate) struct Remembered {
    age: Duration,
    oldest_ms: i64,
    good_until: Option<Instant>,
}

impl Remembered {
    pub(super) fn new(age: Duration) -> Self {
        Self { age, oldest_ms: 0, good_until: None }
    }

    /// Records with earlier timestamps, in milliseconds since the epoch, may be forgotten by brokers.
    pub(crate) fn oldest_ms(&mut self, now: Instant) -> i64 {
        if self.good_until.is_none_or(|until| now >= until) {
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.oldest_ms = i64::try_from(time.saturating_sub(self.age).as_millis()).unwrap_or(0);
            self.good_until = Some(now + GOOD_FOR);
        }
        self.oldest_ms
    }
}
