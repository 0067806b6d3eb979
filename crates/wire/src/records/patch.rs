//! A batch's new header for the target, its CRC updated without reading the payload.
//!
//! The CRC is updated by the difference of the two headers ([`super::crc`]), not recomputed. A batch that
//! was damaged before it reached us stays detectably damaged by the same error pattern, so the target
//! broker's own check covers the way from the source's disk to its own; recomputing would hide the damage.

use super::crc;
use super::header::{Attributes, BatchHeader, CRC_START, HEADER_BYTES};

/// Whose batch it becomes: the fields of the idempotent producer (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerStamp {
    /// From `InitProducerId`.
    pub producer_id: i64,
    /// Epoch of that id.
    pub producer_epoch: i16,
    /// Sequence number of the first record; 2³¹ − 1 is followed by 0.
    pub base_sequence: i32,
}

/// The header `header` becomes on its way to the target; the payload follows unchanged.
///
/// Base offset 0 and leader epoch −1, as brokers demand of a producer; of the attributes only the codec
/// is kept: the transactional bit would poison the whole request, the append-time bit is refused, the
/// delete horizon is the source cleaner's business.
pub fn patched(header: &BatchHeader, stamp: ProducerStamp) -> BatchHeader {
    let new = BatchHeader {
        base_offset: 0,
        partition_leader_epoch: -1,
        attributes: Attributes(header.attributes.codec()),
        producer_id: stamp.producer_id,
        producer_epoch: stamp.producer_epoch,
        base_sequence: stamp.base_sequence,
        ..*header
    };
    BatchHeader { crc: header.crc ^ crc_difference(header, &new), ..new }
}

/// Whether the batch `copy`, as a target holds it, can be what became of `original`: same size, counts, times and, by the
/// checksums, same payload. Neither payload is read. A batch whose records lost none to compaction only.
pub fn is_copy(original: &BatchHeader, copy: &BatchHeader) -> bool {
    // What a target rewrites, or we do, is taken from the copy; the rest has to be the same.
    let expected = BatchHeader {
        base_offset: copy.base_offset,
        partition_leader_epoch: copy.partition_leader_epoch,
        attributes: copy.attributes,
        max_timestamp: copy.max_timestamp,
        producer_id: copy.producer_id,
        producer_epoch: copy.producer_epoch,
        base_sequence: copy.base_sequence,
        crc: copy.crc,
        ..*original
    };
    expected == *copy
        && original.attributes.codec() == copy.attributes.codec()
        && original.crc ^ crc_difference(original, copy) == copy.crc
}

/// What to xor into the CRC of a batch when its header changes from `old` to `new` (same size).
fn crc_difference(old: &BatchHeader, new: &BatchHeader) -> u32 {
    let mut difference = [0; HEADER_BYTES - CRC_START];
    let (old_bytes, new_bytes) = (old.to_bytes(), new.to_bytes());
    let covered = old_bytes.iter().zip(&new_bytes).skip(CRC_START);
    for (byte, (a, b)) in difference.iter_mut().zip(covered) {
        *byte = a ^ b;
    }
    let payload_bytes = old.batch_bytes().unwrap_or(HEADER_BYTES) - HEADER_BYTES;
    crc::shift(crc::linear(&difference), u32::try_from(payload_bytes).unwrap_or(0))
}

/// Whether the stored CRC is that of `header` followed by `payload`. Reads every byte: for blame, and for
/// batches that are opened anyway.
pub fn crc_is_right(header: &BatchHeader, payload: &[u8]) -> bool {
    crc::of_batch(header, payload) == header.crc
}

/// The sequence number `records` after `sequence` (`DefaultRecordBatch.incrementSequence`).
pub fn sequence_after(sequence: i32, records: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(records);
    i32::try_from(sum & i64::from(i32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn sealed(mut header: BatchHeader, payload: &[u8]) -> BatchHeader {
        header.batch_length = i32::try_from(payload.len() + HEADER_BYTES - 12).unwrap();
        let mut covered = header.to_bytes()[CRC_START..].to_vec();
        covered.extend(payload);
        header.crc = crc::crc32c(&covered);
        header
    }

    proptest! {
        #[test]
        fn the_shifted_crc_is_the_recomputed_one(
            head in proptest::array::uniform::<_, HEADER_BYTES>(any::<u8>()),
            payload in proptest::collection::vec(any::<u8>(), 0..3000),
            producer_id: i64, producer_epoch: i16, base_sequence: i32, flip: Option<(prop::sample::Index, u8)>,
        ) {
            let old = sealed(BatchHeader::parse(&head).unwrap(), &payload);
            let new = patched(&old, ProducerStamp { producer_id, producer_epoch, base_sequence });
            prop_assert_eq!(sealed(new, &payload).crc, new.crc);
            prop_assert!(crc_is_right(&new, &payload));
            prop_assert_eq!((new.base_offset, new.partition_leader_epoch, new.attributes.0 & !7), (0, -1, 0));
            if let Some((at, bits)) = flip && !payload.is_empty() && bits != 0 {
                let mut damaged = Bytes::from(payload).to_vec();
                let at = at.index(damaged.len());
                damaged[at] ^= bits;
                prop_assert!(!crc_is_right(&new, &damaged), "damage before the patch must show after it");
            }
        }
    }

    #[test]
    fn a_copy_is_told_from_another_batch_by_headers_alone() {
        let header = BatchHeader::parse(&[3; HEADER_BYTES]).unwrap();
        let original = sealed(header, b"payload");
        let stamp = ProducerStamp { producer_id: 7, producer_epoch: 1, base_sequence: 9 };
        let copy = patched(&original, stamp);
        let stored = BatchHeader { base_offset: 900, partition_leader_epoch: 4, ..copy };
        assert!(is_copy(&original, &stored));
        assert!(!is_copy(&sealed(header, b"paYload"), &stored));
        assert!(!is_copy(&sealed(header, b"payload."), &stored));
        let later = BatchHeader { base_timestamp: header.base_timestamp + 1, ..header };
        assert!(!is_copy(&sealed(later, b"payload"), &stored));
    }

    #[test]
    fn sequences_wrap_as_kafka_wraps_them() {
        assert_eq!(sequence_after(0, 5), 5);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 4), 2);
    }
}
