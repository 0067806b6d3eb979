//! How many schedules are played, from which seed on, and how far that is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What is played where nothing is said, in seconds.
const SECONDS: u64 = 120;
/// Fewer schedules mean nothing, however slow the machine is.
const LEAST: u64 = 1_000;
/// How often to say how far it is.
const WORD: Duration = Duration::from_secs(20);

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// How much is to be played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    first_seed: u64,
    time: Duration,
    /// So many in any case.
    least: u64,
}

impl Length {
    pub(crate) fn from_environment() -> Self {
        let schedules = number("VERBATIM_SCHEDULES");
        let seconds = number("VERBATIM_SECONDS").unwrap_or(SECONDS);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Microseconds: no two runs play the same ones.
        let clock = u64::try_from(since.as_micros()).unwrap_or_default();
        Self {
            first_seed: number("VERBATIM_FIRST_SEED").unwrap_or(clock),
            time: Duration::from_secs(if schedules.is_some() { 0 } else { seconds }),
            least: schedules.unwrap_or(LEAST),
        }
    }

    pub(crate) fn begin(self) -> Progress {
        let Self { first_seed, time, least } = self;
        say(&format!("at least {least} schedules, from seed {first_seed} on, and for {} s", time.as_secs()));
        Progress { length: self, begun: Instant::now(), taken: AtomicU64::new(0), said_s: AtomicU64::new(0) }
    }
}

/// Schedules being played.
#[derive(Debug)]
pub(crate) struct Progress {
    length: Length,
    begun: Instant,
    taken: AtomicU64,
    /// When it was last said how far this is, in seconds from the beginning.
    said_s: AtomicU64,
}

impl Progress {
    /// The next seed, unless it is enough.
    pub(crate) fn next(&self) -> Option<u64> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let (now, said) = (self.begun.elapsed(), Duration::from_secs(self.said_s.load(Ordering::Relaxed)));
        if now > said + WORD {
            self.said_s.store(now.as_secs(), Ordering::Relaxed);
            say(&self.sentence(taken));
        }
        if taken >= self.length.least && now >= self.length.time {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(self.length.first_seed.wrapping_add(taken))
    }

    /// How many were played.
    pub(crate) fn end(&self) -> u64 {
        let played = self.taken.load(Ordering::Relaxed);
        say(&self.sentence(played));
        played
    }

    fn sentence(&self, played: u64) -> String {
        let elapsed = self.begun.elapsed();
        let rate = played as f64 / elapsed.as_secs_f64().max(0.001);
        format!(
            "{played} schedules from seed {} in {} s: {rate:.1} a second",
            self.length.first_seed,
            elapsed.as_secs()
        )
    }
}

/// Past the harness, which keeps to itself what passing tests print.
fn say(words: &str) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("simulation: {words}\n"));
}
