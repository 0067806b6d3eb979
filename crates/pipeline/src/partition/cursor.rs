//! What is read next, where it goes and which sequence number it gets.

use super::Partition;
use crate::flow::inspect::{InspectedBatch, Verdict};
use crate::positions::Position;
use verbatim_wire::records::{BatchHeader, patch};

/// A partition's reading end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    /// Source offset to fetch from.
    pub(crate) offset: i64,
    /// Records below this source offset are not to be copied.
    pub(crate) keep_from: i64,
    /// Leader epoch of the last batch read, −1 for none.
    pub(crate) last_fetched_epoch: i32,
    /// Source offset up to where everything read is queued or left out, and the leader epoch there.
    pub(crate) passed: i64,
    pub(crate) passed_epoch: i32,
    /// Where the target will end when everything queued is there.
    pub(crate) target: i64,
    /// Sequence number of the next record forwarded.
    pub(crate) sequence: i32,
    /// Records that the target has already and that are passed over.
    pub(crate) records_to_pass: i64,
    /// The target's last batch, to be compared with the source batch it should be.
    pub(crate) landmark: Option<Landmark>,
}

/// The last batch of the target's log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Landmark(pub(crate) BatchHeader);

impl Cursor {
    pub(crate) fn at(settled: &Position) -> Self {
        Self {
            offset: settled.source_offset,
            keep_from: settled.source_offset,
            last_fetched_epoch: settled.leader_epoch,
            passed: settled.source_offset,
            passed_epoch: settled.leader_epoch,
            target: settled.target_offset,
            sequence: settled.sequence,
            records_to_pass: 0,
            landmark: None,
        }
    }

    /// Begins at source offset `offset`, which is not before where it is.
    pub(crate) fn read_from(&mut self, offset: i64) {
        if offset > self.offset {
            (self.offset, self.keep_from, self.passed) = (offset, offset, offset);
            self.last_fetched_epoch = -1;
        }
    }
}

impl Partition {
    /// With preserved offsets reading begins at the batch that the target ends with: whether it is the one there. After
    /// the first batch there is nothing to compare any more.
    pub(crate) fn agrees(&mut self, inspected: &InspectedBatch) -> bool {
        let Some(Landmark(copy)) = self.cursor.landmark.take() else { return true };
        let original = &inspected.batch.header;
        let is_before = inspected.verdict == Verdict::BeforeStart;
        let is_whole = original.magic == 2
            && !original.attributes.is_control()
            && i64::from(original.records_count) == i64::from(original.last_offset_delta) + 1;
        if !is_before || !is_whole || copy.attributes.is_control() {
            // A gap on one side, or a batch that compaction has thinned: offsets are all there is to compare.
            return true;
        }
        original.last_offset() != copy.last_offset() || patch::is_copy(original, &copy)
    }
}
