//! Cuts the records field of a Fetch answer into entries, without copying.
//!
//! A broker serves a byte range of its log: entries of any message format may follow one another, and the
//! last one may be cut anywhere, even inside its first 12 bytes (`FileRecords`, `LogSegment.read`). A cut
//! tail is normal: it is reported as [`Entry::Partial`] and must be fetched again, never forwarded.

use super::header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC_OFFSET};
use bytes::{Buf, Bytes};

/// Smallest value of the length field in any format (`LegacyRecord.RECORD_OVERHEAD_V0`).
const MIN_LENGTH: i32 = 14;

/// A whole record batch of format 2 and its header, a slice of the fetched frame.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The first 61 bytes, parsed.
    pub header: BatchHeader,
    /// All bytes of the batch, header included.
    pub bytes: Bytes,
}

impl Batch {
    /// The records as stored, compressed or not: what follows the header.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES.min(self.bytes.len())..)
    }
}

/// One step of the walk.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub struct Walker {
    rest: Bytes,
    position: usize,
}

impl Walker {
    /// Walks `records`, a slice of the fetched frame.
    pub fn new(records: Bytes) -> Self {
        Self { rest: records, position: 0 }
    }

    fn end(&mut self, last: Entry) -> Option<Entry> {
        self.rest.clear();
        Some(last)
    }
}

impl Iterator for Walker {
    type Item = Entry;

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
        if have < need {
            return self.end(Entry::Partial { have, need: Some(need) });
        }
        let bytes = self.rest.split_to(need);
        self.position += need;
        if magic < 2 {
            return Some(Entry::Legacy { magic, offset, bytes });
        }
        BatchHeader::parse(&bytes).map(|header| Entry::Batch(Batch { header, bytes }))
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
