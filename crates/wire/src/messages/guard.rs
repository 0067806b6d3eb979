//! Bytes that refuse counts no frame could hold.
//!
//! The `kafka-protocol` decoder sizes vectors by counts as they come from the wire; a 14-byte answer can
//! ask for hundreds of gigabytes, and a failed allocation ends the process. This buffer stands between:
//! it sees every integer the decoder reads and fails the read where the value, taken as a count, exceeds
//! the bytes that are left.
//!
//! In flexible versions counts are varints, and nothing else of size is: the check is exact. In older
//! versions a count is a plain 32-bit integer like any other field, so only values past
//! [`PLAIN_COUNT_LIMIT`] are refused there.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::buf::{ByteBuf, NotEnoughBytesError};
use std::ops::Range;

/// Varints up to this pass whatever is left: tag numbers.
const VARINT_FLOOR: u64 = 4096;
/// Largest plain 32-bit integer accepted in versions whose counts are plain integers, unless as many bytes
/// follow. Bounds the decoder's worst reservation to a few hundred megabytes of untouched memory.
const PLAIN_COUNT_LIMIT: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct GuardedBytes {
    bytes: Bytes,
    counts_are_varints: bool,
    varint: u64,
    varint_shift: u32,
}

impl GuardedBytes {
    pub(super) fn new(bytes: Bytes, counts_are_varints: bool) -> Self {
        Self { bytes, counts_are_varints, varint: 0, varint_shift: 0 }
    }

    /// Skips the tagged fields of a response header.
    pub(super) fn skip_tags(&mut self) -> Result<(), NotEnoughBytesError> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let size = self.uvarint()?;
            self.try_get_bytes(usize::try_from(size).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }

    fn uvarint(&mut self) -> Result<u64, NotEnoughBytesError> {
        loop {
            let byte = self.try_get_u8().map_err(|_| NotEnoughBytesError)?;
            if byte < 0x80 {
                return Ok(std::mem::take(&mut self.varint));
            }
        }
    }

    fn refuse(&self) -> TryGetError {
        TryGetError { requested: usize::MAX, available: self.bytes.len() }
    }
}

impl Buf for GuardedBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }
    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }
    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    /// The decoder reads varints (and booleans) byte by byte through here.
    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.bytes.try_get_u8()?;
        if self.varint_shift == 0 {
            self.varint = 0;
        }
        self.varint |= u64::from(byte & 0x7F) << self.varint_shift;
        self.varint_shift = if byte < 0x80 || self.varint_shift >= 28 { 0 } else { self.varint_shift + 7 };
        if self.varint_shift == 0 && self.varint > VARINT_FLOOR.max(self.bytes.len() as u64 + 1) {
            return Err(self.refuse());
        }
        Ok(byte)
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let value = self.bytes.try_get_i32()?;
        let as_count = usize::try_from(value).unwrap_or(0);
        if !self.counts_are_varints && as_count > PLAIN_COUNT_LIMIT.max(self.bytes.len()) {
            return Err(self.refuse());
        }
        Ok(value)
    }
}

impl ByteBuf for GuardedBytes {
    fn peek_bytes(&mut self, range: Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }
    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.bytes.split_to(size)
    }
}
