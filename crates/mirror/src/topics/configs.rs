//! Which configs a target topic gets from its source (`DefaultConfigPropertyFilter`, `MirrorSourceConnector.syncTopicConfigs`).

use super::{FilterError, NameFilter};
use std::collections::BTreeMap;
use verbatim_wire::cluster::{BrokerConfigs, ConfigSource, TopicConfig, TopicConfigs};

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

/// Limits of records' times: how a topic calls them, and how brokers call what holds for topics that do not say it (KIP-937).
const TIME_LIMITS: [(&str, &str); 2] = [
    ("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"),
    ("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"),
];
/// Before Kafka 3.6 there was one limit for both, and none at all by default.
const OLD_TIME_LIMIT: &str = "message.timestamp.difference.max.ms";

/// Limits that a target topic has to have so that it takes the times that the source has taken: those in which the target's brokers are
/// narrower than the source. Kafka 4.0 refuses by default what is an hour ahead; before, anything was taken.
pub(crate) fn wider_time_limits(source: &TopicConfigs, target: &BrokerConfigs) -> BTreeMap<String, String> {
    let of_source = |name: &str| {
        let found = source.get(name).or_else(|| source.get(OLD_TIME_LIMIT))?;
        found.value.as_ref()?.parse::<i64>().ok()
    };
    let wider = TIME_LIMITS.iter().filter_map(|(topic, broker)| {
        // A broker that does not know it has no such limit.
        let on_target: i64 = target.get(*broker)?.as_ref()?.parse().ok()?;
        let wanted = of_source(topic).unwrap_or(i64::MAX);
        (wanted > on_target).then(|| ((*topic).to_owned(), wanted.to_string()))
    });
    wider.collect()
}

const RETENTION: &str = "retention.ms";
/// No record is deleted for its age.
const FOR_EVER: &str = "-1";

/// Whether the topic stamps records with the time of their append.
///
/// A copy keeps the times that the producers gave, as they stand in the batches. They may be far older than the append, and so the copy
/// may not be deleted by them: what the source keeps would be gone. Its retention is switched off; `follow_retention` moves its start
/// with the source's instead.
pub(crate) fn has_append_times(source: &TopicConfigs) -> bool {
    let kind = source.get("message.timestamp.type").and_then(|config| config.value.as_deref());
    kind == Some("LogAppendTime")
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
        let carried = carried.filter_map(|(name, config)| Some((name.clone(), config.value.clone()?)));
        let for_ever = has_append_times(source).then(|| (RETENTION.to_owned(), FOR_EVER.to_owned()));
        carried.chain(for_ever).collect()
    }

    /// What has to be changed of a topic with `target` whose source has `source`.
    pub(crate) fn change(&self, source: &TopicConfigs, target: &TopicConfigs) -> ConfigChange {
        let mut change = ConfigChange::default();
        for (name, config) in source.iter().filter(|(name, config)| self.concerns(name, config)) {
            // A config that the target's version does not know cannot be set there.
            let Some(on_target) = target.get(name) else { continue };
            let Some(value) = &config.value else { continue };
            if name == RETENTION && has_append_times(source) {
                if on_target.value.as_deref() != Some(FOR_EVER) {
                    change.set.push((name.clone(), FOR_EVER.to_owned()));
                }
                continue;
            }
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

    /// By the times that the producers gave the target would delete what the source keeps.
    #[test]
    fn a_copy_of_append_times_is_not_deleted_by_those_of_producers() {
        let source =
            configs(&[("message.timestamp.type", "LogAppendTime", Topic), (RETENTION, "3600000", Topic)]);
        let created = rules(false).of_new_topic(&source);
        assert_eq!(created, [(RETENTION.to_owned(), FOR_EVER.to_owned())].into());
        let hour = configs(&[(RETENTION, "3600000", Topic)]);
        assert_eq!(rules(false).change(&source, &hour).set, [(RETENTION.to_owned(), FOR_EVER.to_owned())]);
        assert!(rules(false).change(&source, &configs(&[(RETENTION, FOR_EVER, Topic)])).is_empty());
        // The broker's own retention would do the same.
        let unset = configs(&[
            ("message.timestamp.type", "LogAppendTime", StaticBroker),
            (RETENTION, "604800000", Default),
        ]);
        assert_eq!(rules(false).of_new_topic(&unset), [(RETENTION.to_owned(), FOR_EVER.to_owned())].into());
    }

    #[test]
    fn a_copy_takes_the_times_that_its_source_took() {
        const AFTER: &str = "message.timestamp.after.max.ms";
        let most = i64::MAX.to_string();
        let broker = |after: &str| -> BrokerConfigs {
            [("before", most.as_str()), ("after", after)]
                .map(|(name, value)| (format!("log.message.timestamp.{name}.max.ms"), Some(value.to_owned())))
                .into()
        };
        let hour = broker("3600000");
        for (source, target, expected) in [
            (configs(&[(AFTER, &most, Default)]), &hour, Some(&*most)),
            (configs(&[(AFTER, "7200000", Topic)]), &hour, Some("7200000")),
            (configs(&[(AFTER, "3600000", Default)]), &hour, None),
            (configs(&[(AFTER, "1000", Topic)]), &hour, None),
            (
                configs(&[("message.timestamp.difference.max.ms", "86400000", StaticBroker)]),
                &hour,
                Some("86400000"),
            ),
            (configs(&[]), &broker(&most), None),
            (configs(&[(AFTER, &most, Default)]), &BrokerConfigs::new(), None),
        ] {
            let wider = wider_time_limits(&source, target);
            assert_eq!(wider.get(AFTER).map(String::as_str), expected, "{source:?}");
        }
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
