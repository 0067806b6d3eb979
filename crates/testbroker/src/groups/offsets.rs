//! Committed offsets of a group.

use crate::error::ErrorCode;

/// `offset.metadata.max.bytes`.
const METADATA_MAX_BYTES: usize = 4096;

/// One committed position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset. Kafka does not compare it with the log, nor do we.
    pub offset: i64,
    /// Leader epoch given by the client, −1 if none.
    pub leader_epoch: i32,
    /// Metadata string.
    pub metadata: String,
}

impl CommittedOffset {
    /// A position as a request brings it; `OFFSET_METADATA_TOO_LARGE` beyond 4096 bytes of metadata.
    pub(crate) fn new(offset: i64, leader_epoch: i32, metadata: Option<&str>) -> Result<Self, ErrorCode> {
        let metadata = metadata.unwrap_or_default();
        if metadata.len() > METADATA_MAX_BYTES {
            return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
        }
        Ok(Self { offset, leader_epoch, metadata: metadata.to_owned() })
    }
}
