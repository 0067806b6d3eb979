//! What has to be true when a schedule has been played, found out from the logs of both clusters alone.

use std::collections::BTreeMap;

use verbatim_pipeline::OffsetMap;
use verbatim_tests::oracle::RawRecord;
use verbatim_tests::sameness::{assert_same_partition, seen};
use verbatim_tests::scenario::{Stage, committed, log};

use super::TOPIC;

/// A partition and its copy.
pub(crate) struct Copy<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) partition: i32,
    pub(crate) is_preserved: bool,
    pub(crate) is_compacted: bool,
    pub(crate) map: &'a OffsetMap,
}

impl Copy<'_> {
    pub(crate) fn assert_right(&self) {
        if self.is_compacted {
            self.assert_nothing_missing();
        } else if self.is_preserved {
            assert_same_partition(self.stage, TOPIC, self.partition);
        } else {
            let source = committed(&log(&self.stage.source, TOPIC, self.partition));
            self.stage.assert_holds(TOPIC, self.partition, &source);
        }
        self.assert_mapped();
    }

    fn records(&self) -> (BTreeMap<i64, RawRecord>, BTreeMap<i64, RawRecord>) {
        let Stage { source, target, .. } = self.stage;
        (seen(source, TOPIC, self.partition), seen(target, TOPIC, self.partition))
    }

    /// Compaction takes records of the source after they were copied: the target has what is left, in order, and nothing newer of a key.
    fn assert_nothing_missing(&self) {
        let (source, target) = self.records();
        let mut held = target.values();
        for (offset, record) in &source {
            assert!(
                held.any(|copy| copy == record),
                "source offset {offset} of {} is missing",
                self.partition
            );
        }
        let last = |records: &BTreeMap<i64, RawRecord>| -> BTreeMap<Option<Vec<u8>>, RawRecord> {
            records.values().map(|record| (record.key.clone(), record.clone())).collect()
        };
        assert_eq!(last(&source), last(&target), "last values of partition {}", self.partition);
        let doubled = target.values().collect::<std::collections::HashSet<_>>().len() != target.len();
        assert!(!doubled, "records of partition {} are there twice", self.partition);
    }

    /// The map says of every record where it is, in both directions.
    fn assert_mapped(&self) {
        let (source, target) = self.records();
        for (offset, record) in &source {
            let at = self.map.target_of(*offset);
            let copy = at.and_then(|at| target.get(&at));
            assert_eq!(
                copy,
                Some(record),
                "source offset {offset} of {} is mapped to {at:?}",
                self.partition
            );
            assert_eq!(at.and_then(|at| self.map.source_of(at)), Some(*offset), "and back");
        }
    }
}
