//! What Kafka refuses in a batch that a producer sent.
//!
//! In Kafka's order: the request's own rules (`ProduceRequest.validateRecords`), the log's
//! (`UnifiedLog.analyzeAndValidateRecords`), then the records' (`LogValidator`). Uncompressed payloads are
//! walked record by record; compressed ones are taken at the header's word.

use bytes::Bytes;
use verbatim_wire::records::header::{Attributes, BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};

use crate::error::ErrorCode;
use crate::log::batch::StoredBatch;
use crate::records::walk;
use crate::topics::limits::{Limits, TimestampType};

/// Size up to which Kafka calls an entry corrupt rather than wrong: the smallest record of format 0.
const MIN_ENTRY_BYTES: i32 = 14;
/// First Produce version that may carry zstd.
const ZSTD_PRODUCE_VERSION: i16 = 7;
const ZSTD: i16 = 4;

/// A batch that passed the request's rules; everything that costs time has been computed.
#[derive(Debug, Clone)]
pub(crate) struct Examined {
    pub(crate) batch: StoredBatch,
    pub(crate) header: BatchHeader,
    crc_is_right: bool,
    records: Result<RecordFacts, ErrorCode>,
}

/// What a walk over the records found.
#[derive(Debug, Clone, Copy)]
struct RecordFacts {
    /// `None` for a compressed payload.
    max_timestamp: Option<i64>,
    first_timestamp: i64,
    keyless: bool,
}

/// The part that needs no topic and no lock: framing, CRC, records.
pub(crate) fn examine(records: Option<&Bytes>, produce_version: i16) -> Result<Examined, ErrorCode> {
    let records = records.ok_or(ErrorCode::INVALID_RECORD)?;
    let first = entry_bytes(records)?.ok_or(ErrorCode::INVALID_RECORD)?;
    let bytes = records.slice(..first);
    if bytes.len() < HEADER_BYTES {
        return Err(ErrorCode::CORRUPT_MESSAGE);
    }
    let (batch, header) = StoredBatch::split(&bytes).ok_or(ErrorCode::CORRUPT_MESSAGE)?;
    match header.magic {
        2 => {}
        0 | 1 => return Err(ErrorCode::INVALID_RECORD),
        _ => return Err(ErrorCode::CORRUPT_MESSAGE),
    }
    if header.attributes.codec() == ZSTD && produce_version < ZSTD_PRODUCE_VERSION {
        return Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    }
    // A second whole batch is refused; a cut one is dropped without a word, as Kafka does.
    if entry_bytes(&records.slice(first..))?.is_some() {
        return Err(ErrorCode::INVALID_RECORD);
    }
    let crc_is_right = batch.crc_is_right();
    let records = record_facts(&header, batch.payload());
    Ok(Examined { batch, header, crc_is_right, records })
}

impl Examined {
    /// The part that needs the topic's configuration. Returns the batch as it will be stored.
    pub(crate) fn validate(&self, limits: &Limits, now_ms: i64) -> Result<StoredBatch, ErrorCode> {
        let header = &self.header;
        if header.base_offset != 0 {
            return Err(ErrorCode::INVALID_RECORD);
        }
        if self.batch.bytes() > limits.max_message_bytes {
            return Err(ErrorCode::MESSAGE_TOO_LARGE);
        }
        if !self.crc_is_right {
            return Err(ErrorCode::CORRUPT_MESSAGE);
        }
        if header.attributes.codec() > ZSTD {
            return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
        }
        let counts_agree = header.last_offset_delta.checked_add(1) == Some(header.records_count);
        if header.records_count <= 0 || !counts_agree || header.attributes.is_control() {
            return Err(ErrorCode::INVALID_RECORD);
        }
        if header.producer_id >= 0 && header.base_sequence < 0 {
            return Err(ErrorCode::INVALID_RECORD);
        }
        let facts = self.records?;
        if limits.compacted && facts.keyless {
            return Err(ErrorCode::INVALID_RECORD);
        }
        if self.batch.bytes() > limits.segment_bytes {
            return Err(ErrorCode::RECORD_LIST_TOO_LARGE);
        }
        self.stamped(facts, limits, now_ms)
    }

    /// Checks the record times and applies the topic's timestamp type.
    fn stamped(&self, facts: RecordFacts, limits: &Limits, now_ms: i64) -> Result<StoredBatch, ErrorCode> {
        let mut header = self.header;
        let claims_append_time = header.attributes.is_log_append_time();
        let max_timestamp = match limits.timestamp_type {
            TimestampType::LogAppendTime if claims_append_time => return Err(ErrorCode::INVALID_TIMESTAMP),
            TimestampType::LogAppendTime => {
                header.attributes.0 |= Attributes::LOG_APPEND_TIME;
                now_ms
            }
            TimestampType::CreateTime => {
                let latest = facts.max_timestamp.unwrap_or(header.max_timestamp);
                let too_late = latest.saturating_sub(now_ms) > limits.timestamp_after_max_ms;
                let too_early = facts.first_timestamp != -1
                    && now_ms.saturating_sub(facts.first_timestamp) > limits.timestamp_before_max_ms;
                if too_late || too_early {
                    return Err(ErrorCode::INVALID_TIMESTAMP);
                }
                header.attributes.0 &= !Attributes::LOG_APPEND_TIME;
                latest
            }
        };
        if header.attributes == self.header.attributes && header.max_timestamp == max_timestamp {
            return Ok(self.batch.clone());
        }
        header.max_timestamp = max_timestamp;
        Ok(StoredBatch::sealed(header, self.batch.payload().clone()))
    }
}

/// Size of the first entry; `None` when it is cut or there is none; an error when it cannot be an entry.
fn entry_bytes(bytes: &Bytes) -> Result<Option<usize>, ErrorCode> {
    let Some(length) = bytes.get(8..12).and_then(|field| <[u8; 4]>::try_from(field).ok()) else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(length);
    if length < MIN_ENTRY_BYTES {
        return Err(ErrorCode::CORRUPT_MESSAGE);
    }
    let whole = LOG_OVERHEAD_BYTES + length as usize;
    Ok((bytes.len() >= whole).then_some(whole))
}

fn record_facts(header: &BatchHeader, payload: &[u8]) -> Result<RecordFacts, ErrorCode> {
    let mut facts =
        RecordFacts { max_timestamp: None, first_timestamp: header.base_timestamp, keyless: false };
    if header.attributes.codec() != 0 {
        return Ok(facts);
    }
    let mut count = 0i64;
    let mut latest = i64::MIN;
    let mut earliest = i64::MAX;
    for record in walk::walk(payload) {
        let record = record.map_err(|_| ErrorCode::INVALID_RECORD)?;
        count += 1;
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        latest = latest.max(timestamp);
        if timestamp != -1 {
            earliest = earliest.min(timestamp);
        }
        facts.keyless |= record.key.is_none();
    }
    if count != i64::from(header.records_count) {
        return Err(ErrorCode::INVALID_RECORD);
    }
    facts.max_timestamp = Some(latest);
    facts.first_timestamp = if earliest == i64::MAX { -1 } else { earliest };
    Ok(facts)
}
