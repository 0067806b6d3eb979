//! Why a connection ended or a call on it failed.

use crate::messages::MessageError;
use crate::transport::TransportError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A failure and the broker it concerns.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {cause}")]
pub struct ConnectionError {
    /// `host:port`.
    pub address: Arc<str>,
    /// What happened.
    #[source]
    pub cause: Cause,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No stream could be opened.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The stream failed.
    #[error("connection lost: {0}")]
    Io(#[source] io::Error),
    /// The broker closed the stream.
    #[error("the broker closed the connection{}", closed_hint(*.during))]
    Closed {
        /// API key of the oldest unanswered request.
        during: Option<i16>,
    },
    /// Opening took too long.
    #[error("no answer within {after:?}; is this a Kafka listener?")]
    OpenTimedOut {
        /// The limit.
        after: Duration,
    },
    /// An answer took too long; later answers cannot overtake it, so the connection is given up.
    #[error("no answer to API key {api_key} within {after:?}")]
    TimedOut {
        /// The API asked for.
        api_key: i16,
        /// The limit.
        after: Duration,
    },
    /// The peer speaks HTTP.
    #[error("this is an HTTP server, not a Kafka broker")]
    Http,
    /// The peer speaks TLS and we do not.
    #[error("this listener speaks TLS; put tls:// in front of the address")]
    TlsListener,
    /// An answer announced an impossible size.
    #[error("an answer of {bytes} bytes was announced (limit {limit}); is this a Kafka listener?")]
    FrameSize {
        /// As announced.
        bytes: i32,
        /// The largest accepted.
        limit: usize,
    },
    /// An answer to another request than the oldest one.
    #[error("answer number {received} came where number {expected:?} was due")]
    OutOfStep {
        /// Correlation id due, if any request was under way.
        expected: Option<i32>,
        /// Correlation id received.
        received: i32,
    },
    /// The broker does not offer an API in a version we speak.
    #[error(
        "the broker does not offer API key {api_key} in a version verbatim speaks (Apache Kafka 2.1 and later do)"
    )]
    Unsupported {
        /// The API.
        api_key: i16,
    },
    /// ApiVersions itself was refused.
    #[error("the broker refused to name its API versions (error {error_code})")]
    Handshake {
        /// Kafka error code.
        error_code: i16,
    },
    /// A message could not be encoded or decoded.
    #[error("{}", with_source(.0))]
    Message(#[source] MessageError),
    /// More requests than the queue holds.
    #[error("too many requests are waiting to be written")]
    QueueFull,
}

fn closed_hint(during: Option<i16>) -> &'static str {
    if during == Some(super::handshake::API_VERSIONS_KEY) {
        " on the first request; is this a Kafka listener, and does it want TLS (tls://) or SASL?"
    } else {
        ""
    }
}

fn with_source(error: &MessageError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
