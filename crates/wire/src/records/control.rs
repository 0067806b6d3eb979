//! Control batches: what ends a transaction, seen by no consumer. The kind stands in the record's key.

use bytes::{Buf, Bytes};
use thiserror::Error;

use super::record::{RecordError, Records};
use super::walk::Batch;

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// The transaction is aborted (type 0).
    Abort,
    /// The transaction is committed (type 1).
    Commit,
    /// Anything else, such as the records of a KRaft metadata log.
    Other(i16),
}

/// A control record: the one record of a control batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlRecord {
    /// Version of the key's schema; later versions keep the type in the same place.
    pub version: i16,
    /// What it says.
    pub kind: ControlKind,
}

impl ControlRecord {
    /// Reads the payload of a control batch (never compressed) with `records_count` as in its header.
    ///
    /// `None` when the batch is empty: compaction took the marker away and kept the header for the producer state.
    pub fn parse(payload: Bytes, records_count: i32) -> Result<Option<Self>, ControlError> {
        let mut records = Records::new(payload, records_count);
        let Some(record) = records.next().transpose()? else {
            return Ok(None);
        };
        // To the end: the count has to be right, as for any batch.
        for further in records {
            further?;
        }
        let mut key = record.key.ok_or(ControlError::NoKey)?;
        let bytes = key.len();
        let (Ok(version), Ok(kind)) = (key.try_get_i16(), key.try_get_i16()) else {
            return Err(ControlError::ShortKey { bytes });
        };
        if version < 0 {
            return Err(ControlError::Version { version });
        }
        let kind = match kind {
            0 => ControlKind::Abort,
            1 => ControlKind::Commit,
            other => ControlKind::Other(other),
        };
        Ok(Some(Self { version, kind }))
    }
}

impl ControlRecord {
    /// What a whole control batch says; `None` when it is empty.
    pub fn kind_of(batch: &Batch) -> Result<Option<ControlKind>, ControlError> {
        Ok(Self::parse(batch.payload(), batch.header.records_count)?.map(|record| record.kind))
    }
}

/// Why a payload is not that of a control batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ControlError {
    /// The records cannot be read.
    #[error("control batch: {0}")]
    Record(#[from] RecordError),
    /// The record has no key.
    #[error("control batch: record 0 has no key")]
    NoKey,
    /// The record's key ends before the type.
    #[error("control batch: key of record 0 has {bytes} bytes, not 4")]
    ShortKey {
        /// Size of the key.
        bytes: usize,
    },
    /// The schema version is negative.
    #[error("control batch: key of record 0 has version {version}")]
    Version {
        /// The version.
        version: i16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::builder::{BatchBuilder, BatchOptions};
    use crate::records::header::HEADER_BYTES;
    use crate::records::record::Headers;

    fn payload(key: Option<&[u8]>) -> Bytes {
        let mut batch = BatchBuilder::new(BatchOptions::default());
        batch.push(0, key, Some(&[0, 0, 0, 0, 0, 0]), &Headers::none()).unwrap();
        batch.finish().unwrap().slice(HEADER_BYTES..)
    }

    fn parse(key: Option<&[u8]>) -> Result<Option<ControlRecord>, ControlError> {
        ControlRecord::parse(payload(key), 1)
    }

    #[test]
    fn the_key_says_how_the_transaction_ended() {
        let record = |version, kind| Ok(Some(ControlRecord { version, kind }));
        assert_eq!(parse(Some(&[0, 0, 0, 0])), record(0, ControlKind::Abort));
        assert_eq!(parse(Some(&[0, 0, 0, 1])), record(0, ControlKind::Commit));
        assert_eq!(parse(Some(&[0, 1, 0, 2, 9])), record(1, ControlKind::Other(2)));
    }

    #[test]
    fn a_batch_emptied_by_compaction_has_no_kind() {
        assert_eq!(ControlRecord::parse(Bytes::new(), 0), Ok(None));
    }

    #[test]
    fn a_malformed_marker_is_not_taken_for_a_commit() {
        assert_eq!(parse(None), Err(ControlError::NoKey));
        assert_eq!(parse(Some(&[0, 0, 0])), Err(ControlError::ShortKey { bytes: 3 }));
        assert_eq!(parse(Some(&[0xFF, 0xFF, 0, 1])), Err(ControlError::Version { version: -1 }));
        let counted_twice = ControlRecord::parse(payload(Some(&[0, 0, 0, 1])), 2);
        assert!(matches!(counted_twice, Err(ControlError::Record(RecordError::RecordsMissing { .. }))));
    }
}
