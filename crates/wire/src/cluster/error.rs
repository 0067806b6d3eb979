//! What can go wrong with a cluster as a whole.

use super::{BrokerError, ErrorClass};
use crate::connection::{Cause, ConnectionError};
use crate::transport::TlsConfigError;
use std::sync::Arc;

/// A request to a cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No address answered.
    #[error("cannot reach the cluster: {}", listed(.failures))]
    Unreachable {
        /// What each said.
        failures: Vec<Arc<ConnectionError>>,
    },
    /// A broker did not answer.
    #[error(transparent)]
    Connection(#[from] Arc<ConnectionError>),
    /// The trust settings cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// No broker of that id in the cluster's metadata.
    #[error("broker {node} is not in the cluster's metadata")]
    UnknownBroker {
        /// Broker id.
        node: i32,
    },
    /// A partition has no leader now.
    #[error("partition {partition} of topic {topic} has no leader now")]
    NoLeader {
        /// Topic.
        topic: Arc<str>,
        /// Partition.
        partition: i32,
    },
    /// A broker refused.
    #[error("{request} {subject}: {code}{}{}", explained(.message), hint(.request, *.code))]
    Refused {
        /// What was asked for, as a verb.
        request: &'static str,
        /// Of which topic, group or cluster.
        subject: String,
        /// The broker's error.
        code: BrokerError,
        /// The broker's explanation.
        message: Option<String>,
    },
    /// A broker left out part of an answer.
    #[error("the answer to {request} does not mention {subject}")]
    Missing {
        /// What was asked for, as a verb.
        request: &'static str,
        /// What is missing.
        subject: String,
    },
}

impl ClusterError {
    /// The broker's error code, if that is what it was.
    pub fn broker_error(&self) -> Option<BrokerError> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The number of the API the broker does not offer in a version we speak, if that is what it was. No retry
    /// will change it.
    pub fn unsupported_api(&self) -> Option<i16> {
        match self {
            Self::Connection(failure) => match failure.cause {
                Cause::Unsupported { api_key } => Some(api_key),
                _ => None,
            },
            _ => None,
        }
    }
}

fn listed(failures: &[Arc<ConnectionError>]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Which right to grant, where that is what is missing.
fn hint(request: &str, code: BrokerError) -> &'static str {
    if code.class() != ErrorClass::Denied {
        return "";
    }
    match request {
        "create topic" => "; grant CREATE on the topic or the cluster to verbatim's principal",
        "get a producer id from" => {
            "; grant WRITE on the target topics, or IDEMPOTENT_WRITE on the cluster, to verbatim's principal"
        }
        "write" => "; grant WRITE on the topic to verbatim's principal",
        "read" => "; grant READ on the topic to verbatim's principal",
        "describe configs of topic" => "; grant DESCRIBE_CONFIGS on the topic to verbatim's principal",
        "describe configs of broker" => "; grant DESCRIBE_CONFIGS on the cluster to verbatim's principal",
        "alter configs of topic" => "; grant ALTER_CONFIGS on the topic to verbatim's principal",
        "create partitions of topic" => "; grant ALTER on the topic to verbatim's principal",
        "describe the ACLs of" => "; grant DESCRIBE on the cluster to verbatim's principal",
        "create an ACL of topic" | "delete an ACL of topic" => {
            "; grant ALTER on the cluster to verbatim's principal"
        }
        "delete topic" => "; grant DELETE on the topic to verbatim's principal",
        "find the coordinator of group" | "commit offsets of group" => {
            "; grant READ on the group to verbatim's principal"
        }
        "fetch the offsets of group" => "; grant DESCRIBE on the group to verbatim's principal",
        "find the coordinator of transactional id"
        | "get a producer id for transactional id"
        | "end transaction of" => "; grant WRITE on the transactional id to verbatim's principal",
        "add to a transaction" => {
            "; grant WRITE on the topic and on the transactional id to verbatim's principal"
        }
        _ => "; grant DESCRIBE on the topic to verbatim's principal",
    }
}

fn explained(message: &Option<String>) -> String {
    let said = message.as_ref().filter(|message| !message.is_empty());
    said.map(|message| format!(": {}", message.trim_end_matches('.'))).unwrap_or_default()
}
