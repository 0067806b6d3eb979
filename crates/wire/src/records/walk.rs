//! Cuts the records field of a Fetch answer into entries, without copying.
//!
//! A broker serves a byte range of its log: entries of any message format may follow one another, and the
//! last one may be cut anywhere, even inside its first 12 bytes (`FileRecords`, `LogSegment.read`). A cut
//! tail is normal: it is reported as [`Entry::Partial`] and must be fetched again, never forwarded.

use super::header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC_OFFSET};
use crate::connection::BufferPool;
use crate::pipe::{Cut, Tail};
use bytes::{Buf, Bytes};
use std::io;
use std::sync::Arc;
use std::vec::IntoIter;

/// Smallest value of the length field in any format (`LegacyRecord.RECORD_OVERHEAD_V0`).
const MIN_LENGTH: i32 = 14;

/// A records field, of which the ends of some batches may have been left in the kernel.
#[derive(Debug, Default)]
pub struct Fetched {
    bytes: Bytes,
    cuts: Vec<Cut>,
}

impl Fetched {
    pub(crate) fn new(bytes: Bytes, cuts: Vec<Cut>) -> Self {
        Self { bytes, cuts }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes in memory.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of it, wherever they are.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.cuts.iter().map(|cut| cut.tail.len()).sum::<usize>()
    }
}

impl From<Bytes> for Fetched {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, cuts: Vec::new() }
    }
}

/// A whole record batch of format 2 and its header, a slice of the fetched frame.
#[derive(Debug)]
pub struct Batch {
    /// The first 61 bytes, parsed.
    pub header: BatchHeader,
    /// The bytes of the batch, header included: all but its tail.
    pub bytes: Bytes,
    /// The rest of them, where they were left in the kernel.
    pub tail: Option<Tail>,
}

impl Batch {
    /// The records as stored, compressed or not: what follows the header, but for the tail.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES.min(self.bytes.len())..)
    }

    /// Takes the tail into memory, a buffer of `pool`.
    ///
    /// # Errors
    /// Where the kernel does not give it, or it has been taken before.
    pub fn gather(&mut self, pool: &Arc<BufferPool>) -> io::Result<()> {
        let Some(tail) = self.tail.take() else { return Ok(()) };
        let mut piped = tail.take().ok_or(io::ErrorKind::UnexpectedEof)?;
        self.bytes = pool.build(self.bytes.len() + tail.len(), |out| {
            out.extend_from_slice(&self.bytes);
            piped.read_into(out)
        })?;
        Ok(())
    }
}

/// One step of the walk.
#[derive(Debug)]
pub enum Entry {
    /// A whole batch of format 2.
    Batch(Batch),
    /// A whole message (or compressed wrapper) of format 0 or 1.
    Legacy {
        /// 0 or 1.
        magic: i8,
        /// Offset field: of the message, or of the last one in a wrapper.
        offset: i64,
        /// All bytes of the entry.
        bytes: Bytes,
    },
    /// The rest is shorter than its entry: the end of what this answer has. Always the last step.
    Partial {
        /// Bytes present.
        have: usize,
        /// Bytes the entry needs, where enough is there to tell.
        need: Option<usize>,
    },
    /// The entry cannot be one: impossible length or unknown format. Always the last step.
    Malformed {
        /// Bytes into the records field.
        position: usize,
        /// The offset field of the entry.
        offset: i64,
        /// The length field of the entry.
        length: i32,
        /// The format number of the entry.
        magic: i8,
    },
}

/// Iterator over the entries of a records field.
#[derive(Debug)]
pub struct Walker {
    rest: Bytes,
    cuts: IntoIter<Cut>,
    /// Bytes walked, and how many of them were in memory.
    position: usize,
    here: usize,
}

impl Walker {
    /// Walks `records`, of a Fetch answer.
    pub fn new(records: impl Into<Fetched>) -> Self {
        let Fetched { bytes, cuts } = records.into();
        Self { rest: bytes, cuts: cuts.into_iter(), position: 0, here: 0 }
    }

    /// The tail of the next batch, which takes `need` bytes, and how many come before it.
    #[inline(never)]
    fn tail_of_next(&mut self, need: usize) -> Option<(usize, Tail)> {
        let before = |cut: &Cut| cut.at.saturating_sub(self.here);
        let is_its = |cut: &&Cut| before(cut) + cut.tail.len() == need;
        let before = self.cuts.as_slice().first().filter(is_its).map(before)?;
        self.cuts.next().map(|cut| (before, cut.tail))
    }

    fn end(&mut self, last: Entry) -> Option<Entry> {
        self.rest.clear();
        Some(last)
    }
}

impl Iterator for Walker {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        let have = self.rest.len();
        if have == 0 {
            return None;
        }
        if have <= MAGIC_OFFSET {
            return self.end(Entry::Partial { have, need: None });
        }
        let mut head = self.rest.as_ref();
        let offset = head.get_i64();
        let length = head.get_i32();
        head.advance(4);
        let magic = head.get_i8();

        let position = self.position;
        let malformed = Entry::Malformed { position, offset, length, magic };
        let Some(need) = entry_bytes(length) else { return self.end(malformed) };
        if !(0..=2).contains(&magic) || (magic == 2 && need < HEADER_BYTES) {
            return self.end(malformed);
        }
        let (here, tail) = match self.cuts.as_slice() {
            [] => (need, None),
            _ => self.tail_of_next(need).map_or((need, None), |(before, tail)| (before, Some(tail))),
        };
        if have < here {
            return self.end(Entry::Partial { have, need: Some(need) });
        }
        let bytes = self.rest.split_to(here);
        self.position += need;
        self.here += here;
        if magic < 2 {
            return Some(Entry::Legacy { magic, offset, bytes });
        }
        BatchHeader::parse(&bytes).map(|header| Entry::Batch(Batch { header, bytes, tail }))
    }
}

fn entry_bytes(length: i32) -> Option<usize> {
    if length < MIN_LENGTH {
        return None;
    }
    usize::try_from(length).ok()?.checked_add(LOG_OVERHEAD_BYTES)
}

#[cfg(test)]
mod tests;
