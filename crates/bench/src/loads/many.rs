//! `many`: a thousand partitions of which a few hold most of the data.

use super::CopyLoad;

pub(super) fn many() -> CopyLoad {
    CopyLoad {
        name: "many",
        about: "a thousand partitions, of which ten hold two thirds; records of 1 KiB in batches of up to 16 KiB",
        partitions: 1000,
        records: 1_000_000,
        record_bytes: 1024,
        batch_records: 15,
        skew: 1.3,
        codec: "none",
    }
}
