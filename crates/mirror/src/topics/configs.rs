//! Which configs a target topic gets from its source (`DefaultConfigPropertyFilter`, `MirrorSourceConnector.syncTopicConfigs`).

use super::{FilterError, NameFilter};
use std::collections::BTreeMap;
use verbatim_wire::cluster::{ConfigSource, TopicConfig, TopicConfigs};

/// Configs that are never carried over, and why.
const NEVER: &[&str] = &[
    // Name brokers of the source.
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    // Would replace the times of the records, or refuse those that the source took.
    "message.timestamp.type",
    "message.timestamp.difference.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.after.max.ms",
    // Would have the target's brokers compress again what is to stay as it is; `producer`, the default, keeps it.
    "compression.type",
    // Gone from Kafka 4.0; other values are refused there.
    "message.format.version",
    "message.downconversion.enable",
    // Need storage that the target may not have.
    "remote.storage.enable",
    "local.retention.ms",
    "local.retention.bytes",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
];

/// Left out unless said otherwise: they concern the durability of the target, whose operator decides.
pub(crate) const EXCLUDED: [&str; 2] = ["min.insync.replicas", "unclean.leader.election.enable"];

/// Which configs are carried over.
#[derive(Debug, Clone)]
pub struct ConfigRules {
    excluded: NameFilter,
    /// Whether Kafka's defaults on the source are set on the target too.
    use_source_defaults: bool,
}

/// What has to be changed of a target topic.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigChange {
    pub(crate) set: Vec<(String, String)>,
    pub(crate) delete: Vec<String>,
}

impl ConfigChange {
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.delete.is_empty()
    }
}

impl ConfigRules {
    /// All configs but those that match `exclude`.
    ///
    /// # Errors
    /// When one is no regular expression.
    pub fn new(exclude: &[impl AsRef<str>], use_source_defaults: bool) -> Result<Self, FilterError> {
        let excluded = NameFilter::new(exclude, &[] as &[&str])?;
        Ok(Self { excluded, use_source_defaults })
    }

    fn concerns(&self, name: &str, config: &TopicConfig) -> bool {
        !config.is_read_only
            && !config.is_sensitive
            && config.source != ConfigSource::StaticBroker
            && !NEVER.contains(&name)
            && !self.excluded.matches(name)
    }

    /// What a topic is created with whose source has `source`.
    pub(crate) fn of_new_topic(&self, source: &TopicConfigs) -> BTreeMap<String, String> {
        let carried = source.iter().filter(|(name, config)| {
            self.concerns(name, config)
                && (config.source != ConfigSource::Default || self.use_source_defaults)
        });
        carried.filter_map(|(name, config)| Some((name.clone(), config.value.clone()?))).collect()
    }

    /// What has to be changed of a topic with `target` whose source has `source`.
    pub(crate) fn change(&self, source: &TopicConfigs, target: &TopicConfigs) -> ConfigChange {
        let mut change = ConfigChange::default();
        for (name, config) in source.iter().filter(|(name, config)| self.concerns(name, config)) {
            // A config that the target's version does not know cannot be set there.
            let Some(on_target) = target.get(name) else { continue };
            let Some(value) = &config.value else { continue };
            if config.source == ConfigSource::Default && !self.use_source_defaults {
                if on_target.is_topic_override() {
                    change.delete.push(name.clone());
                }
            } else if !on_target.is_topic_override() || on_target.value.as_ref() != Some(value) {
                change.set.push((name.clone(), value.clone()));
            }
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(configs: &[(&str, &str, ConfigSource)]) -> TopicConfigs {
        let config = |(name, value, source): &(&str, &str, ConfigSource)| {
            let value = Some((*value).to_owned());
            let found = TopicConfig { value, source: *source, is_read_only: false, is_sensitive: false };
            ((*name).to_owned(), found)
        };
        configs.iter().map(config).collect()
    }

    fn rules(use_source_defaults: bool) -> ConfigRules {
        ConfigRules::new(&EXCLUDED, use_source_defaults).unwrap()
    }

    use ConfigSource::{Default, DynamicBroker, StaticBroker, Topic};

    #[test]
    fn what_was_set_is_carried_over() {
        let source = configs(&[
            ("cleanup.policy", "compact", Topic),
            ("retention.ms", "7", DynamicBroker),
            ("segment.ms", "8", StaticBroker),
            ("segment.bytes", "9", Default),
            ("compression.type", "zstd", Topic),
            ("min.insync.replicas", "2", Topic),
        ]);
        let names = |use_defaults| rules(use_defaults).of_new_topic(&source).into_keys().collect::<Vec<_>>();
        assert_eq!(names(false), ["cleanup.policy", "retention.ms"]);
        assert_eq!(names(true), ["cleanup.policy", "retention.ms", "segment.bytes"]);
    }

    #[test]
    fn differences_are_set_and_what_the_source_has_no_more_is_taken_back() {
        let source = configs(&[
            ("a", "1", Topic),
            ("b", "2", Topic),
            ("c", "3", Default),
            ("d", "4", Default),
            ("e", "5", Topic),
            ("new", "6", Topic),
            ("compression.type", "producer", Default),
        ]);
        let target = configs(&[
            ("a", "1", Topic),
            ("b", "0", Topic),
            ("c", "9", Topic),
            ("d", "9", StaticBroker),
            ("e", "5", Default),
            ("compression.type", "zstd", Topic),
        ]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let change = rules(false).change(&source, &target);
        assert_eq!(change.set, [pair("b", "2"), pair("e", "5")]);
        assert_eq!(change.delete, ["c"]);
        let change = rules(true).change(&source, &target);
        assert_eq!(change.set, [pair("b", "2"), pair("c", "3"), pair("d", "4"), pair("e", "5")]);
        assert_eq!(change.delete, Vec::<String>::new());
        assert!(rules(false).change(&source, &source).is_empty());
    }
}
