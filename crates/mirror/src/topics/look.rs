//! Reads what both clusters have of the topics that are copied.

use super::TopicSelection;
use super::configs::{has_append_times, wider_time_limits};
use super::plan::SeenTopic;
use crate::mirror::MirrorError;
use crate::said::Said;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use verbatim_pipeline::{PositionError, Provenance};
use verbatim_wire::cluster::{BrokerConfigs, BrokerError, Cluster, TopicConfigs, TopicMetadata};

/// Where and for what is looked.
pub(crate) struct Looking<'a> {
    pub(crate) source: &'a Cluster,
    pub(crate) target: &'a Cluster,
    pub(crate) topics: &'a TopicSelection,
    /// Topics with the number of partitions that are being copied: they are passed over.
    pub(crate) known: &'a HashMap<Arc<str>, usize>,
    /// Whether topics that came from the target are left out; not, where records are told apart by who wrote them.
    pub(crate) asks_provenance: bool,
    /// Whether topics that would have to be created are looked at twice where flows lead back: what a flow brings is there before its state
    /// says so.
    pub(crate) settles: bool,
}

/// How long a topic has to be there until it is clear that no flow has brought it: flows note a topic before they write to it.
const SETTLED: Duration = Duration::from_secs(10);

/// The source topics that are copied, and the number of target brokers.
pub(crate) async fn look(
    looking: Looking<'_>,
    said: &mut Said,
) -> Result<(Vec<SeenTopic>, usize), MirrorError> {
    let Looking { source, target, topics, known, asks_provenance, settles } = looking;
    let metadata = source.metadata(None).await.map_err(MirrorError::Source)?;
    let is_new = |topic: &&TopicMetadata| known.get(&topic.identity.name) != Some(&topic.partitions.len());
    let usable = |topic: &&TopicMetadata| topic.error == BrokerError::NONE && !topic.is_internal;
    let mut found: Vec<(&TopicMetadata, Arc<str>)> = Vec::new();
    for topic in metadata.topics().filter(is_new).filter(usable) {
        let name = &topic.identity.name;
        if let Some(target) = topics.target_of(name) {
            found.push((topic, target));
        } else if topics.is_left_out_as_cycle(name) && said.is_news(&format!("cycle {name}"), "") {
            tracing::info!("topic {name} is not copied: by its name it came from {}", topics.target);
        } else if topics.filter.is_meant_in_vain(name) && said.is_news(&format!("in vain {name}"), "") {
            tracing::info!(
                "topic {name} is not copied although it matches: topics of such names are those that MirrorMaker 2 keeps for itself"
            );
        }
    }
    let provenance = match asks_provenance && !found.is_empty() {
        true => provenance(source, target, said).await?,
        false => Provenance::default(),
    };
    if found.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let names: Vec<Arc<str>> = found.iter().map(|(_, target)| target.clone()).collect();
    let on_target = target.metadata(Some(&names)).await.map_err(MirrorError::Target)?;
    let partitions_on_target = |name: &str| {
        let topic = on_target.topic(name).filter(|topic| topic.error == BrokerError::NONE)?;
        Some(topic.partitions.len())
    };
    if settles && !provenance.flows.is_empty() {
        found.retain(|(topic, target)| {
            let is_told = provenance.topics.contains_key(&topic.identity.id);
            let is_there = partitions_on_target(target).is_some();
            is_told || is_there || said.is_older_than(SETTLED, &format!("topic {}", topic.identity.id))
        });
    }
    let missing = found.iter().filter(|(_, target)| partitions_on_target(target).is_none());
    let missing: Vec<Arc<str>> = missing.map(|(topic, _)| topic.identity.name.clone()).collect();
    let configs = configs_of(source, &missing, said).await?;
    for (topic, _) in configs.iter().filter(|(_, configs)| has_append_times(configs)) {
        if said.is_news(&format!("append times of {topic}"), "") {
            tracing::info!(
                "topic {topic} has append times on the source, and its copy has the times that the producers gave: it is created with \
                 retention.ms=-1, because by those the target would delete what the source keeps; follow_retention makes its start \
                 follow the source's"
            );
        }
    }
    let limits = limits_of(target, configs.values(), said).await;
    let limits =
        |name: &str| configs.get(name).map(|found| wider_time_limits(found, &limits)).unwrap_or_default();
    let seen = found.into_iter().map(|(topic, target)| SeenTopic {
        name: topic.identity.name.clone(),
        partitions: topic.partitions.len(),
        replicas: topic.partitions.first().map_or(1, |partition| partition.replicas),
        target_partitions: partitions_on_target(&target),
        target,
        configs: configs.get(&topic.identity.name).cloned(),
        limits: limits(&topic.identity.name),
        brought_by: provenance.topics.get(&topic.identity.id).cloned(),
    });
    Ok((seen.collect(), on_target.brokers().len()))
}

/// What other flows have brought to the source from the target.
async fn provenance(source: &Cluster, target: &Cluster, said: &mut Said) -> Result<Provenance, MirrorError> {
    if target.id().is_empty() {
        return Ok(Provenance::default());
    }
    match Provenance::read(source, target.id()).await {
        Ok(provenance) => Ok(provenance),
        Err(PositionError::Cluster { source: error, .. }) if error.broker_error().is_none() => {
            Err(MirrorError::Source(error))
        }
        Err(error) => {
            if said.is_news("provenance", &error) {
                tracing::warn!(
                    "whether topics of the source came from the target cannot be seen: {error}; grant READ on topics that begin with __verbatim."
                );
            }
            Ok(Provenance::default())
        }
    }
}

/// What a broker of the target works with, if topics have to be created; nothing, where it may not be asked.
async fn limits_of(
    target: &Cluster,
    mut created: impl Iterator<Item = &TopicConfigs>,
    said: &mut Said,
) -> BrokerConfigs {
    let Some(node) =
        created.next().and_then(|_| target.brokers().brokers().first().map(|broker| broker.node))
    else {
        return BrokerConfigs::new();
    };
    match target.broker_configs(node).await {
        Ok(configs) => configs,
        Err(error) => {
            if said.is_news("limits of the target", &error) {
                tracing::info!(
                    "topics are created with the target's own limits for the times of records, because its brokers' configs cannot be read \
                     (DESCRIBE_CONFIGS on the cluster): {error}"
                );
            }
            BrokerConfigs::new()
        }
    }
}

/// Configs of the topics that have to be created; those we may not read are created with defaults.
async fn configs_of(
    source: &Cluster,
    topics: &[Arc<str>],
    said: &mut Said,
) -> Result<HashMap<Arc<str>, TopicConfigs>, MirrorError> {
    if topics.is_empty() {
        return Ok(HashMap::new());
    }
    let described = source.topic_configs(topics).await.map_err(MirrorError::Source)?;
    let mut configs = HashMap::new();
    for (topic, outcome) in topics.iter().zip(described) {
        match outcome {
            Ok(found) => drop(configs.insert(topic.clone(), found)),
            Err(error) => {
                if said.is_news(&format!("configs of {topic}"), &error) {
                    tracing::warn!(
                        "topic {topic} is created with the target's defaults, because its configs cannot be read: source \
                         cluster: {error}"
                    );
                }
            }
        }
    }
    Ok(configs)
}
