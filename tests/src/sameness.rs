//! Whether two logs show readers the same records at the same offsets.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::collections::BTreeMap;

use verbatim_testbroker::TestCluster;

use crate::oracle::RawRecord;
use crate::scenario::{Stage, committed, log};

/// Records by offset: what a consumer of committed records sees.
pub fn seen(cluster: &TestCluster, topic: &str, partition: i32) -> BTreeMap<i64, RawRecord> {
    let start = cluster.log_start(topic, partition).unwrap();
    let batches = committed(&log(cluster, topic, partition));
    let records = batches.iter().filter(|batch| batch.last_offset() >= start).flat_map(|batch| {
        let at = |record: RawRecord| {
            let offset = batch.base_offset + i64::from(record.offset_delta);
            (offset, RawRecord { offset_delta: 0, ..record })
        };
        batch.records().unwrap().into_iter().map(at)
    });
    records.filter(|(offset, _)| *offset >= start).collect()
}

/// Both sides have the same records at the same offsets, begin and end alike, and nothing is visible on the target that a reader of
/// committed records does not see on the source.
pub fn assert_same(stage: &Stage, topic: &str) {
    for partition in 0..stage.source.partitions(topic).unwrap() as i32 {
        assert_same_partition(stage, topic, partition);
    }
}

/// The same of one partition.
pub fn assert_same_partition(stage: &Stage, topic: &str, partition: i32) {
    let (source, target) = (seen(&stage.source, topic, partition), seen(&stage.target, topic, partition));
    assert_eq!(source, target, "{topic}-{partition}");
    let uncommitted = log(&stage.target, topic, partition);
    assert!(uncommitted.iter().all(|batch| !batch.is_transactional() || batch.is_control()));
    let bounds = |cluster: &TestCluster| {
        (cluster.log_start(topic, partition).unwrap(), cluster.last_stable_offset(topic, partition).unwrap())
    };
    assert_eq!(bounds(&stage.source), bounds(&stage.target), "{topic}-{partition}: log start and end");
}
