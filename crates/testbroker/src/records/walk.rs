//! Walks the records of an uncompressed payload without copying.

use std::ops::Range;

use crate::records::varint;

/// One record, as positions into the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordView {
    /// The whole record, its length field included.
    pub(crate) span: Range<usize>,
    /// Everything behind the timestamp delta: offset delta, key, value, headers.
    pub(crate) after_timestamp: Range<usize>,
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i64,
    pub(crate) key: Option<Range<usize>>,
    pub(crate) has_value: bool,
}

/// The payload is not a sequence of whole records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads all records; `Err` at the first byte that does not belong to a well-formed record.
pub(crate) fn walk(payload: &[u8]) -> impl Iterator<Item = Result<RecordView, Malformed>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= payload.len() {
            return None;
        }
        let record = read_record(payload, at).ok_or(Malformed);
        at = record.as_ref().map_or(payload.len(), |record| record.span.end);
        Some(record)
    })
}

fn read_record(payload: &[u8], start: usize) -> Option<RecordView> {
    let (length, rest) = varint::read(payload.get(start..)?)?;
    let body = payload.len() - rest.len();
    let end = body.checked_add(usize::try_from(length).ok()?)?;
    let mut cursor = Cursor { bytes: payload.get(..end)?, at: body };
    cursor.skip(1)?;
    let timestamp_delta = cursor.number()?;
    let after_timestamp = cursor.at..end;
    let offset_delta = cursor.number()?;
    let key = cursor.bytes()?;
    let value = cursor.bytes()?;
    for _ in 0..u32::try_from(cursor.number()?).ok()? {
        cursor.bytes()?.as_ref()?;
        cursor.bytes()?;
    }
    (cursor.at == end).then_some(RecordView {
        span: start..end,
        after_timestamp,
        timestamp_delta,
        offset_delta,
        key,
        has_value: value.is_some(),
    })
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn number(&mut self) -> Option<i64> {
        let (value, rest) = varint::read(self.bytes.get(self.at..)?)?;
        self.at = self.bytes.len() - rest.len();
        Some(value)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    /// A nullable byte string: outer `None` means malformed, inner `None` means null (−1).
    fn bytes(&mut self) -> Option<Option<Range<usize>>> {
        let length = self.number()?;
        if length == -1 {
            return Some(None);
        }
        let start = self.at;
        self.skip(usize::try_from(length).ok()?)?;
        Some(Some(start..self.at))
    }
}
