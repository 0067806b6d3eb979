//! Kafka's error codes: their names, and what each means for a replicator.

use std::fmt;

/// A Kafka error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokerError(pub i16);

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// No error.
    None,
    /// Passing; the same request may succeed later.
    Retry,
    /// The leader or the topic is elsewhere or not there yet: ask for metadata, then retry.
    Refresh,
    /// The log and our sequence numbers disagree: look at the log, then go on.
    Sequence,
    /// Another producer epoch has taken over.
    Fenced,
    /// The offset is not in the log.
    OutOfRange,
    /// The batch does not match its checksum.
    Corrupt,
    /// The batch is larger than the topic or segment takes.
    TooLarge,
    /// We may not do that.
    Denied,
    /// Repeating the request cannot help.
    Fatal,
    /// The broker does not say what is wrong, or this table does not know the code: repeating the request may help, and if it does not
    /// for minutes, it will not.
    Unknown,
}

impl ErrorClass {
    /// Whether the same request may succeed later, by itself or at another broker.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Retry | Self::Refresh | Self::Unknown)
    }
}

use ErrorClass::{Corrupt, Denied, Fatal, Fenced, OutOfRange, Refresh, Retry, Sequence, TooLarge, Unknown};

/// One row per code (`org.apache.kafka.common.protocol.Errors`); only codes that are known to be final are.
const TABLE: &[(i16, &str, ErrorClass)] = &[
    (-1, "UNKNOWN_SERVER_ERROR", Unknown),
    (0, "NONE", ErrorClass::None),
    (1, "OFFSET_OUT_OF_RANGE", OutOfRange),
    (2, "CORRUPT_MESSAGE", Corrupt),
    (3, "UNKNOWN_TOPIC_OR_PARTITION", Refresh),
    (5, "LEADER_NOT_AVAILABLE", Refresh),
    (6, "NOT_LEADER_OR_FOLLOWER", Refresh),
    (7, "REQUEST_TIMED_OUT", Retry),
    (8, "BROKER_NOT_AVAILABLE", Refresh),
    (9, "REPLICA_NOT_AVAILABLE", Refresh),
    (10, "MESSAGE_TOO_LARGE", TooLarge),
    (12, "OFFSET_METADATA_TOO_LARGE", Fatal),
    (13, "NETWORK_EXCEPTION", Refresh),
    (14, "COORDINATOR_LOAD_IN_PROGRESS", Retry),
    (15, "COORDINATOR_NOT_AVAILABLE", Retry),
    (16, "NOT_COORDINATOR", Retry),
    (17, "INVALID_TOPIC_EXCEPTION", Fatal),
    (18, "RECORD_LIST_TOO_LARGE", TooLarge),
    (19, "NOT_ENOUGH_REPLICAS", Retry),
    (20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Retry),
    (21, "INVALID_REQUIRED_ACKS", Fatal),
    (22, "ILLEGAL_GENERATION", Fatal),
    (24, "INVALID_GROUP_ID", Fatal),
    (25, "UNKNOWN_MEMBER_ID", Fatal),
    (27, "REBALANCE_IN_PROGRESS", Fatal),
    (29, "TOPIC_AUTHORIZATION_FAILED", Denied),
    (30, "GROUP_AUTHORIZATION_FAILED", Denied),
    (31, "CLUSTER_AUTHORIZATION_FAILED", Denied),
    (32, "INVALID_TIMESTAMP", Fatal),
    (35, "UNSUPPORTED_VERSION", Fatal),
    (36, "TOPIC_ALREADY_EXISTS", Fatal),
    (37, "INVALID_PARTITIONS", Fatal),
    (38, "INVALID_REPLICATION_FACTOR", Fatal),
    (39, "INVALID_REPLICA_ASSIGNMENT", Fatal),
    (40, "INVALID_CONFIG", Fatal),
    (41, "NOT_CONTROLLER", Refresh),
    (42, "INVALID_REQUEST", Fatal),
    (43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Fatal),
    (44, "POLICY_VIOLATION", Fatal),
    (45, "OUT_OF_ORDER_SEQUENCE_NUMBER", Sequence),
    (46, "DUPLICATE_SEQUENCE_NUMBER", Sequence),
    (47, "INVALID_PRODUCER_EPOCH", Fenced),
    (48, "INVALID_TXN_STATE", Fatal),
    (49, "INVALID_PRODUCER_ID_MAPPING", Fatal),
    (50, "INVALID_TRANSACTION_TIMEOUT", Fatal),
    (51, "CONCURRENT_TRANSACTIONS", Retry),
    (52, "TRANSACTION_COORDINATOR_FENCED", Fenced),
    (53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Denied),
    (54, "SECURITY_DISABLED", Fatal),
    (55, "OPERATION_NOT_ATTEMPTED", Retry),
    (56, "KAFKA_STORAGE_ERROR", Refresh),
    (58, "SASL_AUTHENTICATION_FAILED", Denied),
    (59, "UNKNOWN_PRODUCER_ID", Sequence),
    (60, "REASSIGNMENT_IN_PROGRESS", Retry),
    (69, "GROUP_ID_NOT_FOUND", Fatal),
    (70, "FETCH_SESSION_ID_NOT_FOUND", Retry),
    (71, "INVALID_FETCH_SESSION_EPOCH", Retry),
    (72, "LISTENER_NOT_FOUND", Refresh),
    (73, "TOPIC_DELETION_DISABLED", Fatal),
    (74, "FENCED_LEADER_EPOCH", Refresh),
    (75, "UNKNOWN_LEADER_EPOCH", Refresh),
    (76, "UNSUPPORTED_COMPRESSION_TYPE", Fatal),
    (78, "OFFSET_NOT_AVAILABLE", Retry),
    (82, "FENCED_INSTANCE_ID", Fatal),
    (83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", Refresh),
    (87, "INVALID_RECORD", Fatal),
    (88, "UNSTABLE_OFFSET_COMMIT", Retry),
    (89, "THROTTLING_QUOTA_EXCEEDED", Retry),
    (90, "PRODUCER_FENCED", Fenced),
    (95, "INCONSISTENT_VOTER_SET", Fatal),
    (100, "UNKNOWN_TOPIC_ID", Refresh),
    (103, "INCONSISTENT_TOPIC_ID", Refresh),
    (106, "FETCH_SESSION_TOPIC_ID_ERROR", Retry),
    (120, "TRANSACTION_ABORTABLE", Fatal),
];

impl BrokerError {
    /// No error.
    pub const NONE: Self = Self(0);
    /// The offset is below the log's start or above its end.
    pub const OFFSET_OUT_OF_RANGE: Self = Self(1);
    /// The batch does not match its checksum, or is no batch.
    pub const CORRUPT_MESSAGE: Self = Self(2);
    /// The topic is not there, or not yet.
    pub const UNKNOWN_TOPIC_OR_PARTITION: Self = Self(3);
    /// A commit while the group has members.
    pub const UNKNOWN_MEMBER_ID: Self = Self(25);
    /// Neither CLUSTER_ACTION nor ALTER on the cluster.
    pub const CLUSTER_AUTHORIZATION_FAILED: Self = Self(31);
    /// No leader, for now.
    pub const LEADER_NOT_AVAILABLE: Self = Self(5);
    /// Creating what exists.
    pub const TOPIC_ALREADY_EXISTS: Self = Self(36);
    /// A config that the broker does not know, or does not take.
    pub const INVALID_CONFIG: Self = Self(40);
    /// Deleting records where `cleanup.policy` does not contain `delete`.
    pub const POLICY_VIOLATION: Self = Self(44);
    /// A marker of an older producer epoch.
    pub const INVALID_PRODUCER_EPOCH: Self = Self(47);
    /// A marker of an older coordinator epoch.
    pub const TRANSACTION_COORDINATOR_FENCED: Self = Self(52);
    /// Another partition of the request was refused, so nothing was tried with this one.
    pub const OPERATION_NOT_ATTEMPTED: Self = Self(55);
    /// A newer leader epoch has begun than the one we named.
    pub const FENCED_LEADER_EPOCH: Self = Self(74);
    /// The broker has not heard of the leader epoch we named.
    pub const UNKNOWN_LEADER_EPOCH: Self = Self(75);
    /// The offset is in the leader's log, but not replicated yet.
    pub const OFFSET_NOT_AVAILABLE: Self = Self(78);

    fn row(self) -> Option<&'static (i16, &'static str, ErrorClass)> {
        TABLE.iter().find(|(code, ..)| *code == self.0)
    }

    /// What to do about it.
    pub fn class(self) -> ErrorClass {
        self.row().map_or(Unknown, |(_, _, class)| *class)
    }

    /// Whether the coordinator is loading, unknown or elsewhere: find it again, repeat the request.
    pub(super) fn is_about_coordinator(self) -> bool {
        matches!(self.0, 14..=16)
    }

    /// `Err` with what was asked and of what, unless there is no error.
    pub(crate) fn check(
        self,
        request: &'static str,
        subject: impl fmt::Display,
        message: Option<String>,
    ) -> Result<(), super::ClusterError> {
        if self == Self::NONE {
            return Ok(());
        }
        Err(super::ClusterError::Refused { request, subject: subject.to_string(), code: self, message })
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.row().map_or("unlisted error", |(_, name, _)| name), self.0)
    }
}
