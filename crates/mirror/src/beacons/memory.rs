//! Checkpoints and offset syncs: only what has changed is written.

use super::formats;
use super::topic::{BeaconTopic, now_ms};
use crate::groups::Translated;
use bytes::Bytes;
use std::collections::HashMap;
use verbatim_pipeline::{OffsetsHeld, PartitionStatus};
use verbatim_wire::cluster::ClusterError;

/// Facts by their keys, as they were written last.
#[derive(Debug)]
struct Memory {
    topic: BeaconTopic,
    /// Upstream and downstream offsets.
    written: HashMap<Bytes, (i64, i64)>,
}

/// A fact to be written: key, value, upstream and downstream offset.
type Fact = (Bytes, Bytes, (i64, i64));

impl Memory {
    fn new(topic: BeaconTopic) -> Self {
        Self { topic, written: HashMap::new() }
    }

    async fn write(&mut self, facts: Vec<Fact>) -> Result<usize, ClusterError> {
        let records: Vec<(Bytes, Bytes)> =
            facts.iter().map(|(key, value, _)| (key.clone(), value.clone())).collect();
        if !records.is_empty() {
            self.topic.append(now_ms(), &records).await?;
        }
        self.written.extend(facts.into_iter().map(|(key, _, offsets)| (key, offsets)));
        Ok(records.len())
    }
}

/// Checkpoints of one flow (`MirrorCheckpointTask`): where groups of the source go on on the target.
#[derive(Debug)]
pub(crate) struct Checkpoints(Memory);

impl Checkpoints {
    pub(crate) fn new(topic: BeaconTopic) -> Self {
        Self(Memory::new(topic))
    }

    /// Writes those that moved; returns how many.
    ///
    /// # Errors
    /// When they could not be written.
    pub(crate) async fn write(&mut self, translated: &[Translated]) -> Result<usize, ClusterError> {
        let mut facts = Vec::new();
        for Translated { group, committed, topic, place } in translated {
            let Some(downstream) = place.offset() else { continue };
            let key = formats::checkpoint_key(group, topic, committed.partition);
            let upstream = committed.offset;
            if self.0.written.get(&key).is_none_or(|last| moved(*last, (upstream, downstream))) {
                let value = formats::checkpoint_value(upstream, downstream, &committed.metadata);
                facts.push((key, value, (upstream, downstream)));
            }
        }
        self.0.write(facts).await
    }
}

/// Whether a checkpoint is news: the group was taken back on the source, or has gone on on the target
/// (`MirrorCheckpointTask.checkpointIsMoreRecent`).
fn moved(last: (i64, i64), now: (i64, i64)) -> bool {
    now.0 < last.0 || now.1 > last.1
}

/// Offset syncs of one flow: pairs of offsets of the same record.
#[derive(Debug)]
pub(crate) struct OffsetSyncs(Memory);

impl OffsetSyncs {
    pub(crate) fn new(topic: BeaconTopic) -> Self {
        Self(Memory::new(topic))
    }

    /// Writes the last record of each partition that moved; returns how many.
    ///
    /// # Errors
    /// When they could not be written.
    pub(crate) async fn write(&mut self, partitions: &[PartitionStatus]) -> Result<usize, ClusterError> {
        let mut facts = Vec::new();
        for partition in partitions {
            let Some(offsets) = last_record(partition) else { continue };
            let key = formats::offset_sync_key(&partition.name.topic, partition.name.partition);
            if self.0.written.get(&key) != Some(&offsets) {
                let value = formats::offset_sync_value(offsets.0, offsets.1);
                facts.push((key, value, offsets));
            }
        }
        self.0.write(facts).await
    }
}

/// Offsets of the last record copied.
fn last_record(partition: &PartitionStatus) -> Option<(i64, i64)> {
    match partition.offsets {
        OffsetsHeld::Preserved => {
            let last = partition.position.target_offset - 1;
            (last >= 0).then_some((last, last))
        }
        OffsetsHeld::Translated => partition.last_record,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_news_when_it_goes_on_or_the_source_went_back() {
        for (now, expected) in
            [((10, 5), false), ((11, 5), false), ((11, 6), true), ((9, 4), true), ((10, 4), false)]
        {
            assert_eq!(moved((10, 5), now), expected, "{now:?}");
        }
    }
}
