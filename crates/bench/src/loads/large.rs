//! `large`: records near the largest that brokers take unasked.

use super::CopyLoad;

pub(super) fn large() -> CopyLoad {
    CopyLoad {
        name: "large",
        about: "records of 900 KiB of random bytes, each a batch",
        partitions: 4,
        records: 2_300,
        record_bytes: 900 << 10,
        batch_records: 1,
        skew: 0.0,
        codec: "none",
    }
}
