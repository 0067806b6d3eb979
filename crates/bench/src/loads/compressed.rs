//! `lz4` and `zstd`: text, compressed by Kafka's own producer.

use super::{CopyLoad, plain};

pub(super) fn lz4() -> CopyLoad {
    CopyLoad {
        name: "lz4",
        about: "records of 1 KiB of text, compressed with lz4 in batches of up to 64 KiB",
        codec: "lz4",
        ..plain::plain()
    }
}

pub(super) fn zstd() -> CopyLoad {
    CopyLoad {
        name: "zstd",
        about: "records of 1 KiB of text, compressed with zstd in batches of up to 64 KiB",
        codec: "zstd",
        ..plain::plain()
    }
}
