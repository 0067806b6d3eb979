//! What the target lacks. Pure: takes what was seen, returns what to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use verbatim_pipeline::TopicPair;
use verbatim_wire::cluster::{NewTopic, TopicConfigs};

/// A source topic and what the target has of it.
#[derive(Debug, Clone)]
pub(crate) struct SeenTopic {
    pub(crate) name: Arc<str>,
    pub(crate) partitions: usize,
    pub(crate) replicas: usize,
    /// Partitions of the target topic, if it exists.
    pub(crate) target_partitions: Option<usize>,
    /// Configs of the source topic, if we may read them and need to.
    pub(crate) configs: Option<TopicConfigs>,
}

/// What is to be done about topics.
#[derive(Debug, Default)]
pub struct TopicPlan {
    /// Topics to copy that the target has or will have.
    pub pairs: Vec<TopicPair>,
    /// Topics to create on the target first.
    pub create: Vec<NewTopic>,
    /// Topics that cannot be copied.
    pub problems: Vec<TopicProblem>,
}

/// Why a topic cannot be copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicProblem {
    /// A record must keep its partition.
    #[error(
        "topic {topic} has fewer partitions on the target ({target}) than on the source ({source_partitions}); add \
         partitions on the target: kafka-topics --alter --topic {topic} --partitions {source_partitions}"
    )]
    TooFewPartitions {
        /// Topic.
        topic: Arc<str>,
        /// Partitions on the source.
        source_partitions: usize,
        /// Partitions on the target.
        target: usize,
    },
}

/// Configs that are not carried over, and why.
const NOT_CARRIED: &[&str] = &[
    // Name brokers of the source.
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    // Concern the durability of the target, whose operator decides.
    "min.insync.replicas",
    "unclean.leader.election.enable",
    // Would replace the times of the records (as MirrorMaker 2 sees it too).
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
];

/// Plans for `topics`, on a target of `target_brokers` brokers.
pub(crate) fn plan(topics: Vec<SeenTopic>, target_brokers: usize) -> TopicPlan {
    let mut plan = TopicPlan::default();
    for seen in topics {
        match seen.target_partitions {
            Some(target) if target < seen.partitions => {
                plan.problems.push(TopicProblem::TooFewPartitions {
                    topic: seen.name,
                    source_partitions: seen.partitions,
                    target,
                });
                continue;
            }
            Some(_) => {}
            None => plan.create.push(new_topic(&seen, target_brokers)),
        }
        plan.pairs.push(TopicPair::same(seen.name));
    }
    plan
}

fn new_topic(seen: &SeenTopic, target_brokers: usize) -> NewTopic {
    let replicas = seen.replicas.clamp(1, target_brokers.max(1));
    let configs = seen.configs.iter().flatten();
    let carried =
        configs.filter(|(name, config)| config.is_topic_override && !NOT_CARRIED.contains(&name.as_str()));
    let configs: BTreeMap<String, String> =
        carried.filter_map(|(name, config)| Some((name.clone(), config.value.clone()?))).collect();
    NewTopic {
        name: seen.name.clone(),
        partitions: i32::try_from(seen.partitions).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(replicas).unwrap_or(1),
        configs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use verbatim_wire::cluster::TopicConfig;

    fn seen(name: &str, target_partitions: Option<usize>) -> SeenTopic {
        let set =
            |value: &str, is_topic_override| TopicConfig { value: Some(value.to_owned()), is_topic_override };
        let configs = [
            ("cleanup.policy".to_owned(), set("compact", true)),
            ("retention.ms".to_owned(), set("1000", false)),
            ("compression.type".to_owned(), set("zstd", true)),
        ];
        SeenTopic {
            name: name.into(),
            partitions: 4,
            replicas: 3,
            target_partitions,
            configs: Some(configs.into()),
        }
    }

    #[test]
    fn missing_topics_are_created_as_the_source_has_them() {
        let plan = plan(vec![seen("a", None), seen("b", Some(4)), seen("c", Some(3))], 2);
        let [new] = &plan.create[..] else { panic!("{plan:?}") };
        assert_eq!((&*new.name, new.partitions, new.replication_factor), ("a", 4, 2));
        assert_eq!(new.configs, [("cleanup.policy".to_owned(), "compact".to_owned())].into());
        assert_eq!(plan.pairs.iter().map(|pair| &*pair.source).collect::<Vec<_>>(), ["a", "b"]);
        let problem = plan.problems[0].to_string();
        assert!(
            problem.contains("topic c has fewer partitions on the target (3)")
                && problem.contains("--partitions 4"),
            "{problem}"
        );
    }
}
