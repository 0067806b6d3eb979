//! What happens to one request instead of, or after, its normal treatment.

use std::time::Duration;

use crate::error::ErrorCode;

/// Treatment of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// As usual; lets later rules decide.
    Pass,
    /// Refuse with this code, everywhere the response has room for one; nothing is applied.
    Error(ErrorCode),
    /// Refuse one partition of a Produce or Fetch request with this code; the others proceed.
    PartitionError {
        /// Topic name.
        topic: String,
        /// Partition index.
        partition: i32,
        /// The code.
        code: ErrorCode,
    },
    /// Wait, then proceed as usual.
    Delay(Duration),
    /// Close the connection; nothing is applied.
    Disconnect,
    /// Answer neither this request nor any later one on the connection, which stays open; nothing is applied.
    Silence,
    /// Apply the request, then treat its *answer* like this: "written, but the answer got lost".
    ApplyThen(Box<Control>),
    /// Answer with damage.
    Corrupt(Corruption),
}

/// Damage to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corruption {
    /// Fetch: inverts one byte in the middle of the first batch's payload. Other answers stay whole.
    Payload,
    /// Inverts the first byte of the correlation id.
    CorrelationId,
    /// Writes only this many bytes of the frame, its size field included, and closes the connection.
    CutAfter(usize),
}
