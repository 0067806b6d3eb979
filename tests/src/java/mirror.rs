//! MirrorMaker 2 itself, and what its Java clients make of a cluster.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Error, Programs, Running};

/// Answers of `MirrorClient` and `RemoteClusterUtils`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MirrorAnswers {
    /// Each answer but those about groups, by its question.
    pub answers: BTreeMap<String, String>,
    /// `translateOffsets` by group, then by topic and partition.
    pub groups: BTreeMap<String, BTreeMap<String, i64>>,
}

impl Programs {
    /// Asks the clients about a cluster: what came to it from `source`, and where `groups` go on.
    pub fn ask_mirror(&self, bootstrap: &str, source: &str, groups: &[&str]) -> Result<MirrorAnswers, Error> {
        let words = ["--bootstrap", bootstrap, "--source", source, "--groups", &groups.join(",")];
        let printed = self.run("AskMirror", &words.map(str::to_owned))?;
        let mut answers = MirrorAnswers::default();
        for line in printed.lines() {
            let unexpected = || Error::Output(line.to_owned());
            if let Some(rest) = line.strip_prefix("group ") {
                let (group, offsets) = rest.split_once(' ').ok_or_else(unexpected)?;
                let offsets = offsets.trim_matches(['{', '}']).split(", ").filter(|pair| !pair.is_empty());
                let pair = |pair: &str| {
                    let (partition, offset) = pair.split_once('=')?;
                    Some((partition.to_owned(), offset.parse().ok()?))
                };
                let offsets: Option<BTreeMap<String, i64>> = offsets.map(pair).collect();
                answers.groups.insert(group.to_owned(), offsets.ok_or_else(unexpected)?);
            } else {
                let at =
                    line.find('[').or_else(|| line.rfind(' ').map(|at| at + 1)).ok_or_else(unexpected)?;
                let (question, answer) = line.split_at(at);
                answers.answers.insert(question.trim().to_owned(), answer.to_owned());
            }
        }
        Ok(answers)
    }

    /// Starts MirrorMaker 2 with a configuration file.
    pub fn start_mirror_maker(&self, config: &Path) -> Result<Running, Error> {
        self.start("org.apache.kafka.connect.mirror.MirrorMaker", &[config.display().to_string()])
    }
}
