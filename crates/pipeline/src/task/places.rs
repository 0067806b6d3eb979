//! Which offset is where: what the handle and views ask for.

use super::FlowTask;
use crate::error::PartitionName;
use crate::partition::Partition;
use crate::positions::{OffsetMap, OffsetsHeld};
use crate::view::{self, ConsumerPosition, Place};
use std::collections::HashMap;

impl FlowTask {
    /// The offset map of a partition; `None` if it is not of this flow. With preserved offsets every offset is mapped to
    /// itself.
    pub(super) fn map(&self, name: &PartitionName) -> Option<OffsetMap> {
        let partition = self.of_topic(&name.topic).remove(&name.partition)?;
        if !partition.is_preserved() {
            return Some(partition.map.clone());
        }
        let mut map = OffsetMap::starting_at(0, 0);
        map.push(0, 0, partition.settled.target_offset);
        Some(map)
    }

    /// Where consumers go on, on the other side.
    pub(super) fn places(&self, positions: &[(PartitionName, ConsumerPosition)]) -> Vec<Place> {
        let mut topics: HashMap<&str, HashMap<i32, &Partition>> = HashMap::new();
        let mut places = Vec::with_capacity(positions.len());
        for (name, position) in positions {
            let of_topic = topics.entry(&name.topic).or_insert_with(|| self.of_topic(&name.topic));
            places.push(match of_topic.get(&name.partition) {
                None => Place::Unknown,
                Some(partition) => {
                    let is_preserved = partition.is_preserved();
                    let offsets = if is_preserved { OffsetsHeld::Preserved } else { OffsetsHeld::Translated };
                    view::place(*position, offsets, partition.settled.target_offset, &partition.map)
                }
            });
        }
        places
    }

    /// The partitions of a source topic by their numbers.
    fn of_topic(&self, source: &str) -> HashMap<i32, &Partition> {
        let numbers = self.routes.numbers(source).into_iter();
        let partitions = numbers.filter_map(|number| self.partitions.get(usize::try_from(number).ok()?));
        partitions.filter(|p| !p.is_forgotten).map(|p| (p.partition, p)).collect()
    }
}
