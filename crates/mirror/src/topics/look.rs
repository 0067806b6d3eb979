//! Reads what both clusters have of the topics that match.

use super::TopicFilter;
use super::plan::SeenTopic;
use crate::mirror::MirrorError;
use std::collections::HashMap;
use std::sync::Arc;
use verbatim_wire::cluster::{BrokerError, Cluster, TopicConfigs, TopicMetadata};

/// The source topics that match, and the number of target brokers. Topics in `known` with the partitions
/// named there are passed over.
pub(crate) async fn look(
    source: &Cluster,
    target: &Cluster,
    filter: &TopicFilter,
    known: &HashMap<Arc<str>, usize>,
) -> Result<(Vec<SeenTopic>, usize), MirrorError> {
    let metadata = source.metadata(None).await.map_err(MirrorError::Source)?;
    let is_new = |topic: &&TopicMetadata| known.get(&topic.identity.name) != Some(&topic.partitions.len());
    let matching = |topic: &&TopicMetadata| {
        topic.error == BrokerError::NONE && !topic.is_internal && filter.matches(&topic.identity.name)
    };
    let found: Vec<&TopicMetadata> = metadata.topics().filter(matching).filter(is_new).collect();
    if found.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let names: Vec<Arc<str>> = found.iter().map(|topic| topic.identity.name.clone()).collect();
    let on_target = target.metadata(Some(&names)).await.map_err(MirrorError::Target)?;
    let partitions_on_target = |name: &str| {
        let topic = on_target.topic(name).filter(|topic| topic.error == BrokerError::NONE)?;
        Some(topic.partitions.len())
    };
    let missing: Vec<Arc<str>> =
        names.iter().filter(|name| partitions_on_target(name).is_none()).cloned().collect();
    let configs = configs_of(source, &missing).await?;
    let seen = found.into_iter().map(|topic| SeenTopic {
        name: topic.identity.name.clone(),
        partitions: topic.partitions.len(),
        replicas: topic.partitions.first().map_or(1, |partition| partition.replicas),
        target_partitions: partitions_on_target(&topic.identity.name),
        configs: configs.get(&topic.identity.name).cloned(),
    });
    Ok((seen.collect(), on_target.brokers().len()))
}

/// Configs of the topics that have to be created; those we may not read are created with defaults.
async fn configs_of(
    source: &Cluster,
    topics: &[Arc<str>],
) -> Result<HashMap<Arc<str>, TopicConfigs>, MirrorError> {
    if topics.is_empty() {
        return Ok(HashMap::new());
    }
    let described = source.topic_configs(topics).await.map_err(MirrorError::Source)?;
    let mut configs = HashMap::new();
    for (topic, outcome) in topics.iter().zip(described) {
        match outcome {
            Ok(found) => drop(configs.insert(topic.clone(), found)),
            Err(error) => tracing::warn!(
                %error,
                "topic {topic} is created with the target's defaults; grant DESCRIBE_CONFIGS on it to carry its configs over"
            ),
        }
    }
    Ok(configs)
}
