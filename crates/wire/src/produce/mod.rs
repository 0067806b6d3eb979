//! Produce (API key 0), versions 7 to 13: our own codec, because payloads must go out from where they lie.
//!
//! | version | since | what it adds here |
//! |---|---|---|
//! | 7 | 2.1 | zstd may be sent |
//! | 8 | 2.4 | record errors and a message in the answer (KIP-467) |
//! | 9 | 2.8 | flexible |
//! | 10 | 3.7 | new leader on NOT_LEADER_OR_FOLLOWER (KIP-951) |
//! | 11, 12 | 3.8, 4.0 | transactions only |
//! | 13 | 4.1 | topics by id (KIP-516) |
//!
//! Kafka 4.0 advertises versions 0 to 2 and refuses them: the advertised minimum means nothing.

mod answer;
mod request;

pub use answer::{ProduceAnswer, ProducedPartition};
pub use request::{ProduceBatch, encode};

/// The API's number.
pub const API_KEY: i16 = 0;
/// Oldest version spoken.
pub const MIN_VERSION: i16 = 7;
/// Newest version spoken.
pub const MAX_VERSION: i16 = 13;

fn is_flexible(version: i16) -> bool {
    version >= 9
}

/// Whether topics are named by id in `version`.
pub fn uses_topic_ids(version: i16) -> bool {
    version >= 13
}

#[cfg(test)]
mod tests;
