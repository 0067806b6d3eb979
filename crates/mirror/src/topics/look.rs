//! Reads what both clusters have of the topics that are copied.

use super::TopicSelection;
use super::plan::SeenTopic;
use crate::mirror::MirrorError;
use crate::said::Said;
use std::collections::HashMap;
use std::sync::Arc;
use verbatim_wire::cluster::{BrokerError, Cluster, TopicConfigs, TopicMetadata};

/// Where and for what is looked.
pub(crate) struct Looking<'a> {
    pub(crate) source: &'a Cluster,
    pub(crate) target: &'a Cluster,
    pub(crate) topics: &'a TopicSelection,
    /// Topics with the number of partitions that are being copied: they are passed over.
    pub(crate) known: &'a HashMap<Arc<str>, usize>,
}

/// The source topics that are copied, and the number of target brokers.
pub(crate) async fn look(
    looking: Looking<'_>,
    said: &mut Said,
) -> Result<(Vec<SeenTopic>, usize), MirrorError> {
    let Looking { source, target, topics, known } = looking;
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
    if found.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let names: Vec<Arc<str>> = found.iter().map(|(_, target)| target.clone()).collect();
    let on_target = target.metadata(Some(&names)).await.map_err(MirrorError::Target)?;
    let partitions_on_target = |name: &str| {
        let topic = on_target.topic(name).filter(|topic| topic.error == BrokerError::NONE)?;
        Some(topic.partitions.len())
    };
    let missing = found.iter().filter(|(_, target)| partitions_on_target(target).is_none());
    let missing: Vec<Arc<str>> = missing.map(|(topic, _)| topic.identity.name.clone()).collect();
    let configs = configs_of(source, &missing, said).await?;
    let seen = found.into_iter().map(|(topic, target)| SeenTopic {
        name: topic.identity.name.clone(),
        partitions: topic.partitions.len(),
        replicas: topic.partitions.first().map_or(1, |partition| partition.replicas),
        target_partitions: partitions_on_target(&target),
        target,
        configs: configs.get(&topic.identity.name).cloned(),
    });
    Ok((seen.collect(), on_target.brokers().len()))
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
