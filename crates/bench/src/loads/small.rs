//! `small-1` and `small-12`: small records in small batches, where headers and requests are the work.

use super::CopyLoad;

pub(super) fn one() -> CopyLoad {
    CopyLoad {
        name: "small-1",
        about: "records of 100 B in batches of 13",
        partitions: 1,
        records: 2_000_000,
        record_bytes: 100,
        batch_records: 13,
        skew: 0.0,
        codec: "none",
    }
}

pub(super) fn twelve() -> CopyLoad {
    CopyLoad { name: "small-12", partitions: 12, ..one() }
}
