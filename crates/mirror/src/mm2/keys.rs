//! Keys of a flow, of a cluster and of all, looked up with the precedence MirrorMaker 2 gives them.

use super::properties::Properties;
use crate::config::reader::{Found, Lines, boolean, nonzero, number, replicas};
use std::collections::BTreeSet;
use std::time::Duration;

/// The properties while they are read.
pub(super) struct Keys {
    pub(super) properties: Properties,
    /// Keys that mean something.
    pub(super) taken: BTreeSet<String>,
    pub(super) found: Found,
}

/// A flow while its keys are read.
pub(super) struct Flow {
    pub(super) source: String,
    pub(super) target: String,
}

impl Keys {
    pub(super) fn new(properties: Properties, found: Found) -> Self {
        Self { properties, taken: BTreeSet::new(), found }
    }

    /// The value as it stands.
    pub(super) fn raw(&mut self, key: &str) -> Option<String> {
        let property = self.properties.get(key)?;
        self.taken.insert(key.to_owned());
        Some(property.value.clone())
    }

    pub(super) fn line(&self, key: &str) -> usize {
        self.properties.get(key).map_or(0, |property| property.line)
    }

    pub(super) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        let text = self.raw(key)?;
        Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }

    pub(super) fn of_cluster(&mut self, alias: &str, key: &str) -> Option<String> {
        let of_cluster = self.raw(&format!("{alias}.{key}"));
        let everywhere = self.raw(key);
        of_cluster.or(everywhere).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Of the flow, or of all.
    pub(super) fn raw_of_flow(&mut self, pair: &Flow, key: &str) -> Option<String> {
        let of_flow = self.raw(&pair.key(key));
        let of_all = self.raw(key);
        of_flow.or(of_all)
    }

    pub(super) fn flow_line(&self, pair: &Flow, key: &str) -> usize {
        match self.line(&pair.key(key)) {
            0 => self.line(key),
            line => line,
        }
    }

    /// Where the lists of patterns are that are checked once all is read.
    pub(super) fn flow_lines(&self, pair: &Flow) -> Lines {
        let keys = [
            ("topics", ["topics", "topics"]),
            ("topics_exclude", ["topics.exclude", "topics.blacklist"]),
            ("groups", ["groups", "groups"]),
            ("groups_exclude", ["groups.exclude", "groups.blacklist"]),
            ("configs_exclude", ["config.properties.exclude", "config.properties.blacklist"]),
        ];
        let line = |names: [&str; 2]| {
            names.map(|name| self.flow_line(pair, name)).into_iter().find(|line| *line > 0)
        };
        keys.into_iter().filter_map(|(key, names)| Some((key.to_owned(), line(names)?))).collect()
    }

    pub(super) fn flow_text(&mut self, pair: &Flow, key: &str) -> Option<String> {
        self.raw_of_flow(pair, key).map(|text| text.trim().to_owned())
    }

    pub(super) fn flow_list(&mut self, pair: &Flow, key: &str) -> Option<Vec<String>> {
        let of_flow = self.list(&pair.key(key));
        let of_all = self.list(key);
        of_flow.or(of_all)
    }

    /// A typed value; a wrong one is noted, once.
    fn typed<T>(&mut self, pair: &Flow, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let line = self.flow_line(pair, key);
        let text = self.flow_text(pair, key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.found.wrong(line, format!("{key}: {problem}"));
                None
            }
        }
    }

    pub(super) fn flow_boolean(&mut self, pair: &Flow, key: &str, default: bool) -> bool {
        self.typed(pair, key, boolean).unwrap_or(default)
    }

    /// A number of replicas, or -1 for the target's default.
    pub(super) fn flow_replicas(&mut self, pair: &Flow, key: &str) -> Option<i16> {
        self.typed(pair, key, replicas)
    }

    pub(super) fn flow_seconds(&mut self, pair: &Flow, key: &str) -> Option<Duration> {
        self.typed(pair, key, |text| nonzero(Duration::from_secs(number(text)?)))
    }
}

impl Flow {
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}->{}.{key}", self.source, self.target)
    }
}
