//! `ReadInGroups`: Kafka's own consumer groups, of one member each, on a topic of one partition.

use std::collections::BTreeMap;

use super::{Error, Programs, SeenRecord};

/// How a group finds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProtocol {
    /// By its members.
    Classic,
    /// By its coordinator (KIP-848).
    Consumer,
}

impl Programs {
    /// Each group reads from the start until it has read the offset given (or what comes next) and commits; returns what.
    pub fn commit_in_groups(
        &self,
        bootstrap: &str,
        topic: &str,
        groups: &BTreeMap<String, i64>,
    ) -> Result<BTreeMap<String, i64>, Error> {
        self.commit_by(GroupProtocol::Classic, bootstrap, topic, groups)
    }

    /// The same by a protocol of choice.
    pub fn commit_by(
        &self,
        protocol: GroupProtocol,
        bootstrap: &str,
        topic: &str,
        groups: &BTreeMap<String, i64>,
    ) -> Result<BTreeMap<String, i64>, Error> {
        let printed = self.read_in_groups(protocol, bootstrap, topic, groups, true)?;
        let parse = |line: &str| -> Option<(String, i64)> {
            let (group, offset) = line.strip_prefix("committed ")?.split_once(' ')?;
            Some((group.to_owned(), offset.parse().ok()?))
        };
        printed.lines().map(|line| parse(line).ok_or_else(|| Error::Output(line.to_owned()))).collect()
    }

    /// The first record that each group reads, going on from what is committed for it.
    pub fn resume_groups(
        &self,
        bootstrap: &str,
        topic: &str,
        groups: &BTreeMap<String, i64>,
    ) -> Result<BTreeMap<String, SeenRecord>, Error> {
        self.resume_by(GroupProtocol::Classic, bootstrap, topic, groups)
    }

    /// The same by a protocol of choice.
    pub fn resume_by(
        &self,
        protocol: GroupProtocol,
        bootstrap: &str,
        topic: &str,
        groups: &BTreeMap<String, i64>,
    ) -> Result<BTreeMap<String, SeenRecord>, Error> {
        let printed = self.read_in_groups(protocol, bootstrap, topic, groups, false)?;
        let parse = |line: &str| -> Option<(String, SeenRecord)> {
            let mut words = line.strip_prefix("resumed ")?.split_whitespace();
            let (group, _partition) = (words.next()?, words.next()?);
            Some((group.to_owned(), SeenRecord::parse(&mut words)?))
        };
        printed.lines().map(|line| parse(line).ok_or_else(|| Error::Output(line.to_owned()))).collect()
    }

    fn read_in_groups(
        &self,
        protocol: GroupProtocol,
        bootstrap: &str,
        topic: &str,
        groups: &BTreeMap<String, i64>,
        commits: bool,
    ) -> Result<String, Error> {
        let named: Vec<String> = groups.iter().map(|(group, offset)| format!("{group}={offset}")).collect();
        let protocol = match protocol {
            GroupProtocol::Classic => "classic",
            GroupProtocol::Consumer => "consumer",
        };
        let named = named.join(",");
        let words = ["--bootstrap", bootstrap, "--topic", topic, "--groups", &named, "--protocol", protocol];
        let flags: &[&str] = if commits { &["--commit"] } else { &[] };
        let words: Vec<String> = words.iter().chain(flags).map(|word| (*word).to_owned()).collect();
        self.run("ReadInGroups", &words)
    }
}
