//! Going on where MirrorMaker 2 stopped.
//!
//! It notes its positions up to a minute late (`offset.flush.interval.ms`), so a note is where it was at least. Its offset syncs tell
//! a little more. What the target holds tells all: the records it ends with are looked for in the source, from the note on, and
//! copying begins behind them. Nothing is lost if they are not found: then copying begins behind the note, and what MirrorMaker 2 had
//! sent without noting is there twice.

mod look;
mod noted;
mod tail;

pub(crate) use look::take_over;
pub use look::{TakenPartition, Takeover, TakeoverError};
