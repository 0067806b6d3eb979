//! What a topic is called on the target, and which topic of which cluster a name stands for.
//!
//! Prefix and identity are MirrorMaker 2's `DefaultReplicationPolicy` and `IdentityReplicationPolicy`, to the letter.

mod brought;
mod template;

pub use brought::Brought;
pub(crate) use brought::came_from;
pub use template::{Template, TemplateError};

use std::collections::BTreeMap;

/// The topic of heartbeats, under every naming.
pub const HEARTBEATS: &str = "heartbeats";

/// How topics are named on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// `<source cluster><separator><topic>`.
    Prefix {
        /// Between cluster and topic; `.` by default.
        separator: String,
    },
    /// As on the source, but for heartbeats, which are named as with a prefix.
    Identity {
        /// Between cluster and topic of heartbeats.
        separator: String,
    },
    /// By a template such as `{source}.{topic}` or `copy-of-{topic}`.
    Template(Template),
}

impl Naming {
    /// Between the parts of a name.
    pub(crate) fn separator(&self) -> &str {
        match self {
            Self::Prefix { separator } | Self::Identity { separator } => separator,
            Self::Template(_) => ".",
        }
    }
}

impl Default for Naming {
    fn default() -> Self {
        Self::Prefix { separator: ".".to_owned() }
    }
}

/// Topics that Kafka keeps for itself (`Topic.INTERNAL_TOPICS` and the log of the controllers).
const KAFKAS_OWN: [&str; 4] =
    ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"];

/// Whether Kafka, or a flow for its state, keeps a topic of that name for itself: nobody else may write there.
pub(crate) fn is_reserved(topic: &str) -> bool {
    topic.starts_with("__verbatim.") || KAFKAS_OWN.contains(&topic)
}

/// The naming of one flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicNaming {
    /// Name of the source cluster, as configured.
    pub source: String,
    /// The rule.
    pub naming: Naming,
    /// Topics with names of their own: by source name. They come before the rule.
    pub map: BTreeMap<String, String>,
}

impl TopicNaming {
    /// The names are the same on both sides, heartbeats included.
    pub fn same() -> Self {
        let naming = Naming::Template(Template::same());
        Self { source: String::new(), naming, map: BTreeMap::new() }
    }

    /// What `topic` of the source is called on the target (`ReplicationPolicy.formatRemoteTopic`).
    pub fn target_of(&self, topic: &str) -> String {
        if let Some(target) = self.map.get(topic) {
            return target.clone();
        }
        match &self.naming {
            Naming::Identity { .. } if !looks_like_heartbeats(topic) => topic.to_owned(),
            Naming::Prefix { separator } | Naming::Identity { separator } => {
                format!("{}{separator}{topic}", self.source)
            }
            Naming::Template(template) => template.target_of(&self.source, topic),
        }
    }

    /// Which topic of the source `topic` of the target is the copy of, by its name.
    pub fn source_of(&self, topic: &str) -> Option<String> {
        if let Some((source, _)) = self.map.iter().find(|(_, target)| *target == topic) {
            return Some(source.clone());
        }
        let source = match &self.naming {
            Naming::Identity { .. } if !looks_like_heartbeats(topic) => topic.to_owned(),
            Naming::Prefix { separator } | Naming::Identity { separator } => {
                upstream(topic, &self.source, separator)?.to_owned()
            }
            Naming::Template(template) => template.source_of(&self.source, topic)?,
        };
        // A name that another topic is mapped away from stands for nothing.
        (!self.map.contains_key(&source)).then_some(source)
    }

    /// What the names of the copies begin with of topics whose names begin with `prefix`, where that can be said.
    pub(crate) fn target_prefix(&self, prefix: &str) -> Option<String> {
        match &self.naming {
            Naming::Prefix { separator } => Some(format!("{}{separator}{prefix}", self.source)),
            Naming::Identity { .. } => Some(prefix.to_owned()),
            Naming::Template(template) => template.target_prefix(&self.source, prefix),
        }
    }

    /// Whether a topic of the source came from the cluster `target`, by its name, directly or through others
    /// (`MirrorSourceConnector.isCycle`). Only names with a prefix tell. Unlike there the name of a cluster may hold the separator.
    pub fn is_cycle(&self, topic: &str, target: &str) -> bool {
        let separator = match &self.naming {
            Naming::Prefix { separator } => separator,
            Naming::Identity { separator } if looks_like_heartbeats(topic) => separator,
            Naming::Identity { .. } | Naming::Template(_) => return false,
        };
        let mut rest = topic;
        loop {
            if upstream(rest, target, separator).is_some() {
                return true;
            }
            match split(rest, separator) {
                Some((_, shorter)) if shorter != rest => rest = shorter,
                _ => return false,
            }
        }
    }

    /// Whether a topic of the source holds heartbeats, its own or copied ones
    /// (`ReplicationPolicy.isHeartbeatsTopic`).
    pub fn is_heartbeats(&self, topic: &str) -> bool {
        let separator = match &self.naming {
            Naming::Prefix { separator } | Naming::Identity { separator } => separator,
            Naming::Template(_) => return topic == HEARTBEATS,
        };
        let mut rest = topic;
        while let Some((_, upstream)) = split(rest, separator).filter(|(_, upstream)| *upstream != rest) {
            rest = upstream;
        }
        rest == HEARTBEATS
    }
}

/// `IdentityReplicationPolicy.looksLikeHeartbeat`.
fn looks_like_heartbeats(topic: &str) -> bool {
    topic.ends_with(HEARTBEATS)
}

/// What a topic was called on the cluster `cluster`, if its name says that it came from there.
fn upstream<'a>(topic: &'a str, cluster: &str, separator: &str) -> Option<&'a str> {
    let upstream = topic.strip_prefix(cluster)?.strip_prefix(separator)?;
    // As below: a name with nothing behind its separators has no source.
    let is_empty = upstream.is_empty()
        || !separator.is_empty() && upstream.split(separator).all(str::is_empty)
        || cluster.is_empty() && separator.is_empty();
    (!is_empty).then_some(upstream)
}

/// Cluster and topic of a name with a prefix (`DefaultReplicationPolicy.topicSource` and `upstreamTopic`).
fn split<'a>(topic: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    // Java's split leaves empty parts at the end out: a name with nothing behind its separators has no source.
    let (cluster, upstream) = topic.split_once(separator)?;
    let is_empty = upstream.split(separator).all(str::is_empty);
    (!separator.is_empty() && !is_empty).then_some((cluster, upstream))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(source: &str, separator: &str) -> TopicNaming {
        let naming = Naming::Prefix { separator: separator.to_owned() };
        TopicNaming { source: source.to_owned(), naming, map: BTreeMap::new() }
    }

    #[test]
    fn a_prefix_names_the_source() {
        let naming = prefix("A", ".");
        assert_eq!(naming.target_of("foo"), "A.foo");
        for (topic, source) in [
            ("A.foo", Some("foo")),
            ("A.B.foo", Some("B.foo")),
            ("B.foo", None),
            ("foo", None),
            ("A.", None),
            (".foo", None),
        ] {
            assert_eq!(naming.source_of(topic).as_deref(), source, "{topic}");
        }
        assert_eq!(prefix("foo", "_").source_of("foo_bar").as_deref(), Some("bar"));
        assert_eq!(prefix("us-east", "-").source_of("us-east-orders").as_deref(), Some("orders"));
        assert_eq!(prefix("us-east", "-").source_of("us-west-orders"), None);
        assert_eq!(prefix("primary", "").source_of("primaryorders").as_deref(), Some("orders"));
    }

    #[test]
    fn cycles_are_seen_by_name() {
        let naming = prefix("us-west", ".");
        for (topic, expected) in [
            ("orders", false),
            ("us-east.orders", true),
            ("eu.us-east.orders", true),
            ("orders.us-east.v1", true),
            ("orders.us-east", false),
        ] {
            assert_eq!(naming.is_cycle(topic, "us-east"), expected, "{topic}");
        }
        // Clusters whose names hold the separator.
        for separator in ["-", "_", "."] {
            let (naming, target) = (prefix("eu-west", separator), format!("us{separator}east"));
            for (topic, expected) in [
                ("orders".to_owned(), false),
                (format!("{target}{separator}orders"), true),
                (format!("eu{separator}{target}{separator}orders"), true),
                (format!("us{separator}orders"), false),
            ] {
                assert_eq!(naming.is_cycle(&topic, &target), expected, "{topic}");
            }
        }
    }

    #[test]
    fn identity_keeps_names_but_of_heartbeats() {
        let naming = TopicNaming {
            source: "A".to_owned(),
            naming: Naming::Identity { separator: ".".to_owned() },
            map: [("old".to_owned(), "new".to_owned())].into(),
        };
        for (source, target) in [
            ("foo", "foo"),
            ("heartbeats", "A.heartbeats"),
            ("my-heartbeats", "A.my-heartbeats"),
            ("old", "new"),
        ] {
            assert_eq!(naming.target_of(source), target);
            assert_eq!(naming.source_of(target).as_deref(), Some(source));
        }
        assert_eq!(naming.source_of("old"), None);
        assert_eq!(naming.source_of("heartbeats"), None);
        assert!(!naming.is_cycle("B.foo", "B") && naming.is_cycle("B.heartbeats", "B"));
    }

    #[test]
    fn heartbeats_are_known_through_their_hops() {
        let naming = prefix("A", ".");
        for (topic, expected) in
            [("heartbeats", true), ("B.heartbeats", true), ("C.B.heartbeats", true), ("my-heartbeats", false)]
        {
            assert_eq!(naming.is_heartbeats(topic), expected, "{topic}");
        }
    }
}
