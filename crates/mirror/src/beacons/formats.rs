//! The binary formats of MirrorMaker 2 (`Heartbeat`, `Checkpoint`, `OffsetSync` of `connect-mirror-client` and `connect-mirror`).
//!
//! Integers are big-endian; a string is its length in bytes, as INT16, and its bytes in UTF-8.

use bytes::{BufMut, Bytes, BytesMut};

/// Version that the values of heartbeats and checkpoints begin with.
const VERSION: i16 = 0;

fn put_string(buffer: &mut BytesMut, text: &str) {
    // Names of topics and groups are shorter; metadata was taken by a broker, at most 4096 bytes.
    let length = i16::try_from(text.len()).unwrap_or(0);
    buffer.put_i16(length);
    if length > 0 {
        buffer.put_slice(text.as_bytes());
    }
}

/// Key of a heartbeat.
pub(super) fn heartbeat_key(source: &str, target: &str) -> Bytes {
    let mut key = BytesMut::new();
    put_string(&mut key, source);
    put_string(&mut key, target);
    key.freeze()
}

/// Value of a heartbeat; the time in milliseconds since the epoch.
pub(super) fn heartbeat_value(timestamp: i64) -> Bytes {
    let mut value = BytesMut::new();
    value.put_i16(VERSION);
    value.put_i64(timestamp);
    value.freeze()
}

/// Key of a checkpoint; the topic as it is called on the target.
pub(super) fn checkpoint_key(group: &str, topic: &str, partition: i32) -> Bytes {
    let mut key = BytesMut::new();
    put_string(&mut key, group);
    put_string(&mut key, topic);
    key.put_i32(partition);
    key.freeze()
}

/// Value of a checkpoint: offsets on source and target, neither negative.
pub(super) fn checkpoint_value(upstream: i64, downstream: i64, metadata: &str) -> Bytes {
    let mut value = BytesMut::new();
    value.put_i16(VERSION);
    value.put_i64(upstream);
    value.put_i64(downstream);
    put_string(&mut value, metadata);
    value.freeze()
}

/// Key of an offset sync; the topic as it is called on the source.
pub(super) fn offset_sync_key(topic: &str, partition: i32) -> Bytes {
    let mut key = BytesMut::new();
    put_string(&mut key, topic);
    key.put_i32(partition);
    key.freeze()
}

/// Value of an offset sync: the record at `upstream` on the source is at `downstream` on the target.
pub(super) fn offset_sync_value(upstream: i64, downstream: i64) -> Bytes {
    let mut value = BytesMut::new();
    value.put_i64(upstream);
    value.put_i64(downstream);
    value.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    /// As MirrorMaker 2's own serializers write them.
    #[test]
    fn bytes_are_those_of_mirrormaker() {
        for (bytes, expected) in [
            (offset_sync_key("orders", 3), "00066f726465727300000003"),
            (offset_sync_value(1000, 900), "00000000000003e80000000000000384"),
            (checkpoint_key("billing", "A.orders", 3), "000762696c6c696e670008412e6f726465727300000003"),
            (checkpoint_value(1005, 901, ""), "000000000000000003ed00000000000003850000"),
            (checkpoint_value(1005, 901, "m1"), "000000000000000003ed000000000000038500026d31"),
            (
                checkpoint_key("gr\u{fc}n", "us-west.t\u{e9}l\u{e9}", 11),
                "00056772c3bc6e000e75732d776573742e74c3a96cc3a90000000b",
            ),
            (heartbeat_key("A", "B"), "000141000142"),
            (heartbeat_value(1_700_000_000_000), "00000000018bcfe56800"),
        ] {
            assert_eq!(hex(&bytes), expected);
        }
    }
}
