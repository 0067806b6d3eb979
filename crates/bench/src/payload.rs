//! Text that compresses as events do, produced by Kafka's own performance tool.

use super::stage::Stage;
use std::fmt::Write;
use std::fs;
use xtask::command::Failure;

/// Different records; the tool draws from them. More than fit into one batch by far.
const LINES: usize = 20_000;
const WORDS: [&str; 32] = [
    "order",
    "payment",
    "shipment",
    "customer",
    "address",
    "invoice",
    "refund",
    "basket",
    "created",
    "paid",
    "sent",
    "returned",
    "cancelled",
    "north",
    "south",
    "east",
    "west",
    "express",
    "standard",
    "priority",
    "mobile",
    "desktop",
    "tablet",
    "partner",
    "retail",
    "wholesale",
    "gift",
    "voucher",
    "discount",
    "warehouse",
    "courier",
    "delivered",
];

/// Fills `topic` with `records` records of `record_bytes` bytes, compressed with `codec`.
pub(super) fn produce(
    stage: &Stage,
    topic: &str,
    records: u64,
    record_bytes: usize,
    codec: &str,
) -> Result<(), Failure> {
    let path = stage.nursery.directory().join("payload");
    fs::write(&path, lines(record_bytes)).map_err(Failure::while_doing("write the payload"))?;
    let brokers = format!("bootstrap.servers={}", stage.source.bootstrap());
    let (path, records) = (path.display().to_string(), records.to_string());
    let codec = format!("compression.type={codec}");
    stage.source.cluster.tool(
        "org.apache.kafka.tools.ProducerPerformance",
        &[
            "--topic",
            topic,
            "--num-records",
            &records,
            "--payload-file",
            &path,
            "--throughput",
            "-1",
            "--producer-props",
            &brokers,
            &codec,
            "acks=all",
            "batch.size=65536",
            "linger.ms=50",
        ],
    )?;
    Ok(())
}

/// Lines of exactly `bytes` bytes: names that repeat, numbers that do not.
fn lines(bytes: usize) -> String {
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut text = String::with_capacity(LINES * (bytes + 1));
    for _ in 0..LINES {
        let begin = text.len();
        let _ = write!(text, "{{\"id\":\"{:016x}\",\"customer\":{},\"events\":[", next(), next() % 1_000_000);
        while text.len() - begin < bytes {
            let word = |number: u64| WORDS[usize::try_from(number % 32).unwrap_or(0)];
            let (first, second) = (word(next()), word(next()));
            let _ = write!(text, "{{\"kind\":\"{first}-{second}\",\"cents\":{},", next() % 100_000);
            let _ = write!(text, "\"trace\":\"{:08x}\"}},", next() & 0xffff_ffff);
        }
        text.truncate(begin + bytes);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_as_long_as_asked_for() {
        let text = super::lines(1024);
        assert!(text.lines().all(|line| line.len() == 1024));
        assert_eq!(text.lines().count(), super::LINES);
    }
}
