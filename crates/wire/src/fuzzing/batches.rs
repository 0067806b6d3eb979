//! The fast path: walking a fetched slice, patching headers.

use crate::records::crc::crc32c;
use crate::records::header::{BatchHeader, CRC_START, HEADER_BYTES};
use crate::records::patch::{ProducerStamp, crc_is_right, patched, sequence_after};
use crate::records::walk::{Entry, Walker};
use bytes::{Buf, Bytes};

/// A fetched slice: entries tile it from the start without a gap, the last one aside, and every cut of it
/// yields the same entries up to the cut.
pub fn batch_walker(data: &[u8]) {
    let slice = Bytes::copy_from_slice(data);
    let mut whole = Vec::new();
    let mut position = 0;
    let mut is_over = false;
    for entry in Walker::new(slice.clone()) {
        assert!(!is_over, "a cut or malformed entry ends the walk");
        match entry {
            Entry::Batch(batch) => {
                assert_eq!(Some(batch.bytes.len()), batch.header.batch_bytes());
                assert_eq!(Some(&batch.bytes[..]), data.get(position..position + batch.bytes.len()));
                position += batch.bytes.len();
                whole.push(position);
            }
            Entry::Legacy { magic, bytes, .. } => {
                assert!(magic == 0 || magic == 1);
                position += bytes.len();
                whole.push(position);
            }
            Entry::Partial { have, need } => {
                assert_eq!(position + have, data.len());
                assert!(need.is_none_or(|need| need > have));
                is_over = true;
            }
            Entry::Malformed { position: at, .. } => {
                assert_eq!(at, position);
                is_over = true;
            }
        }
    }
    assert!(is_over || position == data.len());
    let cut = slice.slice(..data.len() / 2);
    let seen =
        Walker::new(cut.clone()).filter(|entry| matches!(entry, Entry::Batch(_) | Entry::Legacy { .. }));
    assert_eq!(seen.count(), whole.iter().filter(|end| **end <= cut.len()).count());
}

/// A stamp (14 bytes), then a batch. The CRC moved by arithmetic errs exactly as the old one did, as a full
/// hash of both shows; where the old one was right, so is the new.
pub fn header_patch(data: &[u8]) {
    let mut stamp = data;
    let (Ok(producer_id), Ok(producer_epoch), Ok(base_sequence)) =
        (stamp.try_get_i64(), stamp.try_get_i16(), stamp.try_get_i32())
    else {
        return;
    };
    let (Some(mut old), Some(payload)) = (BatchHeader::parse(stamp), stamp.get(HEADER_BYTES..)) else {
        return;
    };
    // The length field says how far the CRC is moved: it has to be that of the batch.
    old.batch_length = i32::try_from(stamp.len() - 12).unwrap_or(i32::MAX);
    for make_right in [false, true] {
        if make_right {
            old.crc = hash(&old, payload);
        }
        let new = patched(&old, ProducerStamp { producer_id, producer_epoch, base_sequence });
        assert_eq!(
            old.crc ^ hash(&old, payload),
            new.crc ^ hash(&new, payload),
            "the same error before and after"
        );
        assert_eq!(crc_is_right(&old, payload), crc_is_right(&new, payload));
        assert_eq!((new.base_offset, new.partition_leader_epoch), (0, -1));
        assert_eq!(new.records_count, old.records_count);
    }
    let after = sequence_after(base_sequence & i32::MAX, old.records_count & i32::MAX);
    assert!(after >= 0);
}

fn hash(header: &BatchHeader, payload: &[u8]) -> u32 {
    let mut covered = header.to_bytes().to_vec();
    covered.extend_from_slice(payload);
    crc32c(covered.get(CRC_START..).unwrap_or_default())
}
