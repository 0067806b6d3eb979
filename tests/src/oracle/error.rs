//! Why the oracle cannot say.

use std::fmt;
use std::io;

/// Why a question to a cluster has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A connection failed.
    Io {
        /// The broker.
        address: String,
        /// What failed.
        source: io::Error,
    },
    /// A broker refused.
    Broker {
        /// The request, by its Kafka name.
        request: &'static str,
        /// The topic.
        topic: String,
        /// The partition, or -1 where the request is about the topic.
        partition: i32,
        /// Kafka's error code.
        code: i16,
    },
    /// An answer or a log that breaks the format.
    Malformed {
        /// What was being read.
        what: &'static str,
        /// The offset of the batch, where there is one, else -1.
        offset: i64,
    },
    /// No data comes although there should be some.
    Stuck {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What was waited for.
        waiting_for: &'static str,
    },
}

impl Error {
    /// Kafka's error code, if a broker refused.
    pub fn code(&self) -> Option<i16> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub(super) fn malformed(what: &'static str) -> Self {
        Self::Malformed { what, offset: -1 }
    }

    /// Whether other metadata or a little patience may help: no leader, not the leader, not yet known, broker gone.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            // LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, COORDINATOR_*, UNKNOWN_TOPIC_OR_PARTITION, FENCED and
            // UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE, UNKNOWN_TOPIC_ID
            Self::Broker { code, .. } => matches!(code, 3 | 5 | 6 | 9 | 14 | 15 | 16 | 74 | 75 | 78 | 100),
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { address, source } => write!(f, "broker {address}: {source}"),
            Self::Broker { request, topic, partition, code } => {
                write!(f, "{request} for {topic}-{partition}: error {code}")
            }
            Self::Malformed { what, offset: -1 } => write!(f, "malformed {what}"),
            Self::Malformed { what, offset } => write!(f, "malformed {what} at offset {offset}"),
            Self::Stuck { topic, partition, waiting_for } => {
                write!(f, "{topic}-{partition}: no {waiting_for} in time")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
