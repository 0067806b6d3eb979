//! Taking values out of a file's keys: what is wrong is noted and reading goes on, so that everything is said at once.

use super::{Problem, Setup, circles};
use crate::rates::RateOf;
use crate::starts::StartOf;
use crate::topics::NameFilter;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The line of each key of a section, as far as it is known.
pub(crate) type Lines = BTreeMap<String, usize>;

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) setup: Setup,
    /// Clusters that are named, also those whose settings are wrong.
    pub(crate) clusters: BTreeSet<String>,
    /// Where the keys of each cluster are, by its name.
    pub(crate) cluster_lines: BTreeMap<String, Lines>,
    /// Where the keys of each flow of the setup are, in its order.
    pub(crate) flow_lines: Vec<Lines>,
    pub(crate) warnings: Vec<Problem>,
    pub(crate) errors: Vec<Problem>,
}

/// Where the keys of a section are.
pub(crate) fn lines_of(keys: &BTreeMap<String, Given>) -> Lines {
    keys.iter().map(|(key, given)| (key.clone(), given.line)).collect()
}

/// One value of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// A value as far as it is needed: numbers and booleans are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<String>),
    Table(BTreeMap<String, Given>),
}

/// The keys of one section that have not been taken yet.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// Before each key where it is named.
    pub(crate) prefix: String,
    pub(crate) keys: BTreeMap<String, Given>,
    /// Keys that were asked for, there or not: those that are known.
    pub(crate) known: Vec<String>,
    pub(crate) errors: &'a mut Vec<Problem>,
}

/// A key of a section that nobody has asked for.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) prefix: String,
    pub(crate) key: String,
    pub(crate) line: usize,
    /// Keys that the section may have.
    pub(crate) known: Vec<String>,
}

impl Section<'_> {
    /// The value of `key`, if it is there and `parse` understands it; else what is wrong is noted.
    pub(crate) fn take<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(key.to_owned());
        let given = self.keys.remove(key)?;
        match parse(&given.value) {
            Ok(value) => Some(value),
            Err(problem) => {
                let what = format!("{}{key}: {problem}", self.prefix);
                self.errors.push(Problem { line: given.line, what });
                None
            }
        }
    }

    /// The same of a single value.
    pub(crate) fn text<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.take(key, |value| match value {
            Value::Text(text) => parse(text.trim()),
            Value::List(_) | Value::Table(_) => Err("one value is expected here".to_owned()),
        })
    }

    /// A list, or a single value with commas.
    pub(crate) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        self.take(key, |value| match value {
            Value::Text(text) => Ok(crate::topics::split(text).into_iter().map(str::to_owned).collect()),
            Value::List(list) => Ok(list.clone()),
            Value::Table(_) => Err("a list is expected here".to_owned()),
        })
    }

    /// What has not been taken.
    pub(crate) fn left(self) -> impl Iterator<Item = Left> {
        let Self { prefix, keys, known, errors: _ } = self;
        keys.into_iter().map(move |(key, given)| Left {
            prefix: prefix.clone(),
            key,
            line: given.line,
            known: known.clone(),
        })
    }
}

pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number, or too large"))
}

/// A number of replicas; -1 stands for the broker's default.
pub(crate) fn replicas(text: &str) -> Result<i16, String> {
    match number(text)? {
        number if number > 0 || number == -1 => Ok(number),
        _ => Err(format!("{text} replicas cannot be; write 1 or more, or -1 for the target's default")),
    }
}

/// What may stand between the parts of a topic's name.
pub(crate) fn separator(text: &str) -> Result<String, String> {
    match text.chars().find(|letter| !is_of_topic_name(*letter)) {
        None => Ok(text.to_owned()),
        Some(letter) => {
            Err(format!("{letter:?} cannot be in a topic's name; only letters, digits and . _ - are allowed"))
        }
    }
}

fn is_of_topic_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "._-".contains(letter)
}

/// A time like `5s`, `1m 30s` or `250ms` between one turn and the next; a plain number is seconds.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let interval = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("{text:?} is not a time such as 5s, 250ms or 1m: {error}"))?,
    };
    nonzero(interval)
}

/// What is done at an interval needs one.
pub(crate) fn nonzero(interval: Duration) -> Result<Duration, String> {
    if interval.is_zero() { Err("an interval cannot be zero".to_owned()) } else { Ok(interval) }
}

/// The same, or `off`.
pub(crate) fn interval_or_off(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" | "false" => Ok(None),
        _ => interval(text).map(Some).map_err(|problem| format!("{problem} (`off` switches this off)")),
    }
}

/// Bytes: a number with KiB, MiB or GiB, or without.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).trim();
    let unit = match text.get(digits.len()..).unwrap_or_default().trim() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        unit => return Err(format!("{unit:?} is not a unit of memory; use KiB, MiB or GiB")),
    };
    number::<usize>(digits)?.checked_mul(unit).ok_or_else(|| format!("{text} is too much"))
}

impl Found {
    pub(crate) fn wrong(&mut self, line: usize, what: impl Into<String>) {
        let problem = Problem { line, what: what.into() };
        // A key that holds for all flows is read for each.
        if !self.errors.contains(&problem) {
            self.errors.push(problem);
        }
    }

    pub(crate) fn warn(&mut self, line: usize, what: impl Into<String>) {
        self.warnings.push(Problem { line, what: what.into() });
    }

    /// What can be wrong however it was written.
    pub(crate) fn check(&mut self) {
        let mut names = BTreeSet::new();
        let mut wrong: Vec<(usize, String)> = Vec::new();
        for (index, flow) in self.setup.flows.iter().enumerate() {
            let name = &flow.name;
            let lines = self.flow_lines.get(index);
            let line = |key: &str| lines.and_then(|lines| lines.get(key)).copied().unwrap_or(0);
            if !names.insert(name) {
                let problem = format!("two flows are called {name}: give one of them a name of its own");
                // A name that is not given is made of both clusters'.
                wrong.push((line("name").max(line("from")), problem));
            }
            if !is_flow_name(name) {
                let problem = format!(
                    "flow {name:?}: a name has up to 200 letters, digits, dots, dashes and underscores; its positions \
                     are kept in topic __verbatim.NAME"
                );
                wrong.push((line("name"), problem));
            }
            for (key, cluster) in [("from", &flow.source), ("to", &flow.target)] {
                if !self.clusters.contains(cluster) {
                    let problem = format!("flow {name}: {key} = {cluster:?} is not one of the clusters");
                    wrong.push((line(key), problem));
                }
            }
            if flow.source == flow.target {
                wrong.push((line("to"), format!("flow {name}: from and to are the same cluster")));
            }
            for start in &flow.start {
                if let Err(error) = StartOf::parse(start) {
                    wrong.push((line("start"), format!("flow {name}, {error}")));
                }
            }
            for rate in &flow.topic_max_rate {
                if let Err(error) = RateOf::parse(rate) {
                    wrong.push((line("topic_max_rate"), format!("flow {name}, {error}")));
                }
            }
            let patterns = [
                ("topics", &flow.topics),
                ("topics_exclude", &flow.topics_exclude),
                ("groups", &flow.groups.include),
                ("groups_exclude", &flow.groups.exclude),
                ("configs_exclude", &flow.configs.exclude),
            ];
            for (key, patterns) in patterns {
                if let Err(error) = NameFilter::new(patterns, &[""; 0]) {
                    wrong.push((line(key), format!("flow {name}, {key}: {error}")));
                }
            }
        }
        for (name, cluster) in &self.setup.clusters {
            let lines = self.cluster_lines.get(name);
            let line = |key: &str| lines.and_then(|lines| lines.get(key)).copied().unwrap_or(0);
            match verbatim_wire::cluster::ClusterConfig::new(&cluster.bootstrap) {
                Err(error) => wrong.push((line("bootstrap"), format!("cluster {name}: {error}"))),
                // Whoever names authorities does not expect plaintext.
                Ok(config) if cluster.ca_file.is_some() && !config.bootstrap.is_tls() => wrong.push((
                    line("ca_file"),
                    format!(
                        "cluster {name}: ca_file is for TLS, which {0} does not speak; write tls://{0}, or leave ca_file out",
                        config.bootstrap
                    ),
                )),
                Ok(_) => {}
            }
        }
        let arranged = circles::arrange(&mut self.setup);
        wrong.extend(arranged.problems.into_iter().map(|what| (0, what)));
        arranged.warnings.into_iter().for_each(|what| self.warn(0, what));
        wrong.into_iter().for_each(|(line, what)| self.wrong(line, what));
        self.errors.sort();
        self.warnings.sort();
    }
}

/// Whether a flow can be called that: 1 to 200 of the characters that topic names are made of.
pub fn is_flow_name(name: &str) -> bool {
    (1..=200).contains(&name.len()) && name.chars().all(is_of_topic_name)
}
