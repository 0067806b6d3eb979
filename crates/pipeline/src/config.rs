//! Settings of a flow.

use crate::rate::RateLimit;
use std::collections::BTreeMap;
use std::time::Duration;
use verbatim_wire::fetch::Isolation;

/// Settings of a flow. The defaults are the safe ones.
#[derive(Debug, Clone)]
pub struct FlowConfig {
    /// Name; the flow's state is kept in topic `__verbatim.<name>` on the target. Default `default`.
    pub name: String,
    /// Which records are copied. Default: committed ones only.
    pub isolation: Isolation,
    /// Whether small batches become larger ones where a partition is behind. Default: no, bytes go on as they are.
    pub batching: Batching,
    /// Where a partition without a stored position starts, unless its topic says otherwise. Default: its first
    /// record.
    pub start: Start,
    /// What offsets records get on the target. Default: the source's where they can be had.
    pub offsets: Offsets,
    /// Whether others write to the target's partitions too: offsets are translated then. Default: no, and a record of somebody
    /// else stops the partition.
    pub shares_target: bool,
    /// Which records are copied, by where they came from. Default: all.
    pub forward: Forward,
    /// With [`Forward::Local`]: not those produced on the source, but those that flows have copied there and that were produced on
    /// the cluster of this id. Default: none.
    pub origin: Option<String>,
    /// The longest gap, in offsets, that [`Offsets::Auto`] fills before the first record of a partition. Default
    /// 100,000,000, which takes some ten seconds.
    pub leading_gap_limit: i64,
    /// What happens when the source's log has changed under us. Default: the partition stops.
    pub on_source_accident: OnSourceAccident,
    /// Whether records that the source has removed by retention are removed on the target too (DeleteRecords).
    /// Default: no, the target keeps its own retention.
    pub follow_retention: bool,
    /// Whether positions are also committed on the source as those of consumer group `verbatim.<name>`, for lag tools. They
    /// are never read back. Default: yes.
    pub commit_to_source: bool,
    /// Records older than this are only sent by the one instance that holds the flow's claim: brokers forget producers by the
    /// time of their records (`producer.id.expiration.ms`, one day unless changed), and with them what tells repeated
    /// batches. Default 6 hours.
    pub old_record_age: Duration,
    /// How fast the flow writes, in all: every one of these holds. Default: no limit.
    pub limits: Vec<RateLimit>,
    /// Bytes of fetched frames that may be held at once, over all partitions. Default 16 MiB.
    pub budget_bytes: usize,
    /// The same once a cluster that much is read from or written to has turned out to be far: what is on its way for a round trip has to be held. Default 64 MiB.
    pub far_budget_bytes: usize,
    /// Bytes of records asked for in one fetch. Default 1 MiB: more is not faster, and falls out of the processor's caches.
    pub fetch_max_bytes: usize,
    /// Bytes of records asked for per partition in one fetch. Default 1 MiB.
    pub partition_max_bytes: usize,
    /// Round trip from where on a cluster is far: then several ranges of a partition are fetched at once, and more requests of
    /// batches are under way, as far as `far_budget_bytes` goes. Default 5 ms.
    pub far_round_trip: Duration,
    /// Whether the payloads of large batches are left in the kernel (splice(2)), where both clusters are reached by TCP without
    /// TLS, on Linux. Default: yes.
    pub splice: bool,
    /// Whether the checksum of every batch is verified before it is sent. Without it a damaged one is found by the target, which
    /// verifies all, and then looked for at the source. Nothing is spliced then. Default: no.
    pub verify_source: bool,
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Start {
    /// At the first record of the log.
    #[default]
    Earliest,
    /// After the last record present when the flow first sees the partition.
    Latest,
    /// At the first record whose timestamp is not before this, in milliseconds since the epoch; after the last
    /// record if there is none.
    Timestamp(i64),
    /// At this offset.
    Offset(i64),
    /// At these offsets, by partition; the first record for a partition not named.
    Offsets(BTreeMap<i32, i64>),
}

/// What offsets records get on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offsets {
    /// The same as on the source: gaps are filled. A partition where that cannot be stops.
    Preserve,
    /// Whatever comes next on the target; the offset map says which.
    Translate,
    /// The same where it can be had, by partition: on a target partition that is empty, for topics that are not
    /// compacted, where the gap before the first record is not too long, and the target lets us fill gaps.
    #[default]
    Auto,
}

/// Whether batches go on as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Batching {
    /// Always, where the target takes them.
    #[default]
    Verbatim,
    /// Unless a partition is behind and its batches are small: then neighbours become one, with every record as it was, at its
    /// offset. Brokers take one batch of a partition per request, so small ones alone move slowly.
    Adaptive,
}

/// Which records are copied, by where they came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forward {
    /// All of them.
    #[default]
    Everything,
    /// Those that were produced on the source: none that a flow has copied there. Flows are known by the producer ids they
    /// register in their state topics before they use them.
    Local,
}

/// What happens when the source's log has changed under us: retention overtook the flow, the log was cut below what had
/// been copied, the topic was deleted and created again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnSourceAccident {
    /// The partition stops and says what was found.
    #[default]
    Stop,
    /// The target topic is deleted, created again and copied anew.
    Reseed,
    /// Copying goes on with what there is. The gap is kept with the flow's state and shown in its status.
    Continue,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            isolation: Isolation::ReadCommitted,
            batching: Batching::Verbatim,
            start: Start::Earliest,
            offsets: Offsets::Auto,
            shares_target: false,
            forward: Forward::Everything,
            origin: None,
            leading_gap_limit: 100_000_000,
            on_source_accident: OnSourceAccident::Stop,
            follow_retention: false,
            commit_to_source: true,
            old_record_age: Duration::from_secs(6 * 3600),
            limits: Vec::new(),
            budget_bytes: 16 << 20,
            far_budget_bytes: 64 << 20,
            fetch_max_bytes: 1 << 20,
            partition_max_bytes: 1 << 20,
            far_round_trip: Duration::from_millis(5),
            splice: true,
            verify_source: false,
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
