//! Builds uncompressed batches for tests and for seeding a log. Not for compressed data.

use bytes::{BufMut, Bytes, BytesMut};
use verbatim_wire::records::header::{Attributes, BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};

use crate::log::batch::StoredBatch;
use crate::records::varint;

/// One record to be written: key, value, headers, and its distance from the batch's base timestamp.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Key; `None` is Kafka's null.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta_ms: i64,
}

impl Record {
    /// A record with key and value.
    pub fn new(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        Self { key: Some(copy(key)), value: Some(copy(value)), ..Self::default() }
    }

    /// A record without a key.
    pub fn keyless(value: impl AsRef<[u8]>) -> Self {
        Self { value: Some(copy(value)), ..Self::default() }
    }

    /// A tombstone: a key without a value.
    pub fn tombstone(key: impl AsRef<[u8]>) -> Self {
        Self { key: Some(copy(key)), ..Self::default() }
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> From<(K, V)> for Record {
    fn from((key, value): (K, V)) -> Self {
        Self::new(key, value)
    }
}

/// A batch of these records, offsets 0, 1, 2, ... as a producer would send it.
pub fn batch<R: Into<Record>>(records: impl IntoIterator<Item = R>) -> BatchBuilder {
    let records: Vec<Record> = records.into_iter().map(Into::into).collect();
    let mut payload = BytesMut::new();
    for (index, record) in records.iter().enumerate() {
        put_record(&mut payload, index as i64, record);
    }
    let latest = records.iter().map(|record| record.timestamp_delta_ms).max().unwrap_or(0);
    BatchBuilder::over(payload.freeze(), records.len() as i32, 0, latest)
}

/// A batch whose payload is taken as it is: for payloads that claim a codec, and for wrong ones.
pub fn opaque_batch(payload: Bytes, records_count: i32, codec: i16) -> BatchBuilder {
    BatchBuilder::over(payload, records_count, codec, 0)
}

/// Header fields of a batch under construction; [`BatchBuilder::build`] computes lengths and CRC.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    latest_delta_ms: i64,
    payload: Bytes,
}

impl BatchBuilder {
    /// Default time of the first record: 2023-11-14T22:13:20Z, where in-memory clusters start their clock.
    pub const DEFAULT_TIMESTAMP_MS: i64 = 1_700_000_000_000;

    fn over(payload: Bytes, records_count: i32, codec: i16, latest_delta_ms: i64) -> Self {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: (HEADER_BYTES - LOG_OVERHEAD_BYTES + payload.len()) as i32,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: Attributes(codec & Attributes::CODEC_MASK),
            last_offset_delta: records_count - 1,
            base_timestamp: Self::DEFAULT_TIMESTAMP_MS,
            max_timestamp: Self::DEFAULT_TIMESTAMP_MS + latest_delta_ms,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records_count,
        };
        Self { header, latest_delta_ms, payload }
    }

    /// Makes the batch idempotent.
    pub fn producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = producer_id;
        self.header.producer_epoch = producer_epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Sets the transactional bit.
    pub fn transactional(mut self) -> Self {
        self.header.attributes.0 |= Attributes::TRANSACTIONAL;
        self
    }

    /// Sets the time of the first record, in milliseconds since the epoch.
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.header.base_timestamp = timestamp_ms;
        self.header.max_timestamp = timestamp_ms + self.latest_delta_ms;
        self
    }

    /// Changes any header field, right or wrong, before the CRC is computed.
    pub fn header(mut self, change: impl FnOnce(&mut BatchHeader)) -> Self {
        change(&mut self.header);
        self
    }

    /// The finished batch: header and payload in one buffer, CRC right.
    pub fn build(self) -> Bytes {
        StoredBatch::sealed(self.header, self.payload).to_bytes()
    }
}

fn copy(bytes: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(bytes.as_ref())
}

fn put_record(out: &mut BytesMut, offset_delta: i64, record: &Record) {
    let mut body = BytesMut::new();
    body.put_i8(0);
    varint::write(&mut body, record.timestamp_delta_ms);
    varint::write(&mut body, offset_delta);
    put_nullable(&mut body, record.key.as_ref());
    put_nullable(&mut body, record.value.as_ref());
    varint::write(&mut body, record.headers.len() as i64);
    for (key, value) in &record.headers {
        put_nullable(&mut body, Some(key));
        put_nullable(&mut body, value.as_ref());
    }
    varint::write(out, body.len() as i64);
    out.put_slice(&body);
}

fn put_nullable(out: &mut BytesMut, bytes: Option<&Bytes>) {
    match bytes {
        None => varint::write(out, -1),
        Some(bytes) => {
            varint::write(out, bytes.len() as i64);
            out.put_slice(bytes);
        }
    }
}
