//! Limits on how fast flows write.

mod turns;

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
pub(crate) use turns::Turns;

/// What may be sent at once after a pause, and how large requests are: as much as the limit allows in this time.
const BURST: Duration = Duration::from_millis(50);
/// How long the next in turn has to take what is his.
const PATIENCE: Duration = Duration::from_millis(20);
/// A limit may be changed at any time: so long at most until that is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// A bound on bytes of batches written per second. Clones are the same limit: whatever holds one shares it with the others, who all get
/// the same number of bytes; what is close to the source's end goes first. It may be changed while flows run.
///
/// What was sent too much is made up for before anything else is, so that over seconds the bound is exact.
#[derive(Debug, Clone, Default)]
pub struct RateLimit(Arc<Shared>);

/// The same limit, not one of the same size.
impl PartialEq for RateLimit {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for RateLimit {}

#[derive(Debug, Default)]
struct Shared {
    /// Mostly there is no limit: that is known without a lock.
    is_set: AtomicBool,
    bucket: Mutex<Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    bytes_per_second: Option<NonZeroU64>,
    /// Bytes that may be sent; below 0 what was sent too much.
    allowance: f64,
    filled_at: Option<Instant>,
    turns: Turns,
    /// Who was sent away.
    waiting: Vec<Waiting>,
    /// Who is next, and since when nothing else is in his way.
    next: Option<(u64, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    asker: u64,
    is_live: bool,
}

impl RateLimit {
    /// A limit in bytes per second; `None` for no limit, until one is set.
    pub fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        let limit = Self::default();
        limit.set(bytes_per_second);
        limit
    }

    /// Changes it.
    pub fn set(&self, bytes_per_second: Option<NonZeroU64>) {
        let mut bucket = self.lock();
        if bucket.bytes_per_second != bytes_per_second {
            *bucket = Bucket { bytes_per_second, ..Bucket::default() };
            self.0.is_set.store(bytes_per_second.is_some(), Ordering::Relaxed);
        }
    }

    /// What it is, in bytes per second.
    pub fn get(&self) -> Option<NonZeroU64> {
        self.if_set()?.bytes_per_second
    }

    /// Bytes that a request may have.
    pub(crate) fn request_bytes(&self) -> usize {
        let burst_bytes = self.if_set().and_then(|bucket| bucket.burst_bytes());
        burst_bytes.map_or(usize::MAX, |bytes| bytes as usize)
    }

    /// When `asker` may send; `None` for now. Who `is_live` goes first; of those alike, who has had the fewest bytes.
    pub(crate) fn wait(&self, asker: u64, is_live: bool, now: Instant) -> Option<Instant> {
        let mut bucket = self.if_set()?;
        let rate = bucket.bytes_per_second?.get() as f64;
        bucket.fill(now);
        bucket.line_up(asker, is_live);
        if bucket.allowance <= 0.0 {
            let missing = Duration::from_secs_f64((1.0 - bucket.allowance) / rate);
            return Some(now + missing.min(LONGEST_WAIT));
        }
        let next = bucket.next_in_turn()?;
        if next != asker && bucket.is_before(next, asker) {
            let since = bucket.next.filter(|(who, _)| *who == next).map_or(now, |(_, since)| since);
            bucket.next = Some((next, since));
            if now.duration_since(since) < PATIENCE {
                return Some(since + PATIENCE);
            }
            // It has nothing to send any more.
            bucket.leave(next);
            if bucket.next_in_turn().is_some_and(|next| bucket.is_before(next, asker)) {
                return Some(now + Duration::from_millis(1));
            }
        }
        bucket.leave(asker);
        None
    }

    /// Notes that `asker` sends `bytes`.
    pub(crate) fn take(&self, asker: u64, bytes: usize) {
        if let Some(mut bucket) = self.if_set() {
            bucket.allowance -= bytes as f64;
            let Bucket { turns, waiting, .. } = &mut *bucket;
            let least = waiting.iter().map(|waiting| turns.place(waiting.asker)).min();
            turns.took(asker, bytes, least);
        }
    }

    fn if_set(&self) -> Option<MutexGuard<'_, Bucket>> {
        self.0.is_set.load(Ordering::Relaxed).then(|| self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn burst_bytes(&self) -> Option<f64> {
        Some(self.bytes_per_second?.get() as f64 * BURST.as_secs_f64())
    }

    fn fill(&mut self, now: Instant) {
        let (Some(rate), Some(burst)) = (self.bytes_per_second, self.burst_bytes()) else { return };
        let since = now.duration_since(*self.filled_at.get_or_insert(now));
        self.filled_at = Some(now);
        self.allowance = (self.allowance + since.as_secs_f64() * rate.get() as f64).min(burst.max(1.0));
    }

    fn line_up(&mut self, asker: u64, is_live: bool) {
        match self.waiting.iter_mut().find(|waiting| waiting.asker == asker) {
            Some(waiting) => waiting.is_live = is_live,
            None => self.waiting.push(Waiting { asker, is_live }),
        }
    }

    fn leave(&mut self, asker: u64) {
        self.waiting.retain(|waiting| waiting.asker != asker);
        self.next = None;
    }

    /// Whether `other` is to go before `asker`: it is live and the other is not, or it is behind by more than is sent at once. To
    /// change over costs time where requests are small.
    fn is_before(&self, other: u64, asker: u64) -> bool {
        let is_live = |who| self.waiting.iter().any(|waiting| waiting.asker == who && waiting.is_live);
        if is_live(other) != is_live(asker) {
            return is_live(other);
        }
        let ahead = self.turns.place(asker).saturating_sub(self.turns.place(other));
        ahead as f64 > self.burst_bytes().unwrap_or(0.0)
    }

    fn next_in_turn(&self) -> Option<u64> {
        let place = |waiting: &&Waiting| (!waiting.is_live, self.turns.place(waiting.asker));
        self.waiting.iter().min_by_key(place).map(|waiting| waiting.asker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who sent how much in `seconds`, each as soon as it may, so many bytes at a time.
    fn sent(limit: &RateLimit, sizes: &[usize], seconds: u64) -> Vec<usize> {
        let start = Instant::now();
        let mut sent = vec![0; sizes.len()];
        let mut due = vec![start; sizes.len()];
        loop {
            let next = (0..sizes.len()).min_by_key(|asker| due[*asker]).unwrap();
            let now = due[next];
            if now.duration_since(start).as_secs() >= seconds {
                return sent;
            }
            match limit.wait(next as u64, false, now) {
                Some(at) => due[next] = at.max(now + Duration::from_micros(10)),
                None => {
                    limit.take(next as u64, sizes[next]);
                    sent[next] += sizes[next];
                    due[next] = now + Duration::from_micros(10);
                }
            }
        }
    }

    #[test]
    fn the_rate_is_exact_over_seconds_whatever_the_size() {
        for bytes in [100, 10_000, 3_000_000] {
            let limit = RateLimit::new(NonZeroU64::new(1_000_000));
            let total: usize = sent(&limit, &[bytes], 30).iter().sum();
            assert!((total as f64 - 3e7).abs() < 1.5e6 + bytes as f64, "{total}");
        }
    }

    #[test]
    fn those_who_share_it_get_the_same_whatever_the_size() {
        for sizes in [[50_000; 4], [1_000, 60_000, 20_000, 200]] {
            let limit = RateLimit::new(NonZeroU64::new(1_000_000));
            let shares = sent(&limit, &sizes, 40);
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(most - least <= most / 20, "{shares:?}");
            assert!((shares.iter().sum::<usize>() as f64 - 4e7).abs() < 2e6, "{shares:?}");
        }
    }

    #[test]
    fn who_is_live_goes_first() {
        let limit = RateLimit::new(NonZeroU64::new(1_000_000));
        let now = Instant::now();
        for asker in 0..3 {
            assert!(limit.wait(asker, asker == 2, now).is_some(), "it begins empty");
        }
        let later = now + Duration::from_millis(40);
        assert!(limit.wait(0, false, later).is_some(), "another is to go first");
        assert_eq!(limit.wait(2, true, later), None);
        limit.take(2, 10_000);
        assert_eq!(limit.wait(0, false, later), None);
    }

    #[test]
    fn no_limit_lets_everything_pass_and_a_new_one_holds_at_once() {
        let limit = RateLimit::new(None);
        limit.take(1, 1 << 40);
        assert_eq!(limit.wait(1, false, Instant::now()), None);
        limit.set(NonZeroU64::new(10));
        let now = Instant::now();
        assert!(limit.wait(1, false, now).is_some(), "it begins empty");
        assert_eq!(limit.wait(1, false, now + Duration::from_secs(1)), None);
        limit.take(1, 1 << 40);
        assert!(limit.wait(1, false, now + Duration::from_secs(99)).is_some());
        limit.set(None);
        assert_eq!(limit.wait(1, false, now), None);
    }
}
