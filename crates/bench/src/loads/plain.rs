//! `plain`: bytes, nothing else.

use super::CopyLoad;

pub(super) fn plain() -> CopyLoad {
    CopyLoad {
        name: "plain",
        about: "records of 1 KiB of random bytes in batches of 64 KiB",
        partitions: 4,
        records: 2_000_000,
        record_bytes: 1024,
        batch_records: 63,
        skew: 0.0,
        codec: "none",
    }
}
