//! Partitions grouped by topic, as most requests name them.

use crate::messages::{StrBytes, TopicName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Groups what is asked of partitions by their topics; within a topic the order stays.
pub(super) fn by_topic<T>(asked: impl Iterator<Item = (Arc<str>, T)>) -> BTreeMap<Arc<str>, Vec<T>> {
    let mut topics: BTreeMap<Arc<str>, Vec<T>> = BTreeMap::new();
    for (topic, asked) in asked {
        topics.entry(topic).or_default().push(asked);
    }
    topics
}

/// A topic's name as the messages hold it.
pub(super) fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}
