//! Growing pauses between attempts, with jitter so that many clients do not knock in step.

use super::{BrokerError, ClusterError, ErrorClass};
use std::time::Duration;
use tokio::time::Instant;

/// Exponential backoff: doubles from `first` to `last`, each pause reduced by up to a half at random.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    attempts: u32,
    random: u64,
}

impl Backoff {
    /// A fresh backoff; `seed` decides the jitter.
    pub fn new(first: Duration, last: Duration, seed: u64) -> Self {
        Self { first, last, attempts: 0, random: seed | 1 }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.attempts.min(20)).min(self.last);
        self.attempts = self.attempts.saturating_add(1);
        // xorshift64: jitter needs no better randomness.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let thousandths = u32::try_from(self.random % 500).unwrap_or(0);
        full - full * thousandths / 1000
    }

    /// Attempts since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Before so many attempts [`persist`] does not give up, however long each takes.
const LEAST_ATTEMPTS: u32 = 14;
/// Nor before that time is over.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is waited for is mostly a broker that has a topic to create: nobody should wait much longer than it takes.
const LAST_PAUSE: Duration = Duration::from_millis(250);

/// Repeats `attempt` while trying again can help: a lost connection, a leader being elected, a coordinator
/// still loading.
///
/// # Errors
/// The last failure, or the first that repeating cannot mend.
pub async fn persist<T, F>(attempt: impl Fn() -> F) -> Result<T, ClusterError>
where
    F: Future<Output = Result<T, ClusterError>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(10), LAST_PAUSE, 1);
    let begin = Instant::now();
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let class = error.broker_error().map(BrokerError::class);
        let is_passing = class.is_none_or(ErrorClass::may_pass) && error.unsupported_api().is_none();
        let is_enough = backoff.attempts() >= LEAST_ATTEMPTS && begin.elapsed() >= PATIENCE;
        if !is_passing || is_enough {
            return Err(error);
        }
        tracing::debug!(%error, "trying again");
        tokio::time::sleep(backoff.pause()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_start_over() {
        let (first, last) = (Duration::from_millis(10), Duration::from_secs(1));
        let mut backoff = Backoff::new(first, last, 7);
        let mut full = first;
        for _ in 0..50 {
            let pause = backoff.pause();
            assert!(pause <= full && pause >= full / 2, "{pause:?} of {full:?}");
            full = (full * 2).min(last);
        }
        backoff.reset();
        assert!(backoff.pause() <= first);
    }
}
