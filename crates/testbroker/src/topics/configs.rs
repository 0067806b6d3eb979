//! Topic and broker configurations by name: what is known, and its default in Kafka 4.1.

use std::collections::BTreeMap;

/// Topic configurations with their defaults.
pub(crate) const TOPIC_DEFAULTS: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("compression.gzip.level", "-1"),
    ("compression.lz4.level", "9"),
    ("compression.type", "producer"),
    ("compression.zstd.level", "3"),
    ("delete.retention.ms", "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("flush.messages", "9223372036854775807"),
    ("flush.ms", "9223372036854775807"),
    ("follower.replication.throttled.replicas", ""),
    ("index.interval.bytes", "4096"),
    ("leader.replication.throttled.replicas", ""),
    ("local.retention.bytes", "-2"),
    ("local.retention.ms", "-2"),
    ("max.compaction.lag.ms", "9223372036854775807"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.after.max.ms", "3600000"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.compaction.lag.ms", "0"),
    ("min.insync.replicas", "1"),
    ("preallocate", "false"),
    ("remote.log.copy.disable", "false"),
    ("remote.log.delete.on.disable", "false"),
    ("remote.storage.enable", "false"),
    ("retention.bytes", "-1"),
    ("retention.ms", "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.index.bytes", "10485760"),
    ("segment.jitter.ms", "0"),
    ("segment.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

/// Broker configurations with their defaults.
pub(crate) const BROKER_DEFAULTS: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "false"),
    ("default.replication.factor", "1"),
    ("fetch.max.bytes", "57671680"),
    ("log.message.timestamp.type", "CreateTime"),
    ("log.retention.ms", "604800000"),
    ("message.max.bytes", "1048588"),
    ("num.partitions", "1"),
    ("producer.id.expiration.ms", "86400000"),
    ("socket.request.max.bytes", "104857600"),
    ("transaction.max.timeout.ms", "900000"),
];

/// Whether a name can be set on a topic.
pub(crate) fn is_topic_config(name: &str) -> bool {
    TOPIC_DEFAULTS.iter().any(|(known, _)| *known == name)
}

/// Default of a topic configuration.
pub(crate) fn topic_default(name: &str) -> &'static str {
    TOPIC_DEFAULTS.iter().find(|(known, _)| *known == name).map_or("", |(_, default)| default)
}

/// Value in force: the topic's own or the default.
pub(crate) fn effective<'a>(configs: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    configs.get(name).map_or(topic_default(name), String::as_str)
}
