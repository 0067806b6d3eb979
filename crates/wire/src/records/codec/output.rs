//! The bounded buffer that every codec decompresses into.

use std::io::{self, Write};

use super::CodecError;

/// Smallest growth, so that small payloads take one allocation.
const GROWTH_MIN_BYTES: usize = 4096;

/// Bytes decompressed so far. Neither length nor capacity ever exceeds the limit.
pub(super) struct Output {
    bytes: Vec<u8>,
    limit_bytes: usize,
    overflowed: bool,
}

impl Output {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { bytes: Vec::new(), limit_bytes, overflowed: false }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Bytes that may still come.
    pub(super) fn remaining_bytes(&self) -> usize {
        self.limit_bytes.saturating_sub(self.bytes.len())
    }

    pub(super) fn too_large(&self) -> CodecError {
        CodecError::TooLarge { limit_bytes: self.limit_bytes }
    }

    /// Whether a [`Write`] failed for want of room.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    pub(super) fn extend(&mut self, more: &[u8]) -> Result<(), CodecError> {
        self.make_room(more.len())?;
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// Appends what `fill` writes into a slice of `room_bytes`; it returns how much of it counts.
    pub(super) fn fill<E>(
        &mut self,
        room_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Result<(), E>, CodecError> {
        self.make_room(room_bytes)?;
        let start = self.bytes.len();
        self.bytes.resize(start.saturating_add(room_bytes), 0);
        let filled = fill(self.bytes.get_mut(start..).unwrap_or_default());
        self.bytes.truncate(start.saturating_add(*filled.as_ref().unwrap_or(&0)));
        Ok(filled.map(drop))
    }

    fn make_room(&mut self, more_bytes: usize) -> Result<(), CodecError> {
        if more_bytes > self.remaining_bytes() {
            return Err(self.too_large());
        }
        let needed = self.bytes.len().saturating_add(more_bytes);
        if needed > self.bytes.capacity() {
            let doubled = self.bytes.capacity().saturating_mul(2).max(GROWTH_MIN_BYTES);
            let capacity = needed.max(doubled.min(self.limit_bytes));
            self.bytes.reserve_exact(capacity.saturating_sub(self.bytes.len()));
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.extend(more).map_err(|_| {
            self.overflowed = true;
            io::Error::from(io::ErrorKind::OutOfMemory)
        })?;
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
