//! What a contender is to do.

use std::path::PathBuf;

/// One topic to copy from one cluster to another.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// `host:port` of the source.
    pub(super) from: String,
    /// `host:port` of the target.
    pub(super) to: String,
    pub(super) topic: String,
    pub(super) partitions: u32,
    pub(super) records: u64,
    /// Keys and values of all records, not compressed.
    pub(super) payload_bytes: u64,
    /// Batches as they stand in the log.
    pub(super) log_bytes: u64,
    /// Kafka's name of the codec that the records are compressed with.
    pub(super) codec: &'static str,
    /// Both clusters speak TLS and this authority signed their certificates.
    pub(super) ca_file: Option<PathBuf>,
    /// Every byte is to pass through the contender's memory, as it does with TLS.
    pub(super) in_memory: bool,
    /// Goes on when all is copied, until it is ended.
    pub(super) follows: bool,
    /// The target topic is there before the contender starts.
    pub(super) target_exists: bool,
}
