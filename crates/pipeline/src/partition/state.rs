//! What a partition is doing, as one value.
//!
//! ```text
//!              leaders known        target looked at
//!   Locating ---------------> Resuming ------------> Copying <---- Leading   (preserved offsets: what comes
//!      ^                        | | |                   |             ^       before the first record is filled)
//!      |              no answer | | +-------------------|-------------+
//!      |                        | +-> Aligning          | a batch failed, a connection ended
//!      |                        |       | new position  v
//!      |    pause over          v       v            Settling   (batches still under way are answered first)
//!      +---------------------- Pausing <----------------+
//!
//!   Copying --- goes on elsewhere in the source, or with other offsets, by policy ---> Noting --- stored ---> Locating
//!
//!   any of them --- cannot be mended by trying again ---> Stopped
//! ```
//!
//! Whatever goes wrong on the way to the target, the cure is one: let every batch under way be answered,
//! forget what was read ahead, look at what the target holds, and go on from there.

use crate::error::StopReason;
use std::sync::Arc;
use tokio::time::Instant;

/// State of a partition; see the module's diagram.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Waits for the leaders of both sides.
    Locating,
    /// Waits for the target's answer to "what do you hold of this producer?".
    Resuming,
    /// With preserved offsets: fills what comes before the first record.
    Leading,
    /// The source is not what was counted on: looks for the place in it where the target ends.
    Aligning,
    /// Waits until what has been decided about it is stored: going on before would leave a crash without a trace of it.
    Noting,
    /// Fetches and produces.
    Copying,
    /// Waits for the answers under way, then pauses or stops.
    Settling(Failure),
    /// Waits for the time to try again.
    Pausing(Instant),
    /// For good.
    Stopped(Arc<StopReason>),
}

/// Why copying was interrupted.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// Trying again may help.
    Passing,
    /// It will not.
    Final(Arc<StopReason>),
}

impl State {
    pub(crate) fn is_copying(&self) -> bool {
        matches!(self, Self::Copying)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped(_))
    }

    /// A failure while batches are under way. The first cause stands, unless the new one is final.
    pub(crate) fn fail(&mut self, failure: Failure) {
        match (&*self, &failure) {
            (Self::Stopped(_) | Self::Settling(Failure::Final(_)), _) => {}
            (Self::Settling(Failure::Passing) | Self::Noting, Failure::Passing) => {}
            _ => *self = Self::Settling(failure),
        }
    }
}
