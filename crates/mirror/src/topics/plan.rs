//! What the target lacks. Pure: takes what was seen, returns what to do.

use super::ConfigRules;
use crate::naming::is_reserved;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use verbatim_pipeline::{NewTopic, TopicPair};
use verbatim_wire::cluster::TopicConfigs;

/// A source topic and what the target has of it.
#[derive(Debug, Clone)]
pub(crate) struct SeenTopic {
    pub(crate) name: Arc<str>,
    /// Name on the target.
    pub(crate) target: Arc<str>,
    pub(crate) partitions: usize,
    pub(crate) replicas: usize,
    /// Partitions of the target topic, if it exists.
    pub(crate) target_partitions: Option<usize>,
    /// Configs of the source topic, if we may read them and need to.
    pub(crate) configs: Option<TopicConfigs>,
    /// Limits that the target topic needs to take what the source has taken.
    pub(crate) limits: BTreeMap<String, String>,
    /// The flow that has brought it to the source from the target, if one has.
    pub(crate) brought_by: Option<String>,
}

/// What is to be done about topics.
#[derive(Debug, Default)]
pub struct TopicPlan {
    /// Topics to copy that the target has or will have.
    pub pairs: Vec<TopicPair>,
    /// Topics to create on the target first.
    pub create: Vec<NewTopic>,
    /// Target topics that need more partitions first: how many they have and how many they need.
    pub grow: Vec<Growth>,
    /// Topics that cannot be copied.
    pub problems: Vec<TopicProblem>,
}

/// A target topic that needs more partitions: a record keeps its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// Name on the target.
    pub topic: Arc<str>,
    /// Partitions it has.
    pub from: usize,
    /// Partitions it needs.
    pub to: usize,
}

/// Why a topic cannot be copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicProblem {
    /// Records of two topics would be mixed.
    #[error(
        "topics {first} and {second} would both be called {target} on the target; {second} is not copied"
    )]
    SameTarget {
        /// The topic that keeps the name.
        first: Arc<str>,
        /// The topic that is not copied.
        second: Arc<str>,
        /// Name on the target.
        target: Arc<str>,
    },
    /// It is a copy of what the target has: copied back, the same records would go round for ever.
    #[error(
        "topic {topic} is not copied: flow {flow} has brought it to the source cluster from the target cluster, and copying it back would send \
         the same records round without end. If flow {flow} is to go on, write both ways into one file; if it is over, stop it and delete its \
         state, topic __verbatim.{flow}, on the source cluster"
    )]
    CameFromTarget {
        /// The topic that is not copied.
        topic: Arc<str>,
        /// The flow that has copied it.
        flow: String,
    },
    /// Kafka or a flow would read there what it has not written.
    #[error(
        "topic {topic} would be called {target} on the target, which Kafka or verbatim keeps for itself; it is not copied"
    )]
    Reserved {
        /// The topic that is not copied.
        topic: Arc<str>,
        /// Name on the target.
        target: Arc<str>,
    },
}

impl TopicProblem {
    /// The topic that is not copied.
    pub fn topic(&self) -> &Arc<str> {
        match self {
            Self::SameTarget { second: topic, .. }
            | Self::Reserved { topic, .. }
            | Self::CameFromTarget { topic, .. } => topic,
        }
    }
}

/// How topics are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Making<'a> {
    pub(crate) target_brokers: usize,
    /// Replicas; `None` for as many as on the source.
    pub(crate) replication_factor: Option<i16>,
    pub(crate) configs: &'a ConfigRules,
}

/// Plans for `topics`. Names on the target that `taken` holds belong to the source topics it says.
pub(crate) fn plan(
    topics: Vec<SeenTopic>,
    taken: &HashMap<Arc<str>, Arc<str>>,
    making: Making<'_>,
) -> TopicPlan {
    let mut plan = TopicPlan::default();
    let mut taken = taken.clone();
    for seen in topics {
        if is_reserved(&seen.target) {
            plan.problems.push(TopicProblem::Reserved { topic: seen.name, target: seen.target });
            continue;
        }
        if let Some(flow) = seen.brought_by {
            plan.problems.push(TopicProblem::CameFromTarget { topic: seen.name, flow });
            continue;
        }
        let first = taken.entry(seen.target.clone()).or_insert_with(|| seen.name.clone());
        if *first != seen.name {
            let problem =
                TopicProblem::SameTarget { first: first.clone(), second: seen.name, target: seen.target };
            plan.problems.push(problem);
            continue;
        }
        match seen.target_partitions {
            Some(from) if from < seen.partitions => {
                plan.grow.push(Growth { topic: seen.target.clone(), from, to: seen.partitions });
            }
            Some(_) => {}
            None => plan.create.push(new_topic(&seen, making)),
        }
        plan.pairs.push(TopicPair { source: seen.name, target: seen.target, start: None, limit: None });
    }
    plan
}

fn new_topic(seen: &SeenTopic, making: Making<'_>) -> NewTopic {
    let as_on_source = || i16::try_from(seen.replicas.clamp(1, making.target_brokers.max(1))).unwrap_or(1);
    NewTopic {
        name: seen.target.clone(),
        partitions: i32::try_from(seen.partitions).unwrap_or(i32::MAX),
        replication_factor: making.replication_factor.unwrap_or_else(as_on_source),
        configs: seen
            .configs
            .as_ref()
            .map(|configs| making.configs.of_new_topic(configs))
            .unwrap_or_default()
            .into_iter()
            .chain(seen.limits.clone())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::configs::EXCLUDED;
    use super::*;
    use verbatim_wire::cluster::{ConfigSource, TopicConfig};

    fn seen(name: &str, target: &str, target_partitions: Option<usize>) -> SeenTopic {
        let set = |value: &str, source| TopicConfig {
            value: Some(value.to_owned()),
            source,
            is_read_only: false,
            is_sensitive: false,
        };
        let configs = [
            ("cleanup.policy".to_owned(), set("compact", ConfigSource::Topic)),
            ("retention.ms".to_owned(), set("1000", ConfigSource::Default)),
        ];
        SeenTopic {
            name: name.into(),
            target: target.into(),
            partitions: 4,
            replicas: 3,
            target_partitions,
            configs: Some(configs.into()),
            limits: BTreeMap::new(),
            brought_by: None,
        }
    }

    fn plan_of(topics: Vec<SeenTopic>, replication_factor: Option<i16>) -> TopicPlan {
        let configs = &ConfigRules::new(&EXCLUDED, false).unwrap();
        plan(topics, &HashMap::new(), Making { target_brokers: 2, replication_factor, configs })
    }

    #[test]
    fn missing_topics_are_created_as_the_source_has_them_and_small_ones_grow() {
        let topics = vec![seen("a", "x.a", None), seen("b", "x.b", Some(5)), seen("c", "x.c", Some(3))];
        let plan = plan_of(topics.clone(), None);
        let [new] = &plan.create[..] else { panic!("{plan:?}") };
        assert_eq!((&*new.name, new.partitions, new.replication_factor), ("x.a", 4, 2));
        assert_eq!(new.configs, [("cleanup.policy".to_owned(), "compact".to_owned())].into());
        assert_eq!(plan.grow, [Growth { topic: "x.c".into(), from: 3, to: 4 }]);
        let pairs: Vec<_> = plan.pairs.iter().map(|pair| (&*pair.source, &*pair.target)).collect();
        assert_eq!(pairs, [("a", "x.a"), ("b", "x.b"), ("c", "x.c")]);
        assert_eq!(plan_of(topics, Some(3)).create.first().map(|new| new.replication_factor), Some(3));
    }

    #[test]
    fn what_others_keep_for_themselves_is_never_written() {
        use crate::naming::{Naming, Template, TopicNaming};
        let template = |text| Naming::Template(Template::new(text).unwrap());
        for (source, naming, topic, target) in [
            ("__verbatim", Naming::default(), "east-west", "__verbatim.east-west"),
            ("a", template("__{topic}"), "consumer_offsets", "__consumer_offsets"),
            ("a", template("__{topic}"), "verbatim.a-b", "__verbatim.a-b"),
            ("__cluster", template("{source}_{topic}"), "metadata", "__cluster_metadata"),
        ] {
            let naming = TopicNaming { source: source.to_owned(), naming, map: Default::default() };
            assert_eq!(naming.target_of(topic), target);
            let plan = plan_of(vec![seen(topic, target, Some(1)), seen("b", "x.b", None)], None);
            assert_eq!((plan.pairs.len(), plan.create.len(), plan.grow.len()), (1, 1, 0), "{plan:?}");
            let problem = plan.problems.first().unwrap();
            assert_eq!(&**problem.topic(), topic);
            assert!(problem.to_string().contains(target), "{problem}");
        }
    }

    #[test]
    fn two_topics_do_not_share_a_name() {
        let plan = plan_of(vec![seen("a", "x", None), seen("b", "x", None)], None);
        assert_eq!((plan.pairs.len(), plan.create.len()), (1, 1));
        let problem = plan.problems.first().unwrap();
        assert!(problem.to_string().contains("topics a and b would both be called x"), "{problem}");
    }
}
