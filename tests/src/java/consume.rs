//! `ConsumeAll`: Kafka's own consumer, from the start of a topic to its end.

use std::collections::BTreeMap;

use super::{Error, Programs};
use crate::oracle::Isolation;

/// What a consumer saw of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedPartition {
    /// Number of records.
    pub records: u64,
    /// SHA-256 over timestamp, timestamp type, key, value and headers of all records in order; offsets are not in it.
    pub sha256: String,
    /// Offset of the first record, -1 if there was none.
    pub first_offset: i64,
    /// Offset of the last record, -1 if there was none.
    pub last_offset: i64,
}

/// What a consumer saw of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consumed {
    /// By partition.
    pub partitions: BTreeMap<i32, ConsumedPartition>,
}

impl Consumed {
    /// Records in all partitions.
    pub fn records(&self) -> u64 {
        self.partitions.values().map(|partition| partition.records).sum()
    }

    /// The hash of each partition: equal where an application sees the same records in the same order, whatever their offsets.
    pub fn hashes(&self) -> BTreeMap<i32, &str> {
        self.partitions.iter().map(|(number, partition)| (*number, partition.sha256.as_str())).collect()
    }

    fn parse(printed: &str) -> Result<Self, Error> {
        let mut consumed = Self::default();
        for line in printed.lines() {
            let unexpected = || Error::Output(line.to_owned());
            let words: Vec<&str> = line.split(' ').collect();
            let [
                "partition",
                partition,
                "records",
                records,
                "sha256",
                sha256,
                "first-offset",
                first,
                "last-offset",
                last,
            ] = words.as_slice()
            else {
                return Err(unexpected());
            };
            let found = ConsumedPartition {
                records: records.parse().map_err(|_| unexpected())?,
                sha256: (*sha256).to_owned(),
                first_offset: first.parse().map_err(|_| unexpected())?,
                last_offset: last.parse().map_err(|_| unexpected())?,
            };
            consumed.partitions.insert(partition.parse().map_err(|_| unexpected())?, found);
        }
        Ok(consumed)
    }
}

impl Programs {
    /// Reads a topic to its present end.
    pub fn consume(&self, bootstrap: &str, topic: &str, isolation: Isolation) -> Result<Consumed, Error> {
        self.consume_with(bootstrap, topic, isolation, &[])
    }

    /// The same with further client settings.
    pub fn consume_with(
        &self,
        bootstrap: &str,
        topic: &str,
        isolation: Isolation,
        client: &[(&str, &str)],
    ) -> Result<Consumed, Error> {
        Consumed::parse(&self.print_topic(bootstrap, topic, isolation, client, &[])?)
    }

    pub(super) fn print_topic(
        &self,
        bootstrap: &str,
        topic: &str,
        isolation: Isolation,
        client: &[(&str, &str)],
        flags: &[&str],
    ) -> Result<String, Error> {
        let level = match isolation {
            Isolation::Uncommitted => "read_uncommitted",
            Isolation::Committed => "read_committed",
        };
        let mut arguments: Vec<String> =
            ["--bootstrap", bootstrap, "--topic", topic, "--isolation", level].map(str::to_owned).into();
        if !client.is_empty() {
            let pairs: Vec<String> = client.iter().map(|(name, value)| format!("{name}={value}")).collect();
            arguments.extend(["--client".to_owned(), pairs.join(",")]);
        }
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self.run("ConsumeAll", &arguments)
    }
}
