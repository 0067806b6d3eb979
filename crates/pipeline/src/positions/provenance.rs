//! What the state topics of a cluster tell of the flows that write to it: from which cluster they copy, and to which of its topics.
//!
//! Names do not tell where a topic came from when two processes, or two files, call clusters differently. State topics do: each flow
//! keeps its own on the cluster that it writes to, with the id of the cluster it reads from and the ids of its target topics.

use super::origins::STATE_TOPICS;
use super::{PositionError, PositionStore, TopicPositions};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError};
use verbatim_wire::primitives::TopicId;

/// The flows that bring records of one cluster to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Their names.
    pub flows: BTreeSet<String>,
    /// The topics that they have written to, each with the flow that has. A cluster without topic ids tells none.
    pub topics: HashMap<TopicId, String>,
}

impl Provenance {
    /// What flows from the cluster of id `from` have brought to `cluster`.
    ///
    /// # Errors
    /// When the state topics of `cluster` cannot be read.
    pub async fn read(cluster: &Cluster, from: &str) -> Result<Self, PositionError> {
        let failed = |source: ClusterError| PositionError::Cluster { topic: STATE_TOPICS.into(), source };
        let metadata = cluster.metadata(None).await.map_err(failed)?;
        let mut provenance = Self::default();
        for topic in metadata.topics().filter(|topic| topic.error == BrokerError::NONE) {
            let Some(flow) = topic.identity.name.strip_prefix(STATE_TOPICS) else { continue };
            let state = TopicPositions::open(cluster.clone(), flow).await?.load().await?;
            if !state.producers.contains_key(from) {
                continue;
            }
            provenance.flows.insert(flow.to_owned());
            let written = state.partitions.values().map(|stored| stored.summary.target_topic);
            let named = written.filter(|id| *id != TopicId::ZERO).map(|id| (id, flow.to_owned()));
            provenance.topics.extend(named);
        }
        Ok(provenance)
    }
}

/// Ids of the clusters whose records the flow called `flow` has copied to `target`, as its state there says; none, if it has no state.
///
/// # Errors
/// When its state cannot be read.
pub async fn sources_of(target: &Cluster, flow: &str) -> Result<BTreeSet<String>, PositionError> {
    let topic: Arc<str> = TopicPositions::state_topic(flow, 1).name;
    let failed = |source: ClusterError| PositionError::Cluster { topic: topic.clone(), source };
    let metadata = target.metadata(Some(std::slice::from_ref(&topic))).await.map_err(failed)?;
    if metadata.topic(&topic).is_none_or(|found| found.error == BrokerError::UNKNOWN_TOPIC_OR_PARTITION) {
        return Ok(BTreeSet::new());
    }
    let state = TopicPositions::open(target.clone(), flow).await?.load().await?;
    let sorted: BTreeMap<String, (i64, i16)> = state.producers.into_iter().collect();
    Ok(sorted.into_keys().collect())
}
