//! What has to be true when a schedule has been played, found out from the logs of both clusters alone.

use std::collections::{BTreeMap, HashMap};

use verbatim_pipeline::{Gap, OffsetMap};
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
    /// Batches may have become larger ones.
    pub(crate) is_merged: bool,
    pub(crate) map: &'a OffsetMap,
}

impl Copy<'_> {
    pub(crate) fn assert_right(&self) {
        if self.is_compacted {
            self.assert_compacted();
        } else if self.is_preserved {
            assert_same_partition(self.stage, TOPIC, self.partition);
        } else if self.is_merged {
            self.stage.assert_holds_records(TOPIC, self.partition);
        } else {
            let source = committed(&log(&self.stage.source, TOPIC, self.partition));
            self.stage.assert_holds(TOPIC, self.partition, &source);
        }
        self.assert_mapped();
    }

    /// The copy stopped at `offset`, with offsets preserved: what is before is there.
    pub(crate) fn assert_right_before(&self, offset: i64) {
        let (mut source, mut target) = self.records();
        let _ = (source.split_off(&offset), target.split_off(&offset));
        assert_eq!(source, target, "partition {} stopped at {offset}", self.partition);
    }

    /// The source's log was cut to offset `cut`, and the copy stopped at offset `position`, which it was not to do for nothing. Nothing was
    /// copied but what the source still has and what it has lost, in this order.
    pub(crate) fn assert_right_up_to_the_cut(&self, cut: i64, position: i64) {
        let (source, target) = self.records();
        let same =
            source.values().zip(target.values()).take_while(|(source, target)| source == target).count();
        let lost: Vec<_> = target.values().skip(same).collect();
        let found = lost.iter().find(|copy| source.values().any(|record| record == **copy));
        assert_eq!(found, None, "stopped, and records of partition {} are out of order", self.partition);
        assert!(
            !lost.is_empty() || position > cut,
            "partition {} stopped at {position}, cut to {cut}",
            self.partition
        );
    }

    /// The source's log was cut and the copy goes on behind what it lost.
    pub(crate) fn assert_right_around(&self, gap: &Gap) {
        let (source, target) = self.records();
        let before: Vec<_> = source.range(..gap.to).map(|(_, record)| record).collect();
        let after: Vec<_> = source.range(gap.to..).map(|(_, record)| record).collect();
        let begun: Vec<_> = target.values().take(before.len()).collect();
        let went_on: Vec<_> = target.range(gap.target..).map(|(_, record)| record).collect();
        assert_eq!(before, begun, "partition {} before {gap:?}", self.partition);
        assert_eq!(after, went_on, "partition {} after {gap:?}", self.partition);
        self.assert_mapped();
    }

    fn records(&self) -> (BTreeMap<i64, RawRecord>, BTreeMap<i64, RawRecord>) {
        let Stage { source, target, .. } = self.stage;
        (seen(source, TOPIC, self.partition), seen(target, TOPIC, self.partition))
    }

    /// Compaction takes records of either side after they were copied: what is on both is in order, what is not on the target has been
    /// replaced there by a newer record of its key, and both end up with the same last values.
    fn assert_compacted(&self) {
        let (source, target) = self.records();
        let (source, target): (Vec<_>, Vec<_>) = (source.values().collect(), target.values().collect());
        for records in [&source, &target] {
            let numbers: Vec<_> = records.iter().map(|record| number(record)).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "partition {}: {numbers:?}", self.partition);
        }
        let places: HashMap<_, _> =
            target.iter().enumerate().map(|(at, record)| (number(record), at)).collect();
        let last_of: HashMap<_, _> = target.iter().map(|record| (&record.key, number(record))).collect();
        for record in &source {
            let is_there = places.get(&number(record)).is_some_and(|at| target[*at] == *record);
            let is_replaced = last_of.get(&record.key).is_some_and(|last| *last > number(record));
            assert!(is_there || is_replaced, "partition {} lacks {:?}", self.partition, number(record));
        }
        let last = |records: &[&RawRecord]| -> BTreeMap<Option<Vec<u8>>, RawRecord> {
            records.iter().map(|record| (record.key.clone(), (*record).clone())).collect()
        };
        assert_eq!(last(&source), last(&target), "last values of partition {}", self.partition);
    }

    /// The map says of every record where it is, in both directions.
    fn assert_mapped(&self) {
        let (source, target) = self.records();
        for (offset, record) in &source {
            let at = self.map.target_of(*offset);
            let copy = at.and_then(|at| target.get(&at));
            if self.is_compacted && copy.is_none() {
                continue; // Replaced on the target; it was checked that it was.
            }
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

/// Batch and place of a record in the order they were written, from what it says of itself: `<partition>/<batch>/<place>`.
fn number(record: &RawRecord) -> (u64, u64) {
    let text = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
    let mut numbers = text.split('/').skip(1).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}
