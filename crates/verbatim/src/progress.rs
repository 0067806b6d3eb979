//! How far the copy is: one line that is redrawn on a terminal, a plain line every few seconds elsewhere.

use crate::{output, units};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use verbatim_pipeline::Status;

/// The display in use, so that log lines can be written beside it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Runs `write` with the display out of the way.
pub(crate) fn beside(write: impl FnOnce()) {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Shows one flow.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    last: Option<Sample>,
    last_line: Instant,
}

struct Sample {
    at: Instant,
    bytes: u64,
    records: u64,
}

/// How often the display is redrawn.
pub(crate) const REDRAW: Duration = Duration::from_millis(250);
/// How often a plain line is written.
const LINE: Duration = Duration::from_secs(5);
/// A line about an idle flow is not worth repeating that often.
const IDLE_LINE: Duration = Duration::from_secs(60);

impl Progress {
    /// `started` is when the command began.
    pub(crate) fn start(started: Instant) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&bar);
        Self { bar, started, last: None, last_line: Instant::now() }
    }

    /// How often [`Progress::show`] is worth calling.
    pub(crate) fn interval(&self) -> Duration {
        if self.bar.is_some() { REDRAW } else { LINE }
    }

    pub(crate) fn show(&mut self, status: &Status) {
        let now = Instant::now();
        let total = status.total();
        let sample = Sample { at: now, bytes: total.bytes, records: total.records };
        let (rate_bytes, rate_records) = self.last.as_ref().map_or((0, 0), |last| sample.rate_since(last));
        let text = line(status, rate_bytes, rate_records);
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.tick();
            }
            None if rate_bytes > 0 || now - self.last_line >= IDLE_LINE => {
                output::aside(format!("{text}\n").as_bytes());
                self.last_line = now;
            }
            None => {}
        }
        self.last = Some(sample);
    }

    /// Says which partitions were not forwarded as they came.
    fn say_changed(status: &Status) {
        let names: Vec<String> = status.not_verbatim().map(|partition| partition.name.to_string()).collect();
        if !names.is_empty() {
            tracing::info!("records went on in new batches in {}", units::listed(&names, 10));
        }
    }

    /// Takes the display away and says what was done.
    pub(crate) fn finish(self, status: &Status) -> String {
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        Self::say_changed(status);
        let total = status.total();
        let elapsed = self.started.elapsed();
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let batches = total.forwarded_batches + total.repacked_batches + total.merged_batches;
        let repacked = match total.repacked_batches {
            0 => String::new(),
            repacked => format!(", {} of them repacked", units::count(repacked)),
        };
        let merged = match total.merged_batches {
            0 => String::new(),
            merged => format!(", {} of them merged", units::count(merged)),
        };
        let filled = match total.filled_offsets {
            0 => String::new(),
            filled => format!(", {} offsets filled", units::count(filled)),
        };
        let gaps: usize = status.partitions.iter().map(|partition| partition.gaps.len()).sum();
        let gaps = if gaps == 0 { String::new() } else { format!(", {gaps} gaps noted") };
        let first = status.first_settled.map_or_else(String::new, |first| {
            let after = first.into_std().saturating_duration_since(self.started);
            format!(", the first batch after {} ms", after.as_millis())
        });
        // Little data is not worth the figure: all else that is said would stand out in it.
        let copied = match total.bytes {
            0..1_000_000 => String::new(),
            bytes => format!(", {:.2} bytes copied per byte", status.copied_bytes as f64 / bytes as f64),
        };
        format!(
            "copied {} records in {} batches{repacked}{merged}{filled}{gaps}, {} in {} ({}/s){first}{copied}\n",
            units::count(total.records),
            units::count(batches),
            units::bytes(total.bytes),
            units::duration(elapsed),
            units::bytes(total.bytes.saturating_mul(1000) / millis),
        )
    }
}

impl Sample {
    /// Bytes and records per second.
    fn rate_since(&self, last: &Self) -> (u64, u64) {
        let millis = u64::try_from((self.at - last.at).as_millis()).unwrap_or(u64::MAX).max(1);
        let per_second = |now: u64, then: u64| now.saturating_sub(then).saturating_mul(1000) / millis;
        (per_second(self.bytes, last.bytes), per_second(self.records, last.records))
    }
}

fn line(status: &Status, rate_bytes: u64, rate_records: u64) -> String {
    let total = status.total();
    let mut text = format!("{} copied, {}/s", units::bytes(total.bytes), units::bytes(rate_bytes));
    match status.lag_records().map(|lag| u64::try_from(lag).unwrap_or(0)) {
        None => text.push_str(", looking at the source"),
        Some(0) => text.push_str(", caught up"),
        Some(lag) => {
            text.push_str(&format!(", {} offsets behind", units::count(lag)));
            if let Some(seconds) = lag.checked_div(rate_records) {
                text.push_str(&format!(", {} to go", units::duration(Duration::from_secs(seconds))));
            }
        }
    }
    let changed = status.not_verbatim().count();
    if changed > 0 {
        text.push_str(&format!(", {changed} partitions not verbatim"));
    }
    let stopped = status.stopped().count();
    if stopped > 0 {
        text.push_str(&format!(", {stopped} partitions stopped"));
    }
    text
}
