//! How much may be under way on one connection to the target.
//!
//! Near by, a few requests keep a broker busy: it works on one of them at a time. Far away the link is what has to be kept busy, and
//! that takes as many bytes under way as it carries in a round trip. So there the bound is one of bytes, which grows while answers
//! come as quickly as the link allows, and shrinks when they do not: then requests wait on the way, not here.

use crate::config::FlowConfig;
use crate::partition::MAX_IN_FLIGHT;
use std::time::Duration;

/// Requests on one connection, however far the target.
const MOST_REQUESTS: usize = 256;
/// The bound begins here, and is never below, in bytes.
const LEAST_BYTES: usize = 1 << 20;
/// What an answer may take beyond two round trips before the bound grows no more: brokers need time, too.
const SLACK: Duration = Duration::from_millis(50);

/// The bound of one connection, and what is under way on it.
#[derive(Debug)]
pub(crate) struct Window {
    near_requests: usize,
    most_bytes: usize,
    /// The time to the broker and back, if it is far.
    far: Option<Duration>,
    limit_bytes: usize,
    bytes: usize,
}

impl Window {
    pub(crate) fn new(config: &FlowConfig) -> Self {
        let most_bytes = config.far_budget_bytes / 2;
        Self {
            near_requests: config.requests_per_lane,
            most_bytes,
            far: None,
            limit_bytes: LEAST_BYTES.min(most_bytes),
            bytes: 0,
        }
    }

    /// A new connection: what the way bears has to be found out again.
    pub(crate) fn opened(&mut self) {
        self.limit_bytes = LEAST_BYTES.min(self.most_bytes);
    }

    /// The broker is as far as this, or near.
    pub(crate) fn measured(&mut self, far: Option<Duration>) {
        self.far = far;
    }

    /// Whether another request may be sent beside `requests`.
    pub(crate) fn has_room(&self, requests: usize) -> bool {
        requests < self.near_requests
            || (self.far.is_some() && requests < MOST_REQUESTS && self.bytes < self.limit_bytes)
    }

    /// Batches of one partition that may be under way.
    pub(crate) fn batches_per_partition(&self) -> usize {
        if self.far.is_some() { MOST_REQUESTS } else { MAX_IN_FLIGHT }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// A request of `bytes` was answered after `took`.
    pub(crate) fn answered(&mut self, bytes: usize, took: Duration) {
        let was_used = self.bytes + self.bytes / 2 >= self.limit_bytes;
        self.lost(bytes);
        let Some(round_trip) = self.far else { return };
        if took <= round_trip * 2 + SLACK {
            if was_used {
                // Doubles with every round trip.
                self.limit_bytes = (self.limit_bytes + bytes).min(self.most_bytes);
            }
        } else if took > round_trip * 3 + SLACK * 2 {
            self.limit_bytes = (self.limit_bytes - bytes.min(self.limit_bytes) / 2).max(LEAST_BYTES);
        }
    }

    /// A request of `bytes` will not be answered.
    pub(crate) fn lost(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(far_ms: Option<u64>) -> Window {
        let mut window = Window::new(&FlowConfig { far_budget_bytes: 64 << 20, ..FlowConfig::default() });
        window.opened();
        window.measured(far_ms.map(Duration::from_millis));
        window
    }

    fn filled(window: &mut Window, bytes: usize) -> usize {
        let sent = std::iter::repeat_with(|| {
            let requests = window.bytes / bytes;
            window.has_room(requests).then(|| window.sent(bytes))
        });
        sent.take_while(Option::is_some).count()
    }

    #[test]
    fn near_by_requests_are_counted() {
        let mut window = window(None);
        assert_eq!(filled(&mut window, 1 << 20), 5);
        window.answered(1 << 20, Duration::from_millis(9));
        assert_eq!(filled(&mut window, 1 << 20), 1);
        assert_eq!(window.batches_per_partition(), MAX_IN_FLIGHT);
    }

    #[test]
    fn far_away_the_bytes_under_way_grow_until_answers_come_later() {
        let mut window = window(Some(100));
        let batch = 128 << 10;
        assert_eq!(filled(&mut window, batch), 8);
        for _ in 0..400 {
            window.answered(batch, Duration::from_millis(110));
            filled(&mut window, batch);
        }
        assert_eq!(window.bytes, 32 << 20, "half of the budget");
        for _ in 0..400 {
            window.answered(batch, Duration::from_millis(900));
            filled(&mut window, batch);
        }
        assert!(window.limit_bytes < 8 << 20, "{window:?}");
    }
}
