//! Settings of a flow.

use std::time::Duration;
use verbatim_wire::fetch::Isolation;

/// Settings of a flow. The defaults are the safe ones.
#[derive(Debug, Clone)]
pub struct FlowConfig {
    /// Name; the flow's state is kept in topic `verbatim.<name>` on the target. Default `default`.
    pub name: String,
    /// Which records are copied. Default: committed ones only.
    pub isolation: Isolation,
    /// Where a partition without a stored position starts. Default: its first record.
    pub start: Start,
    /// Bytes of fetched frames that may be held at once, over all partitions. Default 16 MiB.
    pub budget_bytes: usize,
    /// Bytes of records asked for in one fetch. Default 4 MiB.
    pub fetch_max_bytes: usize,
    /// Bytes of records asked for per partition in one fetch. Default 1 MiB.
    pub partition_max_bytes: usize,
    /// How long a source broker waits when there is nothing new. Default 500 ms.
    pub fetch_max_wait: Duration,
    /// Connections that produce to one target broker; each partition keeps to one. 1 to 255, default 2.
    pub lanes_per_broker: u8,
    /// Unanswered requests on one such connection. 1 to 64, default 5.
    pub requests_per_lane: usize,
    /// Bytes of batches in one Produce request; a larger batch travels alone. Default 2 MiB.
    pub produce_request_bytes: usize,
    /// How long a target broker may wait for its replicas. Default 10 s.
    pub produce_timeout: Duration,
    /// How often positions are saved on the target. Default 5 s.
    pub position_interval: Duration,
    /// First pause after a failure; it doubles with each. Default 50 ms.
    pub first_retry: Duration,
    /// Longest pause between attempts. Default 2 s.
    pub last_retry: Duration,
    /// How long a topic may be unknown to its cluster before its partitions stop. Default 30 s.
    pub missing_topic_patience: Duration,
    /// Largest size a repacked batch is unpacked to, in bytes. Default 64 MiB.
    pub repack_limit_bytes: usize,
}

/// Where a partition without a stored position starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the first record of the log.
    #[default]
    Earliest,
    /// After the last record present when the flow first sees the partition.
    Latest,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            isolation: Isolation::ReadCommitted,
            start: Start::Earliest,
            budget_bytes: 16 << 20,
            fetch_max_bytes: 4 << 20,
            partition_max_bytes: 1 << 20,
            fetch_max_wait: Duration::from_millis(500),
            lanes_per_broker: 2,
            requests_per_lane: 5,
            produce_request_bytes: 2 << 20,
            produce_timeout: Duration::from_secs(10),
            position_interval: Duration::from_secs(5),
            first_retry: Duration::from_millis(50),
            last_retry: Duration::from_secs(2),
            missing_topic_patience: Duration::from_secs(30),
            repack_limit_bytes: 64 << 20,
        }
    }
}
