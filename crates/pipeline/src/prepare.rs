//! Before a topic is copied: both sides are looked at, and nothing is written unless all is well.

use crate::config::{FlowConfig, Start};
use crate::error::{FlowError, PartitionName, Side};
use crate::positions::{Position, PositionStore};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use verbatim_wire::cluster::{
    Backoff, BrokerError, Cluster, ClusterError, Metadata, OffsetAt, TopicMetadata,
};
use verbatim_wire::fetch::TopicIdentity;

/// A source topic and the topic it goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicPair {
    /// Name on the source.
    pub source: Arc<str>,
    /// Name on the target.
    pub target: Arc<str>,
}

/// A topic ready to be copied.
#[derive(Debug)]
pub(crate) struct PreparedTopic {
    pub(crate) source: TopicIdentity,
    pub(crate) target: TopicIdentity,
    pub(crate) target_max_message_bytes: usize,
    pub(crate) partitions: Vec<PreparedPartition>,
}

/// A partition ready to be copied.
#[derive(Debug)]
pub(crate) struct PreparedPartition {
    pub(crate) partition: i32,
    /// Broker id and leader epoch.
    pub(crate) source_leader: Option<(i32, i32)>,
    pub(crate) target_leader: Option<i32>,
    pub(crate) position: Position,
    /// Nothing of this flow can be on the target yet.
    pub(crate) is_untouched: bool,
}

/// What preparing needs.
#[derive(Debug)]
pub(crate) struct Preparer {
    pub(crate) config: FlowConfig,
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
}

/// Both sides' metadata of the topics to be copied.
pub(crate) struct Looked {
    pairs: Vec<TopicPair>,
    source: Arc<Metadata>,
    target: Arc<Metadata>,
}

/// How often a partition without a leader, or with a leader that does not answer, is looked at again.
const LOOKS: u32 = 20;

impl Preparer {
    /// Looks at `pairs` on both sides.
    ///
    /// # Errors
    /// When a topic is missing, or the target has too few partitions.
    pub(crate) async fn look(&self, pairs: &[TopicPair]) -> Result<Looked, FlowError> {
        let names = |name: fn(&TopicPair) -> &Arc<str>| pairs.iter().map(name).cloned().collect::<Vec<_>>();
        let (sources, targets) = (names(|pair| &pair.source), names(|pair| &pair.target));
        let (source, target) =
            tokio::join!(self.source.metadata(Some(&sources)), self.target.metadata(Some(&targets)));
        let looked = Looked {
            pairs: pairs.to_vec(),
            source: source.map_err(FlowError::Source)?,
            target: target.map_err(FlowError::Target)?,
        };
        for pair in pairs {
            let source_partitions = looked.source_topic(pair)?.partitions.len();
            let target_partitions = looked.target_topic(pair)?.partitions.len();
            if target_partitions < source_partitions {
                return Err(FlowError::TooFewPartitions {
                    source_topic: pair.source.clone(),
                    target: pair.target.clone(),
                    source_partitions,
                    target_partitions,
                });
            }
        }
        Ok(looked)
    }

    /// Finds where every partition starts and notes that on the target.
    pub(crate) async fn prepare(
        &self,
        looked: Looked,
        stored: &HashMap<PartitionName, Position>,
        store: &dyn PositionStore,
        producer_is_new: bool,
    ) -> Result<Vec<PreparedTopic>, FlowError> {
        let mut missing = Vec::new();
        for pair in &looked.pairs {
            for partition in &looked.source_topic(pair)?.partitions {
                let name = PartitionName { topic: pair.source.clone(), partition: partition.partition };
                if !stored.contains_key(&name) {
                    missing.push(name);
                }
            }
        }
        let (starts, limits) = tokio::join!(self.starts(&looked, missing), self.message_limits(&looked));
        let starts = starts?;
        let positions = |name: &PartitionName| stored.get(name).or_else(|| starts.get(name)).copied();
        let mut topics = Vec::new();
        for (pair, limit) in looked.pairs.iter().zip(limits) {
            let (source, target) = (looked.source_topic(pair)?, looked.target_topic(pair)?);
            let partitions = source.partitions.iter().filter_map(|found| {
                let name = PartitionName { topic: pair.source.clone(), partition: found.partition };
                let target_leader = looked.target.partition(&pair.target, found.partition).map(|p| p.leader);
                Some(PreparedPartition {
                    partition: found.partition,
                    source_leader: (found.leader >= 0).then_some((found.leader, found.leader_epoch)),
                    target_leader: target_leader.filter(|leader| *leader >= 0),
                    position: positions(&name)?,
                    is_untouched: producer_is_new && starts.contains_key(&name),
                })
            });
            topics.push(PreparedTopic {
                source: source.identity.clone(),
                target: target.identity.clone(),
                target_max_message_bytes: limit,
                partitions: partitions.collect(),
            });
        }
        // Sequence numbers are counted from here: a restart that cannot tell what was done must count from
        // the same offset, even if the source's log has begun later meanwhile.
        if !starts.is_empty() {
            store.save(starts.into_iter().collect()).await?;
        }
        Ok(topics)
    }

    /// Start positions: where the source is to be read from, and where the target ends, so that the first
    /// record has its place there too. All of them or an error: a partition left out would not be missed.
    async fn starts(
        &self,
        looked: &Looked,
        missing: Vec<PartitionName>,
    ) -> Result<HashMap<PartitionName, Position>, FlowError> {
        let at = match self.config.start {
            Start::Earliest => OffsetAt::Earliest,
            Start::Latest => OffsetAt::Latest,
        };
        let on_target = |name: &PartitionName| {
            let pair = looked.pairs.iter().find(|pair| pair.source == name.topic);
            PartitionName {
                topic: pair.map_or_else(|| name.topic.clone(), |pair| pair.target.clone()),
                partition: name.partition,
            }
        };
        let targets = missing.iter().map(on_target).collect();
        let (sources, ends) = tokio::join!(
            self.offsets(&self.source, looked.source.clone(), missing.clone(), at),
            self.offsets(&self.target, looked.target.clone(), targets, OffsetAt::Latest),
        );
        let (sources, ends) = (sources.map_err(FlowError::Source)?, ends.map_err(FlowError::Target)?);
        let start = |name: PartitionName| {
            let (source, end) = (sources.get(&name).copied(), ends.get(&on_target(&name)).copied());
            let side = if source.is_none() { Side::Source } else { Side::Target };
            let (Some(source), Some(end)) = (source, end) else {
                return Err(FlowError::NoLeader { name, side });
            };
            Ok((name, Position { target_offset: Some(end), ..Position::start(source) }))
        };
        missing.into_iter().map(start).collect()
    }

    /// An offset of each of `missing`, asked of the leaders; those that stay silent are left out.
    async fn offsets(
        &self,
        cluster: &Cluster,
        mut metadata: Arc<Metadata>,
        mut missing: Vec<PartitionName>,
        at: OffsetAt,
    ) -> Result<HashMap<PartitionName, i64>, ClusterError> {
        let mut offsets = HashMap::new();
        let mut backoff = Backoff::new(self.config.first_retry, Duration::from_millis(500), 3);
        for look in 0..LOOKS {
            if missing.is_empty() {
                break;
            }
            if look > 0 {
                tokio::time::sleep(backoff.pause()).await;
                let topics: Vec<Arc<str>> = missing.iter().map(|name| name.topic.clone()).collect();
                metadata = cluster.metadata(Some(&topics)).await?;
            }
            let mut by_leader: BTreeMap<i32, Vec<(Arc<str>, i32)>> = BTreeMap::new();
            for name in &missing {
                let leader = metadata.partition(&name.topic, name.partition).map_or(-1, |found| found.leader);
                by_leader.entry(leader).or_default().push((name.topic.clone(), name.partition));
            }
            for (leader, partitions) in by_leader.into_iter().filter(|(leader, _)| *leader >= 0) {
                match cluster.list_offsets(leader, &partitions, at).await {
                    Ok(found) => {
                        let good = found.into_iter().filter(|found| found.error == BrokerError::NONE);
                        offsets.extend(good.map(|found| {
                            let name = PartitionName { topic: found.topic, partition: found.partition };
                            (name, found.offset.max(0))
                        }));
                    }
                    Err(error) => tracing::debug!(leader, %error, "offsets not known yet"),
                }
            }
            missing.retain(|name| !offsets.contains_key(name));
        }
        Ok(offsets)
    }

    /// What each target topic takes in one batch, where we may know.
    async fn message_limits(&self, looked: &Looked) -> Vec<usize> {
        let targets: Vec<_> = looked.pairs.iter().map(|pair| pair.target.clone()).collect();
        let configs = match self.target.topic_configs(&targets).await {
            Ok(configs) => configs,
            Err(error) => {
                tracing::debug!(%error, "message limits not known");
                return vec![usize::MAX; targets.len()];
            }
        };
        let limit = |configs: Result<verbatim_wire::cluster::TopicConfigs, _>| {
            configs.ok()?.get("max.message.bytes")?.value.as_ref()?.parse().ok()
        };
        configs.into_iter().map(|configs| limit(configs).unwrap_or(usize::MAX)).collect()
    }
}

impl Looked {
    fn source_topic(&self, pair: &TopicPair) -> Result<&TopicMetadata, FlowError> {
        there(&self.source, &pair.source, Side::Source)
    }

    fn target_topic(&self, pair: &TopicPair) -> Result<&TopicMetadata, FlowError> {
        there(&self.target, &pair.target, Side::Target)
    }
}

fn there<'a>(metadata: &'a Metadata, name: &Arc<str>, side: Side) -> Result<&'a TopicMetadata, FlowError> {
    let found = metadata.topic(name);
    let missing = || FlowError::NoSuchTopic { topic: name.clone(), side };
    match found {
        Some(topic) if topic.error == BrokerError::NONE => Ok(topic),
        Some(topic) if topic.error != BrokerError::UNKNOWN_TOPIC_OR_PARTITION => {
            let error = ClusterError::Refused {
                request: "look at topic",
                subject: name.to_string(),
                code: topic.error,
                message: None,
            };
            Err(if side == Side::Source { FlowError::Source(error) } else { FlowError::Target(error) })
        }
        _ => Err(missing()),
    }
}
