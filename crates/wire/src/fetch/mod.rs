//! Fetch (API key 1), versions 10 to 17: our own codec, because records must come out as slices of the frame.
//!
//! | version | since | what it adds here |
//! |---|---|---|
//! | 10 | 2.1 | zstd may be served |
//! | 11 | 2.3 | rack id, preferred read replica (KIP-392; we send no rack) |
//! | 12 | 2.7 | flexible; last fetched epoch in, diverging epoch out (KIP-595) |
//! | 13 | 3.1 | topics by id (KIP-516) |
//! | 15 | 3.5 | replica id only as a tagged field |
//! | 16 | 3.7 | new leader and its address on NOT_LEADER_OR_FOLLOWER (KIP-951) |
//! | 17 | 3.9 | nothing for clients |

mod answer;
mod request;
mod scan;
mod session;

pub(crate) use answer::TopicRef;
pub(crate) use request::encode_once;
pub(crate) use scan::{Scan, Step};

pub use answer::{AbortedTransaction, DivergingEpoch, FetchAnswer, FetchedPartition};
pub use request::{FetchLimits, Isolation, TopicIdentity};
pub use session::{FetchSession, FetchTarget, SessionError};

/// The API's number.
pub const API_KEY: i16 = 1;
/// Oldest version spoken.
pub const MIN_VERSION: i16 = 10;
/// Newest version spoken.
pub const MAX_VERSION: i16 = 17;

/// Flexible encoding (KIP-482) starts at version 12.
fn is_flexible(version: i16) -> bool {
    version >= 12
}

/// Whether topics are named by id in `version`.
pub fn uses_topic_ids(version: i16) -> bool {
    version >= 13
}

#[cfg(test)]
mod tests;
