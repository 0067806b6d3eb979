//! What MirrorMaker 2 left behind of one flow, and where to go on.

use super::noted::{Offsets, positions, syncs};
use super::tail::{Found, find};
use crate::config::{FlowSettings, SyncsLocation};
use crate::topics::TopicSelection;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError, PartitionLog};

/// How long MirrorMaker 2 may take to be gone from its group: a killed one is missed after its session timeout, 10 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nothing could be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// The source failed us.
    #[error("source cluster: {0}")]
    Source(#[source] ClusterError),
    /// The target failed us.
    #[error("target cluster: {0}")]
    Target(#[source] ClusterError),
    /// It still runs.
    #[error(
        "MirrorMaker 2 still runs: group {group} on the target cluster has members; stop it first, or both would copy"
    )]
    Running {
        /// Its group.
        group: String,
    },
    /// It never ran, or keeps its positions elsewhere.
    #[error(
        "there is nothing to take over: topic {topic} is not on the target cluster; leave --takeover out to copy from the start"
    )]
    Nothing {
        /// Where its positions are expected.
        topic: String,
    },
}

/// What was found of one flow.
#[derive(Debug, Clone, Default)]
pub struct Takeover {
    /// By topic and partition of the source.
    pub partitions: BTreeMap<(Arc<str>, i32), TakenPartition>,
}

/// What was found of one partition. Offsets are those of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenPartition {
    /// The last record noted as copied.
    pub noted: Option<i64>,
    /// The last record that an offset sync names.
    pub synced: Option<i64>,
    /// The record that the target ends with, and how many records up to it were compared.
    pub found: Option<(i64, usize)>,
    /// Records that the target holds.
    pub held: i64,
    /// Where copying begins.
    pub start: i64,
}

impl Takeover {
    /// Where the partitions of a source topic start.
    pub(crate) fn starts(&self, topic: &str) -> BTreeMap<i32, i64> {
        let of_topic = self.partitions.iter().filter(|((name, _), _)| **name == *topic);
        of_topic.map(|((_, partition), taken)| (*partition, taken.start)).collect()
    }
}

impl fmt::Display for Takeover {
    /// A line for each partition.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |offset: Option<i64>| offset.map_or_else(|| "nothing".to_owned(), |offset| offset.to_string());
        for ((topic, partition), taken) in &self.partitions {
            let TakenPartition { noted, synced, found, held, start } = taken;
            write!(
                f,
                "{topic}-{partition}: MirrorMaker 2 noted {}, synced {}",
                shown(*noted),
                shown(*synced)
            )?;
            match found {
                Some((last, alike)) => {
                    let unnoted = last - noted.unwrap_or(-1);
                    write!(
                        f,
                        "; the target ends with source offset {last} ({alike} records compared), {} offsets beyond the note",
                        unnoted.max(0)
                    )?;
                }
                None if *held == 0 => write!(f, "; the target is empty")?,
                None => write!(
                    f,
                    "; the target's last record is not in the source behind the note: what was sent without a note is there \
                     twice"
                )?,
            }
            writeln!(f, "; copying begins at {start}")?;
        }
        Ok(())
    }
}

/// Looks at what MirrorMaker 2 left of `flow`; writes nothing.
///
/// # Errors
/// When a cluster fails us, MirrorMaker 2 still runs, or there is nothing of it.
pub(crate) async fn take_over(
    flow: &FlowSettings,
    source: &Cluster,
    target: &Cluster,
    topics: &TopicSelection,
) -> Result<Takeover, TakeoverError> {
    wait_until_gone(target, &format!("{}-mm2", flow.source)).await?;
    let name = format!("mm2-offsets.{}.internal", flow.source);
    let on_target = target.metadata(None).await.map_err(TakeoverError::Target)?;
    let Some(noted) = on_target.topic(&name).filter(|topic| topic.error == BrokerError::NONE) else {
        return Err(TakeoverError::Nothing { topic: name });
    };
    let noted = positions(target, &name, noted.partitions.len(), &flow.source).await;
    let noted = noted.map_err(TakeoverError::Target)?;
    let synced = synced(flow, source, target).await?;
    let on_source = source.metadata(None).await.map_err(TakeoverError::Source)?;
    let mut takeover = Takeover::default();
    for topic in on_source.topics().filter(|topic| topic.error == BrokerError::NONE && !topic.is_internal) {
        let name = &topic.identity.name;
        let Some(target_name) = topics.target_of(name) else { continue };
        let Some(copy) = on_target.topic(&target_name).filter(|copy| copy.error == BrokerError::NONE) else {
            continue;
        };
        for partition in topic.partitions.iter().take(copy.partitions.len()) {
            let place = (name.to_string(), partition.partition);
            let logs = Logs {
                source: PartitionLog::new(source.clone(), name.clone(), place.1),
                target: PartitionLog::new(target.clone(), target_name.clone(), place.1),
            };
            let taken = look_at(&logs, noted.get(&place).copied(), synced.get(&place).copied()).await?;
            takeover.partitions.insert((name.clone(), partition.partition), taken);
        }
    }
    Ok(takeover)
}

struct Logs {
    source: PartitionLog,
    target: PartitionLog,
}

async fn look_at(
    logs: &Logs,
    noted: Option<i64>,
    synced: Option<i64>,
) -> Result<TakenPartition, TakeoverError> {
    let (source_start, _) = logs.source.bounds().await.map_err(TakeoverError::Source)?;
    let (target_start, target_end) = logs.target.bounds().await.map_err(TakeoverError::Target)?;
    let held = target_end - target_start;
    // Both were acknowledged: the later one counts.
    let proven = noted.max(synced);
    let found = match held {
        0 => None,
        // The logs of both sides are read: whichever fails is named by the error's broker.
        _ => find(&logs.source, &logs.target, proven.unwrap_or(-1)).await.map_err(TakeoverError::Source)?,
    };
    let last = proven.max(found.map(|Found { offset, .. }| offset));
    let start = last.map_or(source_start, |last| last + 1);
    let found = found.map(|Found { offset, alike }| (offset, alike));
    Ok(TakenPartition { noted, synced, found, held, start })
}

async fn synced(flow: &FlowSettings, source: &Cluster, target: &Cluster) -> Result<Offsets, TakeoverError> {
    let (cluster, other, failed): (_, _, fn(ClusterError) -> TakeoverError) = match flow.beacons.offset_syncs
    {
        None => return Ok(Offsets::new()),
        Some(SyncsLocation::Source) => (source, &flow.target, TakeoverError::Source),
        Some(SyncsLocation::Target) => (target, &flow.source, TakeoverError::Target),
    };
    let topic: Arc<str> = flow.offset_syncs_topic(other).into();
    let metadata = cluster.metadata(Some(std::slice::from_ref(&topic))).await.map_err(failed)?;
    if metadata.topic(&topic).is_none_or(|topic| topic.error != BrokerError::NONE) {
        return Ok(Offsets::new());
    }
    syncs(cluster, &topic).await.map_err(failed)
}

/// Waits for the group of MirrorMaker 2's workers to be empty.
async fn wait_until_gone(target: &Cluster, group: &str) -> Result<(), TakeoverError> {
    let start = Instant::now();
    loop {
        let groups = target.list_groups().await.map_err(TakeoverError::Target)?;
        let members: HashMap<&str, Option<bool>> =
            groups.iter().map(|listed| (&*listed.id, listed.has_members)).collect();
        if members.get(group) != Some(&Some(true)) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(TakeoverError::Running { group: group.to_owned() });
        }
        if start.elapsed() < Duration::from_secs(1) {
            tracing::info!("group {group} of MirrorMaker 2 has members still; waiting for it to be gone");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
