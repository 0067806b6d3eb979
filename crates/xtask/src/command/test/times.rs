//! How long each part took the last time it ran as a whole, so that whoever waits knows for how long.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::kafka::target_directory;

/// Seconds by the name of what took them. Kept in the target directory; where it is missing, nothing is known.
#[derive(Debug)]
pub(super) struct Times {
    path: PathBuf,
    seconds: BTreeMap<String, u64>,
}

impl Times {
    pub(super) fn read() -> Self {
        let path = target_directory().join("test-times");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let seconds = text.lines().filter_map(|line| {
            let (seconds, name) = line.trim_start().split_once(' ')?;
            Some((name.to_owned(), seconds.parse().ok()?))
        });
        Self { seconds: seconds.collect(), path }
    }

    /// `last time 12 s`, or that it is not known.
    pub(super) fn last(&self, name: &str) -> String {
        match self.seconds.get(name) {
            Some(seconds) => format!("last time {seconds} s"),
            None => "for the first time here".to_owned(),
        }
    }

    /// Keeps how long something took. A file that cannot be written is no reason to fail: it is a convenience.
    pub(super) fn note(&mut self, name: &str, seconds: u64) {
        self.seconds.insert(name.to_owned(), seconds);
        let text: String = self.seconds.iter().map(|(name, seconds)| format!("{seconds} {name}\n")).collect();
        let _ = fs::write(&self.path, text);
    }
}
