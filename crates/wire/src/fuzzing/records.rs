//! The slow path: records, codecs, old messages.

use bytes::{BufMut, Bytes};

use crate::records::builder::{BatchBuilder, BatchOptions};
use crate::records::codec::{Codec, Lz4HeaderChecksum, compress, decompress_with};
use crate::records::control::ControlRecord;
use crate::records::header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};
use crate::records::legacy::{LegacyRecords, crc32, split_entry};
use crate::records::record::{Record, RecordError, Records, offset_deltas_are_dense_prefix};

/// Most bytes that a fuzzed payload may decompress to.
const OUTPUT_LIMIT_BYTES: usize = 1 << 18;
/// Most bytes compressed per input, to keep the executions per second up.
const COMPRESS_BYTES: usize = 1 << 12;

/// A batch header: what is read is written back the same.
pub fn batch_header(data: &[u8]) {
    let Some(header) = BatchHeader::parse(data) else {
        assert!(data.len() < HEADER_BYTES);
        return;
    };
    assert_eq!(Some(header.to_bytes().as_slice()), data.get(..HEADER_BYTES));
    assert!(header.batch_bytes().is_none_or(|bytes| bytes >= HEADER_BYTES));
    assert!(header.next_offset() >= header.last_offset());
}

/// Record count (one signed byte), then an uncompressed payload. What is read survives being written.
pub fn record_decoder(data: &[u8]) {
    let Some((&records_count, payload)) = data.split_first() else {
        return;
    };
    let records_count = i32::from(records_count.cast_signed());
    let payload = Bytes::copy_from_slice(payload);
    let _ = ControlRecord::parse(payload.clone(), records_count);
    let dense = offset_deltas_are_dense_prefix(&payload, records_count);
    let records: Result<Vec<Record>, RecordError> = Records::new(payload, records_count).collect();
    let Ok(records) = records else {
        return;
    };
    assert_eq!(records.len(), usize::try_from(records_count).unwrap_or(usize::MAX));
    assert_eq!(dense, Ok((0..).zip(&records).all(|(index, record)| record.offset_delta == index)));

    let mut batch = BatchBuilder::new(BatchOptions::default());
    for record in &records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        assert!(batch.push(record.timestamp_delta, key, value, &record.headers).is_ok());
    }
    if let Ok(batch) = batch.finish() {
        let header = BatchHeader::parse(&batch);
        let base_timestamp = header.map_or(0, |header| header.base_timestamp);
        let mut written = Records::new(batch.slice(HEADER_BYTES..), records_count);
        for record in &records {
            let again = written.next().and_then(Result::ok);
            assert!(again.is_some_and(|again| again.timestamp(base_timestamp) == record.timestamp_delta
                && again.key == record.key
                && again.value == record.value
                && again.headers == record.headers));
        }
        assert!(written.next().is_none());
    }
}

/// Codec and flags (one byte), then a compressed payload. The output limit holds, and compression is reversible.
pub fn decompress(data: &[u8]) {
    let Some((&selector, input)) = data.split_first() else {
        return;
    };
    let Ok(codec) = Codec::from_id(i16::from(selector & 7)) else {
        return;
    };
    let checksum = if selector & 8 == 0 { Lz4HeaderChecksum::Verified } else { Lz4HeaderChecksum::Ignored };
    let limit_bytes = if selector & 16 == 0 { OUTPUT_LIMIT_BYTES } else { usize::from(selector >> 5) };
    if let Ok(output) = decompress_with(codec, input, limit_bytes, checksum) {
        assert!(output.len() <= limit_bytes && output.capacity() <= limit_bytes.max(input.len()));
        // The limit is exact: what fits is not refused.
        assert!(decompress_with(codec, input, output.len(), checksum).is_ok_and(|again| again == output));
    }
    let plain = input.get(..COMPRESS_BYTES).unwrap_or(input);
    let again = compress(codec, plain)
        .and_then(|compressed| decompress_with(codec, &compressed, plain.len(), Lz4HeaderChecksum::Verified));
    assert!(again.is_ok_and(|again| again == plain));
}

/// How to make an entry of it (one byte), then message sets of the formats 0 and 1.
///
/// Bytes that happen to have the right CRC are not found by trying: the CRCs are put in.
pub fn legacy(data: &[u8]) {
    let Some((&selector, set)) = data.split_first() else {
        return;
    };
    let mut set = with_crcs(set);
    if selector & 1 != 0
        && let Ok(codec) = Codec::from_id(i16::from(selector >> 1 & 3))
        && let Ok(value) = compress(codec, &set)
    {
        let magic = selector >> 3 & 1;
        set = legacy_message(7, magic, codec.id() as u8 | selector >> 4 & 8, &value).into();
    }
    while let Ok(Some(entry)) = split_entry(&mut set) {
        let Ok(records) = LegacyRecords::new(&entry, OUTPUT_LIMIT_BYTES) else {
            continue;
        };
        for record in records.flatten() {
            let bytes = |field: &Option<Bytes>| field.as_ref().map_or(0, Bytes::len);
            assert!(bytes(&record.key) + bytes(&record.value) <= OUTPUT_LIMIT_BYTES.max(entry.len()));
        }
    }
}

/// An entry with a timestamp in format 1, no key, and `value`.
fn legacy_message(offset: i64, magic: u8, attributes: u8, value: &[u8]) -> Vec<u8> {
    let mut body = vec![magic, attributes];
    if magic == 1 {
        body.put_i64(1_500_000_000_000);
    }
    body.put_i32(-1);
    body.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
    body.put_slice(value);
    let mut entry = Vec::new();
    entry.put_i64(offset);
    entry.put_i32(i32::try_from(body.len() + 4).unwrap_or(i32::MAX));
    entry.put_u32(crc32(&body));
    entry.put_slice(&body);
    entry
}

/// The message set with each entry's CRC made right; unchanged from the first entry that is none.
fn with_crcs(set: &[u8]) -> Bytes {
    let mut rest = Bytes::copy_from_slice(set);
    let mut fixed = Vec::with_capacity(set.len());
    while let Ok(Some(entry)) = split_entry(&mut rest) {
        let (head, message) = entry.split_at_checked(LOG_OVERHEAD_BYTES).unwrap_or((&entry, &[]));
        fixed.put_slice(head);
        if let Some((_, body)) = message.split_at_checked(4) {
            fixed.put_u32(crc32(body));
            fixed.put_slice(body);
        } else {
            fixed.put_slice(message);
        }
    }
    fixed.put_slice(&rest);
    fixed.into()
}
