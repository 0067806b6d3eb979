//! A topic that Kafka's cleaner has been through.

use crate::TestResult;
use crate::java::{Mix, MixMode};
use crate::oracle::{Isolation, NewTopic, read_log};
use crate::scene::Scene;
use crate::verbatim::PATIENCE;
use crate::waiting::wait_until;
use crate::workload::{compacted, is_clean};

/// What Kafka compresses with.
pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// A topic on the source that the cleaner has been through: holes in batches and between them, and tombstones.
pub fn compact(scene: &Scene, topic: &str, partitions: u32, mode: MixMode) -> TestResult {
    let count = i32::try_from(partitions)?;
    scene.create(&compacted(NewTopic::new(topic, count)))?;
    for (seed, codec) in (1..).zip(CODECS) {
        let mix = Mix { codec, partitions, seed, mode, size_bytes: (500, 3_000), ..Mix::default() };
        let mix = Mix { records: Some(3_000), always_keyed: true, numbered: true, data: "random", ..mix };
        scene.programs.produce(&scene.source(), topic, &mix)?;
    }
    wait_until("the cleaner to be done", PATIENCE, || is_clean(scene.source_logs(), topic, count))?;
    let (mut inside, mut between, mut tombstones) = (0, 0, 0);
    for (partition, seen) in scene.programs.records(&scene.source(), topic, Isolation::Committed)? {
        tombstones += seen.iter().filter(|record| record.value_bytes.is_none()).count();
        let log = read_log(&scene.source(), topic, partition)?;
        inside += log.iter().filter(|batch| batch.count != batch.last_offset_delta + 1).count();
        between += log.windows(2).filter(|pair| pair[1].base_offset > pair[0].last_offset() + 1).count();
    }
    println!(
        "{topic}: {inside} batches with holes, {between} holes between batches, {tombstones} tombstones"
    );
    assert!(inside > 0 && between > 0 && tombstones > 0);
    Ok(())
}
