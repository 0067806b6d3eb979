//! Logs go to stderr, a line each; stdout is for answers.

use crate::{output, progress};
use std::io::{self, IsTerminal, Write};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Logs from `level` on. Somebody at a terminal knows when a line came; in a file each says it (UTC, RFC 3339).
pub(crate) fn start(level: LevelFilter) {
    let lines =
        tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(BesideProgress);
    if io::stderr().is_terminal() {
        lines.with_ansi(true).without_time().init();
    } else {
        lines.with_ansi(false).init();
    }
}

/// Writes lines above the progress display instead of through it.
struct BesideProgress;

impl<'a> MakeWriter<'a> for BesideProgress {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

/// A log line, written when it is complete.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.0);
        progress::beside(|| output::aside(&line));
    }
}
