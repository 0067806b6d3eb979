//! `ConsumeAll --each-record`: what Kafka's own consumer sees, record by record.

use std::collections::BTreeMap;
use std::str::SplitWhitespace;

use super::{Error, Programs};
use crate::oracle::Isolation;

/// A record as an application sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRecord {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in ms.
    pub timestamp: i64,
    /// The first half of a SHA-256 over timestamp, timestamp type, key, value and headers.
    pub hash: u128,
    /// The beginning of a SHA-256 of its key.
    pub key: Option<u64>,
    /// Bytes of its value; none is a tombstone.
    pub value_bytes: Option<u32>,
    /// What tells it from all others of its topic, where [`Mix::numbered`](super::Mix) was set: producer and count.
    pub number: Option<u128>,
}

/// The records of each partition, in order.
pub type SeenTopic = BTreeMap<i32, Vec<SeenRecord>>;

impl Programs {
    /// Reads every record of a topic from its start to its present end.
    pub fn records(&self, bootstrap: &str, topic: &str, isolation: Isolation) -> Result<SeenTopic, Error> {
        let printed = self.print_topic(bootstrap, topic, isolation, &[], &["--each-record"])?;
        let mut records = SeenTopic::new();
        for line in printed.lines() {
            let unexpected = || Error::Output(line.to_owned());
            let mut words = line.split_whitespace();
            let (kind, partition) = (words.next(), next(&mut words).ok_or_else(unexpected)?);
            let found = records.entry(partition).or_default();
            if kind == Some("record") {
                found.push(SeenRecord::parse(&mut words).ok_or_else(unexpected)?);
            }
        }
        Ok(records)
    }
}

impl SeenRecord {
    pub(super) fn parse(words: &mut SplitWhitespace<'_>) -> Option<Self> {
        let (offset, timestamp) = (next(words)?, next(words)?);
        let hash = u128::from_str_radix(words.next()?, 16).ok()?;
        let key = optional(words.next()?, |key| u64::from_str_radix(key, 16).ok())?;
        let value_bytes = optional(words.next()?, |length| length.parse().ok())?;
        let number = optional(words.next()?, |number| u128::from_str_radix(number, 16).ok())?;
        Some(Self { offset, timestamp, hash, key, value_bytes, number })
    }

    /// Which record this is: its number, or what is in it.
    pub fn identity(&self) -> u128 {
        self.number.unwrap_or(self.hash)
    }
}

fn next<T: std::str::FromStr>(words: &mut SplitWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

/// `-` is none.
fn optional<T>(word: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if word == "-" { Some(None) } else { parse(word).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read() {
        let parse = |line: &str| SeenRecord::parse(&mut line.split_whitespace());
        let seen = parse("5 1700 ff - - -").unwrap();
        let expected =
            SeenRecord { offset: 5, timestamp: 1700, hash: 255, key: None, value_bytes: None, number: None };
        assert_eq!(seen, expected);
        let seen = parse("5 -1 ff 0a 12 0100").unwrap();
        assert_eq!((seen.key, seen.value_bytes, seen.number), (Some(10), Some(12), Some(256)));
        assert_eq!((seen.identity(), seen.timestamp), (256, -1));
        assert_eq!(parse("5 1700 ff - -"), None);
        assert_eq!(parse("5 1700 ff - x -"), None);
    }
}
