//! Do two topics show the same records? Judged by what Kafka's own consumer saw, record by record.
//!
//! For what the batches of two logs cannot tell: copies of compacted topics, whose batches are cut anew, and copies that keep
//! offsets. See [`oracle::Comparison`](crate::oracle::Comparison) for logs whose batches stay as they are.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write};

use crate::java::{SeenRecord, SeenTopic};

/// Examples of each kind of difference worth repeating in a message.
const EXAMPLES: usize = 5;

/// What of the target has to be as on the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Likeness {
    /// Whether each record has to be at the same offset, beside the same order.
    pub same_offsets: bool,
    /// What may be missing.
    pub compacted: Compacted,
}

/// Which of the two topics was compacted while it was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compacted {
    /// None: all is there on both sides.
    Neither,
    /// The target may also hold what the source has lost since, as long as a later record of the same key has followed.
    Source,
    /// And of what the source holds, the target may lack what a later record of the same key has superseded.
    Both,
}

impl Likeness {
    /// The same records in the same order.
    pub const RECORDS: Self = Self { same_offsets: false, compacted: Compacted::Neither };
    /// And each at the same offset.
    pub const OFFSETS: Self = Self { same_offsets: true, compacted: Compacted::Neither };

    /// The same, but for what compaction explains.
    pub fn compacted(self, compacted: Compacted) -> Self {
        Self { compacted, ..self }
    }
}

/// What was found in all partitions of a topic.
#[derive(Debug, Default)]
pub struct Found {
    /// Records of the source, all compared.
    pub records: u64,
    /// Of the source, and not on the target.
    pub lost: u64,
    /// Once more on the target than on the source.
    pub doubled: u64,
    /// On the target behind a record that comes later on the source.
    pub reordered: u64,
    /// Of the target, and never on the source: an aborted record, or one that compaction does not explain.
    pub foreign: u64,
    /// The same record with another content.
    pub changed: u64,
    /// The same record at another offset.
    pub moved: u64,
    /// Keys whose last record is another.
    pub stale_keys: u64,
    /// The first of each, in words.
    pub examples: String,
}

impl Found {
    /// Whether the target is what it has to be.
    pub fn is_equal(&self) -> bool {
        let Self { records: _, lost, doubled, reordered, foreign, changed, moved, stale_keys, examples: _ } =
            self;
        [lost, doubled, reordered, foreign, changed, moved, stale_keys].into_iter().all(|count| *count == 0)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, lost, doubled, reordered, foreign, changed, moved, stale_keys, examples } = self;
        write!(
            f,
            "{records} records: {lost} lost, {doubled} doubled, {reordered} reordered, {foreign} foreign, {changed} changed, {moved} \
             at other offsets, {stale_keys} keys with another last record{examples}"
        )
    }
}

/// Compares all partitions.
pub fn compare_seen(source: &SeenTopic, target: &SeenTopic, likeness: Likeness) -> Found {
    let mut found = Found::default();
    let partitions: HashSet<i32> = source.keys().chain(target.keys()).copied().collect();
    for partition in partitions {
        let of = |topic: &SeenTopic| topic.get(&partition).cloned().unwrap_or_default();
        found.compare(partition, &of(source), &of(target), likeness);
    }
    found
}

impl Found {
    fn compare(&mut self, partition: i32, source: &[SeenRecord], target: &[SeenRecord], likeness: Likeness) {
        self.records += source.len() as u64;
        let same = |(original, copy): (&SeenRecord, &SeenRecord)| {
            original.hash == copy.hash && (!likeness.same_offsets || original.offset == copy.offset)
        };
        if source.len() == target.len() && source.iter().zip(target).all(same) {
            return;
        }
        let compacted = likeness.compacted != Compacted::Neither;
        let mut places: HashMap<u128, Vec<usize>> = HashMap::new();
        for (place, original) in source.iter().enumerate() {
            places.entry(original.identity()).or_default().push(place);
        }
        let (source_last, target_last) = (last_of_keys(source), last_of_keys(target));
        let mut used: HashMap<u128, usize> = HashMap::new();
        let mut latest: Option<usize> = None;
        let mut numbers_before: HashMap<u128, u128> = HashMap::new();
        let mut gone = HashSet::new();
        for copy in target {
            let identity = copy.identity();
            let times = used.entry(identity).or_insert(0);
            *times += 1;
            let Some(there) = places.get(&identity) else {
                let is_superseded = copy.key.is_some_and(|key| source_last.contains_key(&key));
                if !(compacted && is_superseded) {
                    self.foreign += 1;
                    self.example(self.foreign, "foreign", partition, copy);
                } else if !gone.insert(identity) {
                    self.doubled += 1;
                    self.example(self.doubled, "doubled", partition, copy);
                } else if let Some(number) = copy.number {
                    self.ascends(partition, copy, number, &mut numbers_before);
                }
                continue;
            };
            let Some(place) = there.get(*times - 1).copied() else {
                self.doubled += 1;
                self.example(self.doubled, "doubled", partition, copy);
                continue;
            };
            let Some(original) = source.get(place) else { continue };
            if latest.is_some_and(|latest| place < latest) {
                self.reordered += 1;
                self.example(self.reordered, "reordered", partition, copy);
            } else if let Some(number) = copy.number {
                self.ascends(partition, copy, number, &mut numbers_before);
            }
            latest = Some(place);
            if original.hash != copy.hash {
                self.changed += 1;
                self.example(self.changed, "changed", partition, copy);
            }
            if likeness.same_offsets && original.offset != copy.offset {
                self.moved += 1;
                self.example(self.moved, &format!("moved from {}", original.offset), partition, copy);
            }
        }
        let mut seen: HashMap<u128, usize> = HashMap::new();
        for original in source {
            let times = seen.entry(original.identity()).or_insert(0);
            *times += 1;
            let is_last = original.key.is_none_or(|key| source_last.get(&key) == Some(&original.identity()));
            let may_be_gone = likeness.compacted == Compacted::Both && !is_last;
            if *times > used.get(&original.identity()).copied().unwrap_or(0) && !may_be_gone {
                self.lost += 1;
                self.example(self.lost, "lost", partition, original);
            }
        }
        if compacted {
            let stale =
                source_last.iter().filter(|(key, last)| target_last.get(key).is_some_and(|is| is != *last));
            self.stale_keys += stale.count() as u64;
        }
    }

    /// The numbers of a producer ascend in each partition, also where compaction has left no original to compare with.
    fn ascends(&mut self, partition: i32, copy: &SeenRecord, number: u128, before: &mut HashMap<u128, u128>) {
        if before.insert(number >> 64, number).is_some_and(|before| number < before) {
            self.reordered += 1;
            self.example(self.reordered, "reordered", partition, copy);
        }
    }

    fn example(&mut self, count: u64, what: &str, partition: i32, record: &SeenRecord) {
        if count <= EXAMPLES as u64 {
            let SeenRecord { offset, timestamp, number, key, .. } = record;
            let (key, number) = (key.unwrap_or(0), number.unwrap_or(0));
            let _ = write!(
                self.examples,
                "\n  {what}: partition {partition} offset {offset} timestamp {timestamp} key {key:x} number {number:x}"
            );
        }
    }
}

/// The identity of the last record of each key.
fn last_of_keys(records: &[SeenRecord]) -> HashMap<u64, u128> {
    records.iter().filter_map(|record| Some((record.key?, record.identity()))).collect()
}

#[cfg(test)]
mod tests;
