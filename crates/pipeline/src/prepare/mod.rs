//! Before a topic is copied: both sides are looked at, and nothing is written unless all is well.

mod decide;
mod starts;
mod traits;

use crate::config::{FlowConfig, Start};
use crate::error::{FlowError, PartitionName, Side, StopReason};
use crate::flow::route::{SourceTraits, TargetTraits};
use crate::partition::Leader;
use crate::positions::{
    Claimed, OffsetMap, OffsetsHeld, PartitionChange, Position, PositionStore, StoredPartition, Summary,
};
use crate::rate::RateLimit;
use starts::StartFound;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError, Metadata, TopicMetadata};
use verbatim_wire::fetch::TopicIdentity;
use verbatim_wire::primitives::TopicId;

/// A source topic and the topic it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPair {
    /// Name on the source.
    pub source: Arc<str>,
    /// Name on the target.
    pub target: Arc<str>,
    /// Where its partitions start, unless as the flow says.
    pub start: Option<Start>,
    /// How fast it is written, besides what holds for the flow.
    pub limit: Option<RateLimit>,
}

impl TopicPair {
    /// A topic of the same name on both sides.
    pub fn same(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        Self { source: name.clone(), target: name, start: None, limit: None }
    }
}

/// A topic ready to be copied.
#[derive(Debug)]
pub(crate) struct PreparedTopic {
    pub(crate) source: TopicIdentity,
    pub(crate) target: TopicIdentity,
    pub(crate) source_traits: SourceTraits,
    pub(crate) target_traits: TargetTraits,
    pub(crate) limit: Option<RateLimit>,
    pub(crate) partitions: Vec<PreparedPartition>,
}

/// A partition ready to be copied.
#[derive(Debug)]
pub(crate) struct PreparedPartition {
    pub(crate) partition: i32,
    pub(crate) source_leader: Option<Leader>,
    pub(crate) target_leader: Option<Leader>,
    pub(crate) stored: StoredPartition,
    pub(crate) translated_because: Option<Arc<str>>,
    /// Nothing of this flow can be on the target yet.
    pub(crate) is_untouched: bool,
    /// Nothing is copied yet, and it starts where the log does.
    pub(crate) follows_log_start: bool,
    /// A topic is not the one that was copied.
    pub(crate) accident: Option<FoundAccident>,
}

/// What was found out before anything was started.
#[derive(Debug)]
pub(crate) enum FoundAccident {
    Stop(StopReason),
    /// The source topic is another one, of this id.
    SourceRecreated(TopicId),
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

/// How long to wait between looks while another instance holds the claim.
const CLAIM_PAUSE: Duration = Duration::from_millis(100);

/// What the flow knows already.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) stored: &'a HashMap<PartitionName, StoredPartition>,
    /// Partitions being copied.
    pub(crate) running: &'a HashSet<PartitionName>,
    /// The flow has never written anything.
    pub(crate) is_new: bool,
}

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
        known: Known<'_>,
        store: &dyn PositionStore,
    ) -> Result<Vec<PreparedTopic>, FlowError> {
        if missing(&looked, known.stored, known.running)?.is_empty() {
            let (prepared, _) = self.put_together(&looked, &known, &HashMap::new()).await?;
            return Ok(prepared);
        }
        // Where partitions start is decided once: by one instance at a time, which notes it before another looks.
        loop {
            let stored = &store.load().await?.partitions;
            let missing = missing(&looked, stored, known.running)?;
            let claim = match store.claim().await? {
                Claimed::Theirs(wait) if !missing.is_empty() => {
                    tokio::time::sleep(wait.min(CLAIM_PAUSE)).await;
                    continue;
                }
                Claimed::Theirs(_) => None,
                Claimed::Ours(claim) => Some(claim),
            };
            // What was missing may have been noted before the claim was granted.
            let stored = &store.load().await?.partitions;
            let missing = self::missing(&looked, stored, known.running)?;
            let starts = self.starts(&looked, missing).await?;
            let known = Known { stored, ..known };
            let (prepared, changes) = self.put_together(&looked, &known, &starts).await?;
            if !changes.is_empty() {
                // Looking took its time: is the claim still the same?
                let is_same = |claimed: &Claimed| matches!((claimed, claim), (Claimed::Ours(now), Some(then)) if now.number == then.number);
                if !is_same(&store.claim().await?) {
                    continue;
                }
                store.save(changes).await?;
            }
            store.release().await?;
            return Ok(prepared);
        }
    }

    /// Every partition that is not running yet, with what is stored of it or where it starts; and what of that is
    /// to be stored.
    async fn put_together(
        &self,
        looked: &Looked,
        known: &Known<'_>,
        starts: &HashMap<PartitionName, StartFound>,
    ) -> Result<(Vec<PreparedTopic>, Vec<PartitionChange>), FlowError> {
        let (traits, can_fill) =
            tokio::join!(self.traits(looked), async { !starts.is_empty() && self.target_can_fill().await });
        let mut topics = Vec::new();
        let mut changes = Vec::new();
        for (pair, (source_traits, target_traits)) in looked.pairs.iter().zip(traits) {
            let (source, target) = (looked.source_topic(pair)?, looked.target_topic(pair)?);
            let ids = (source.identity.id, target.identity.id);
            let mut partitions = Vec::new();
            for found in &source.partitions {
                let name = PartitionName { topic: pair.source.clone(), partition: found.partition };
                if known.running.contains(&name) {
                    continue;
                }
                let leader = |leader: i32, epoch: i32| (leader >= 0).then_some((leader, epoch));
                let on_target = looked.target.partition(&pair.target, found.partition);
                let mut prepared = PreparedPartition {
                    partition: found.partition,
                    source_leader: leader(found.leader, found.leader_epoch),
                    target_leader: on_target.and_then(|p| leader(p.leader, p.leader_epoch)),
                    stored: StoredPartition::nothing(),
                    translated_because: None,
                    is_untouched: known.is_new,
                    follows_log_start: false,
                    accident: None,
                };
                if let Some(stored) = known.stored.get(&name) {
                    prepared.is_untouched = false;
                    prepared.accident = accident(&stored.summary, ids);
                    prepared.stored = stored.clone();
                } else if let Some(start) = starts.get(&name) {
                    let decided = self.decide(start, source_traits, can_fill);
                    let position = decided.position;
                    if decided.offsets == OffsetsHeld::Preserved && start.target_end > 0 {
                        prepared.is_untouched = false;
                    }
                    prepared.accident = decided.impossible.map(FoundAccident::Stop);
                    prepared.follows_log_start = start.follows_log_start;
                    prepared.translated_because = decided.because;
                    prepared.stored = StoredPartition {
                        summary: Summary {
                            position,
                            offsets: decided.offsets,
                            source_topic: ids.0,
                            target_topic: ids.1,
                            map_from: position.target_offset,
                            map_to: position.target_offset,
                        },
                        map: OffsetMap::starting_at(position.source_offset, position.target_offset),
                        gaps: Vec::new(),
                        is_set_back: false,
                    };
                    if prepared.accident.is_none() {
                        changes.push(PartitionChange {
                            name,
                            summary: Some(prepared.stored.summary),
                            chunks: Vec::new(),
                            gaps: Vec::new(),
                            forgotten_gaps: Vec::new(),
                        });
                    }
                } else {
                    continue;
                }
                partitions.push(prepared);
            }
            topics.push(PreparedTopic {
                source: source.identity.clone(),
                target: target.identity.clone(),
                source_traits,
                target_traits,
                limit: pair.limit.clone(),
                partitions,
            });
        }
        // Sequence numbers are counted from the starts: a restart that cannot tell what was done must count from
        // the same offset, even if the source's log has begun later meanwhile.
        Ok((topics, changes))
    }
}

impl Looked {
    pub(crate) fn source_topic(&self, pair: &TopicPair) -> Result<&TopicMetadata, FlowError> {
        there(&self.source, &pair.source, Side::Source)
    }

    pub(crate) fn target_topic(&self, pair: &TopicPair) -> Result<&TopicMetadata, FlowError> {
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

/// Partitions of which it is not known where they start.
fn missing(
    looked: &Looked,
    stored: &HashMap<PartitionName, StoredPartition>,
    running: &HashSet<PartitionName>,
) -> Result<Vec<PartitionName>, FlowError> {
    let mut missing = Vec::new();
    for pair in &looked.pairs {
        for partition in &looked.source_topic(pair)?.partitions {
            let name = PartitionName { topic: pair.source.clone(), partition: partition.partition };
            if !stored.contains_key(&name) && !running.contains(&name) {
                missing.push(name);
            }
        }
    }
    Ok(missing)
}

/// Whether the topics are those that were copied.
fn accident(summary: &Summary, (source, target): (TopicId, TopicId)) -> Option<FoundAccident> {
    let differs = |known: TopicId, id: TopicId| known != id && known != TopicId::ZERO && id != TopicId::ZERO;
    if differs(summary.target_topic, target) {
        return Some(FoundAccident::Stop(StopReason::Recreated { side: Side::Target }));
    }
    differs(summary.source_topic, source).then_some(FoundAccident::SourceRecreated(source))
}

impl StoredPartition {
    fn nothing() -> Self {
        let summary = Summary {
            position: Position::start(0, 0),
            offsets: OffsetsHeld::Translated,
            source_topic: TopicId::ZERO,
            target_topic: TopicId::ZERO,
            map_from: 0,
            map_to: 0,
        };
        Self { summary, map: OffsetMap::default(), gaps: Vec::new(), is_set_back: false }
    }
}
