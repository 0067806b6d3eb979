//! Every API but Fetch and Produce: encoded and decoded by the `kafka-protocol` crate, behind a guard.

mod guard;

use crate::frame::Frame;
use bytes::Bytes;
use guard::GuardedBytes;
use kafka_protocol::protocol::{Decodable, HeaderVersion, Message, Request};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use kafka_protocol::messages::*;
pub use kafka_protocol::protocol::StrBytes;

/// A message could not be written or read in its version.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The request has a field that this version cannot carry.
    #[error("API key {api_key} cannot be encoded in version {version}")]
    Encode {
        /// The API.
        api_key: i16,
        /// The version.
        version: i16,
        /// What the encoder said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The frame is not an answer of this API and version.
    #[error("malformed answer to API key {api_key} version {version}")]
    Decode {
        /// The API.
        api_key: i16,
        /// The version.
        version: i16,
        /// What the decoder said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The decoder panicked: a defect of it that this frame brought to light.
    #[error("the decoder of API key {api_key} version {version} gave up on an answer of {frame_bytes} bytes")]
    Panic {
        /// The API.
        api_key: i16,
        /// The version.
        version: i16,
        /// Size of the frame.
        frame_bytes: usize,
    },
}

/// The newest version both sides speak, given the broker's range.
pub(crate) fn newest_version<R: Request>(broker: std::ops::RangeInclusive<i16>) -> Option<i16> {
    let version = R::VERSIONS.max.min(*broker.end());
    (version >= R::VERSIONS.min && version >= *broker.start()).then_some(version)
}

/// Encodes `request` in `version`.
pub(crate) fn encode<R: Request>(request: &R, version: i16, client_id: &str) -> Result<Frame, MessageError> {
    let is_flexible = R::header_version(version) >= 2;
    let mut frame = Frame::request(R::KEY, version, client_id, is_flexible);
    request.encode(frame.body(), version).map_err(|source| MessageError::Encode {
        api_key: R::KEY,
        version,
        source: source.into(),
    })?;
    Ok(frame)
}

/// Decodes the answer to an `R` sent in `version`, from the bytes after the correlation id.
pub(crate) fn decode<R: Request>(answer: &Bytes, version: i16) -> Result<R::Response, MessageError> {
    decode_message::<R::Response>(R::KEY, answer, version)
}

fn decode_message<M: Message + Decodable + HeaderVersion>(
    api_key: i16,
    answer: &Bytes,
    version: i16,
) -> Result<M, MessageError> {
    let has_header_tags = M::header_version(version) >= 1;
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let mut bytes = GuardedBytes::new(answer.clone(), has_header_tags);
        if has_header_tags {
            bytes.skip_tags()?;
        }
        M::decode(&mut bytes, version)
    }));
    match decoded {
        Ok(Ok(message)) => Ok(message),
        Ok(Err(source)) => Err(MessageError::Decode { api_key, version, source: source.into() }),
        Err(_) => Err(MessageError::Panic { api_key, version, frame_bytes: answer.len() }),
    }
}

/// Decodes an ApiVersions answer, whose header never has tags (KIP-511).
pub(crate) fn decode_api_versions(answer: &Bytes, version: i16) -> Result<ApiVersionsResponse, MessageError> {
    decode_message::<ApiVersionsResponse>(18, answer, version)
}

#[cfg(test)]
mod tests;
