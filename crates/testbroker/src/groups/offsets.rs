//! Committed offsets of a group.

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
