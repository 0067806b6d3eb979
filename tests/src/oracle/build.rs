//! Builds uncompressed batches byte by byte, also those that no proper client would send.

use super::batch::{CRC_FROM, HEADER_BYTES, RawRecord};
use super::crc32c;
use super::primitives::{put_varint, put_varint_bytes};

/// A batch in the making. What is not set follows from the records, as a producer would have it.
#[derive(Debug, Clone, Default)]
pub struct BatchBuilder {
    records: Vec<RawRecord>,
    payload: Option<Vec<u8>>,
    base_offset: i64,
    attributes: i16,
    base_timestamp: Option<i64>,
    max_timestamp: Option<i64>,
    producer: Option<(i64, i16, i32)>,
    last_offset_delta: Option<i32>,
    count: Option<i32>,
}

impl BatchBuilder {
    /// An empty batch without a producer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record as it is, with its own offset delta: leave some out for holes.
    pub fn record(mut self, record: RawRecord) -> Self {
        self.records.push(record);
        self
    }

    /// Adds a record with key and value at the next offset delta, at time `timestamp` ms.
    pub fn key_value(self, timestamp: i64, key: &[u8], value: &[u8]) -> Self {
        let offset_delta = self.records.last().map_or(0, |record| record.offset_delta + 1);
        let (key, value) = (Some(key.to_vec()), Some(value.to_vec()));
        self.record(RawRecord { offset_delta, timestamp, key, value, headers: Vec::new() })
    }

    /// Takes these bytes for the payload, whatever the records say: something compressed, or something broken.
    pub fn payload(mut self, payload: Vec<u8>) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Sets the base offset; brokers accept only 0 from clients.
    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.base_offset = base_offset;
        self
    }

    /// Sets the attribute bits.
    pub fn attributes(mut self, attributes: i16) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets producer id, epoch and base sequence.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer = Some((id, epoch, base_sequence));
        self
    }

    /// Sets the base and the largest timestamp, in ms.
    pub fn timestamps(mut self, base: i64, max: i64) -> Self {
        self.base_timestamp = Some(base);
        self.max_timestamp = Some(max);
        self
    }

    /// Sets the last offset delta.
    pub fn last_offset_delta(mut self, last_offset_delta: i32) -> Self {
        self.last_offset_delta = Some(last_offset_delta);
        self
    }

    /// Sets the number of records.
    pub fn count(mut self, count: i32) -> Self {
        self.count = Some(count);
        self
    }

    /// The bytes of the batch, with a CRC that fits.
    pub fn build(&self) -> Vec<u8> {
        let first = self.records.first().map_or(-1, |record| record.timestamp);
        let base_timestamp = self.base_timestamp.unwrap_or(first);
        let largest = self.records.iter().map(|record| record.timestamp).max().unwrap_or(-1);
        let payload = match &self.payload {
            Some(payload) => payload.clone(),
            None => self.records.iter().flat_map(|record| record_bytes(record, base_timestamp)).collect(),
        };
        let last_delta = self.records.last().map_or(0, |record| record.offset_delta);
        let count = i32::try_from(self.records.len()).unwrap_or(i32::MAX);
        let (producer_id, producer_epoch, base_sequence) = self.producer.unwrap_or((-1, -1, -1));

        let mut covered = Vec::with_capacity(HEADER_BYTES + payload.len());
        covered.extend_from_slice(&self.attributes.to_be_bytes());
        covered.extend_from_slice(&self.last_offset_delta.unwrap_or(last_delta).to_be_bytes());
        covered.extend_from_slice(&base_timestamp.to_be_bytes());
        covered.extend_from_slice(&self.max_timestamp.unwrap_or(largest).to_be_bytes());
        covered.extend_from_slice(&producer_id.to_be_bytes());
        covered.extend_from_slice(&producer_epoch.to_be_bytes());
        covered.extend_from_slice(&base_sequence.to_be_bytes());
        covered.extend_from_slice(&self.count.unwrap_or(count).to_be_bytes());
        covered.extend_from_slice(&payload);

        let length = i32::try_from(covered.len() + CRC_FROM - 12).unwrap_or(i32::MAX);
        let mut batch = Vec::with_capacity(CRC_FROM + covered.len());
        batch.extend_from_slice(&self.base_offset.to_be_bytes());
        batch.extend_from_slice(&length.to_be_bytes());
        batch.extend_from_slice(&(-1i32).to_be_bytes());
        batch.push(2);
        batch.extend_from_slice(&crc32c(&covered).to_be_bytes());
        batch.extend_from_slice(&covered);
        batch
    }
}

fn record_bytes(record: &RawRecord, base_timestamp: i64) -> Vec<u8> {
    let mut body = vec![0];
    put_varint(&mut body, record.timestamp.wrapping_sub(base_timestamp));
    put_varint(&mut body, i64::from(record.offset_delta));
    put_varint_bytes(&mut body, record.key.as_deref());
    put_varint_bytes(&mut body, record.value.as_deref());
    put_varint(&mut body, i64::try_from(record.headers.len()).unwrap_or(i64::MAX));
    for (name, value) in &record.headers {
        put_varint_bytes(&mut body, Some(name));
        put_varint_bytes(&mut body, value.as_deref());
    }
    let mut bytes = Vec::new();
    put_varint(&mut bytes, i64::try_from(body.len()).unwrap_or(i64::MAX));
    bytes.extend_from_slice(&body);
    bytes
}
