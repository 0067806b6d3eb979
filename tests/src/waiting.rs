//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

use crate::TestResult;

const PAUSE: Duration = Duration::from_millis(50);

/// Asks `question` again and again until it has an answer; fails, naming `what`, after `patience`.
pub fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut question: impl FnMut() -> TestResult<Option<T>>,
) -> TestResult<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = question()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(format!("waited {} s in vain for {what}", patience.as_secs()).into());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until `condition` holds.
pub fn wait_until(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> TestResult<bool>,
) -> TestResult {
    wait_for(what, patience, || Ok(condition()?.then_some(())))
}
