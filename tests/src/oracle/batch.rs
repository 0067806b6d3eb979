//! One record batch of format 2, header taken apart, payload as it is.

use super::primitives::Rest;
use super::{Error, crc32c};

/// Bytes before the records.
pub(super) const HEADER_BYTES: usize = 61;
/// Base offset and batch length: what the length does not count.
const LENGTH_PREFIX_BYTES: usize = 12;
/// Where the bytes that the CRC covers begin.
pub(super) const CRC_FROM: usize = 21;

/// A record batch as it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBatch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Leader epoch under which it was appended.
    pub leader_epoch: i32,
    /// Offset of the last record, relative to the first.
    pub last_offset_delta: i32,
    /// Codec (bits 0 to 2), append time (3), transactional (4), control (5), delete horizon (6).
    pub attributes: i16,
    /// Time the record timestamps are relative to, in ms.
    pub base_timestamp: i64,
    /// Largest timestamp, in ms.
    pub max_timestamp: i64,
    /// The producer, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
    /// Whether the stored CRC fits.
    pub crc_ok: bool,
    /// Whether the transaction it belongs to was aborted; only known where the log was read with
    /// [`Isolation::Committed`](super::Isolation::Committed).
    pub aborted: bool,
    /// The records, compressed as they were.
    pub payload: Vec<u8>,
}

impl RawBatch {
    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The codec's number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub fn codec(&self) -> i16 {
        self.attributes & 0x07
    }

    /// Whether its timestamps are append times.
    pub fn is_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    /// Whether it is a commit or abort marker.
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    /// Whether it is an abort marker. A marker whose record was compacted away is none.
    pub fn is_abort_marker(&self) -> bool {
        self.is_control()
            && self.records().ok().and_then(|records| records.into_iter().next()?.key).is_some_and(|key| {
                // Key of a control record: version, type (0 abort, 1 commit).
                key.get(2..4) == Some(&[0, 0])
            })
    }

    /// The records of an uncompressed batch.
    pub fn records(&self) -> Result<Vec<RawRecord>, Error> {
        let broken = |_| Error::Malformed { what: "record", offset: self.base_offset };
        if self.codec() != 0 {
            return Err(Error::Malformed {
                what: "uncompressed batch: it is compressed",
                offset: self.base_offset,
            });
        }
        let mut rest = Rest::new(&self.payload, "record");
        let mut records = Vec::new();
        for _ in 0..self.count {
            records.push(RawRecord::parse(&mut rest, self.base_timestamp).map_err(broken)?);
        }
        if rest.is_empty() { Ok(records) } else { Err(broken(Error::malformed("record"))) }
    }
}

/// A record of an uncompressed batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RawRecord {
    /// Offset relative to the batch.
    pub offset_delta: i32,
    /// Timestamp in ms.
    pub timestamp: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in order; names are bytes, for nothing on the wire says they are UTF-8.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl RawRecord {
    fn parse(rest: &mut Rest<'_>, base_timestamp: i64) -> Result<Self, Error> {
        let length = rest.varint()?;
        let length = usize::try_from(length).map_err(|_| Error::malformed("record"))?;
        let mut rest = Rest::new(rest.take(length)?, "record");
        rest.int8()?;
        let timestamp = base_timestamp.wrapping_add(rest.varint()?);
        let offset_delta = i32::try_from(rest.varint()?).map_err(|_| Error::malformed("record"))?;
        let key = rest.varint_bytes()?.map(<[u8]>::to_vec);
        let value = rest.varint_bytes()?.map(<[u8]>::to_vec);
        let mut headers = Vec::new();
        for _ in 0..rest.varint()? {
            let name = rest.varint_bytes()?.ok_or(Error::malformed("header name"))?.to_vec();
            headers.push((name, rest.varint_bytes()?.map(<[u8]>::to_vec)));
        }
        if !rest.is_empty() {
            return Err(Error::malformed("record"));
        }
        Ok(Self { offset_delta, timestamp, key, value, headers })
    }
}

/// The whole batches in a fetched slice, in order; a cut tail is left out, as every client must.
pub fn parse_batches(mut slice: &[u8]) -> Result<Vec<RawBatch>, Error> {
    let mut batches = Vec::new();
    while let Some((batch, rest)) = parse_batch(slice)? {
        batches.push(batch);
        slice = rest;
    }
    Ok(batches)
}

/// The first batch of a slice and what follows it; `None` if it is not there in full.
fn parse_batch(slice: &[u8]) -> Result<Option<(RawBatch, &[u8])>, Error> {
    let mut prefix = Rest::new(slice, "batch");
    let (Ok(base_offset), Ok(length)) = (prefix.int64(), prefix.int32()) else { return Ok(None) };
    let malformed = |what| Error::Malformed { what, offset: base_offset };
    let length = usize::try_from(length).map_err(|_| malformed("batch length"))?;
    if slice.get(16).is_some_and(|magic| *magic != 2) {
        return Err(malformed("batch: its format is not 2"));
    }
    let Some((batch, rest)) = slice.split_at_checked(LENGTH_PREFIX_BYTES.saturating_add(length)) else {
        return Ok(None);
    };
    let (Some((header, payload)), Some(covered)) =
        (batch.split_at_checked(HEADER_BYTES), batch.get(CRC_FROM..))
    else {
        return Err(malformed("batch length"));
    };
    let mut header = Rest::new(header, "batch header");
    header.take(LENGTH_PREFIX_BYTES)?;
    let leader_epoch = header.int32()?;
    header.int8()?;
    let crc = header.int32()?.cast_unsigned();
    // Fields are read in the order they are written here, which is the order on the wire.
    let attributes = header.int16()?;
    let batch = RawBatch {
        base_offset,
        leader_epoch,
        attributes,
        last_offset_delta: header.int32()?,
        base_timestamp: header.int64()?,
        max_timestamp: header.int64()?,
        producer_id: header.int64()?,
        producer_epoch: header.int16()?,
        base_sequence: header.int32()?,
        count: header.int32()?,
        crc_ok: crc32c(covered) == crc,
        aborted: false,
        payload: payload.to_vec(),
    };
    Ok(Some((batch, rest)))
}

#[cfg(test)]
mod tests {
    use super::super::BatchBuilder;
    use super::*;

    #[test]
    fn what_is_built_is_read() {
        let header = |name: &[u8]| (name.to_vec(), Some(b"v".to_vec()));
        let record = RawRecord {
            offset_delta: 0,
            timestamp: 1_000,
            key: Some(b"k".to_vec()),
            value: None,
            headers: vec![header(b"same"), header(b"same"), header(b"\xff\xfe"), (b"null".to_vec(), None)],
        };
        let later = RawRecord { offset_delta: 1, timestamp: 3_000, ..record.clone() };
        let bytes = BatchBuilder::new()
            .record(record.clone())
            .record(later.clone())
            .producer(7, 3, 40)
            .base_offset(9)
            .build();
        let cut = &bytes[..bytes.len() - 1];
        let slice = [&bytes[..], cut].concat();
        let batches = parse_batches(&slice).unwrap();
        assert_eq!(batches.len(), 1, "the cut one does not count");
        let batch = &batches[0];
        assert!(batch.crc_ok);
        assert_eq!((batch.base_offset, batch.last_offset(), batch.count), (9, 10, 2));
        assert_eq!((batch.base_timestamp, batch.max_timestamp), (1_000, 3_000));
        assert_eq!((batch.producer_id, batch.producer_epoch, batch.base_sequence), (7, 3, 40));
        assert_eq!(batch.records().unwrap(), [record, later]);

        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(!parse_batches(&flipped).unwrap()[0].crc_ok);
        let mut old = bytes;
        old[16] = 1;
        assert!(parse_batches(&old).is_err());
    }
}
