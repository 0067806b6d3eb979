//! Where partitions start that nothing has been copied of yet.

use super::{Looked, Preparer};
use crate::config::Start;
use crate::error::{FlowError, PartitionName, Side};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use verbatim_wire::cluster::{Backoff, BrokerError, Cluster, ClusterError, Metadata, OffsetAt};

/// Where one of them starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartFound {
    /// Offset of the first record to copy.
    pub(super) source_offset: i64,
    /// Where the target ends.
    pub(super) target_end: i64,
    /// It is the start of the log, and moves with it until something has been copied.
    pub(super) follows_log_start: bool,
}

/// How often a partition without a leader, or with a leader that does not answer, is looked at again.
const LOOKS: u32 = 20;

type Offsets = HashMap<PartitionName, i64>;

impl Preparer {
    /// Where the source is to be read from, and where the target ends, so that the first record has its place
    /// there too. All of them or an error: a partition left out would not be missed.
    pub(super) async fn starts(
        &self,
        looked: &Looked,
        missing: Vec<PartitionName>,
    ) -> Result<HashMap<PartitionName, StartFound>, FlowError> {
        let pair = |name: &PartitionName| looked.pairs.iter().find(|pair| pair.source == name.topic);
        let on_target = |name: &PartitionName| PartitionName {
            topic: pair(name).map_or_else(|| name.topic.clone(), |pair| pair.target.clone()),
            partition: name.partition,
        };
        let start = |name: &PartitionName| {
            pair(name).and_then(|pair| pair.start.clone()).unwrap_or_else(|| self.config.start.clone())
        };
        let mut by_place: BTreeMap<Place, Vec<PartitionName>> = BTreeMap::new();
        for name in &missing {
            by_place.entry(Place::of(&start(name))).or_default().push(name.clone());
        }
        let targets = missing.iter().map(on_target).collect();
        let (sources, ends) = tokio::join!(
            self.places(looked, by_place),
            self.offsets(&self.target, looked.target.clone(), targets, OffsetAt::Latest),
        );
        let (sources, ends) = (sources.map_err(FlowError::Source)?, ends.map_err(FlowError::Target)?);
        let found = |name: PartitionName| {
            let target_end = ends.get(&on_target(&name)).copied();
            let side = if target_end.is_none() { Side::Target } else { Side::Source };
            let (Some((first, end, at)), Some(target_end)) = (sources.get(&name).copied(), target_end) else {
                return Err(FlowError::NoLeader { name, side });
            };
            let start = start(&name);
            let explicit = match &start {
                Start::Offset(offset) => Some(*offset),
                Start::Offsets(offsets) => offsets.get(&name.partition).copied(),
                _ => None,
            };
            if let Some(offset) = explicit.filter(|offset| !(first..=end).contains(offset)) {
                return Err(FlowError::StartOutOfRange { name, offset, log_start: first, log_end: end });
            }
            let source_offset = explicit.unwrap_or(at);
            let follows_log_start =
                explicit.is_none() && matches!(start, Start::Earliest | Start::Offsets(_));
            Ok((name, StartFound { source_offset, target_end, follows_log_start }))
        };
        missing.into_iter().map(found).collect()
    }

    /// First offset, end, and the offset wanted, of each partition; those whose leaders stay silent are left out.
    async fn places(
        &self,
        looked: &Looked,
        by_place: BTreeMap<Place, Vec<PartitionName>>,
    ) -> Result<HashMap<PartitionName, (i64, i64, i64)>, ClusterError> {
        let mut found = HashMap::new();
        for (place, names) in by_place {
            let ask = |at| self.offsets(&self.source, looked.source.clone(), names.clone(), at);
            let (first, end, at): (Offsets, Offsets, Offsets) = match place {
                Place::Earliest => {
                    let first = ask(OffsetAt::Earliest).await?;
                    (first.clone(), first.clone(), first)
                }
                Place::Bounds => {
                    let (first, end) = tokio::try_join!(ask(OffsetAt::Earliest), ask(OffsetAt::Latest))?;
                    (first.clone(), end, first)
                }
                Place::Latest => {
                    let end = ask(OffsetAt::Latest).await?;
                    (end.clone(), end.clone(), end)
                }
                Place::Timestamp(ms) => {
                    let (at, end) = tokio::try_join!(ask(OffsetAt::Timestamp(ms)), ask(OffsetAt::Latest))?;
                    // No record is as late: what comes next is.
                    let or_end = |(name, end): (&PartitionName, &i64)| {
                        let at = *at.get(name)?;
                        Some((name.clone(), if at < 0 { *end } else { at }))
                    };
                    let at: Offsets = end.iter().filter_map(or_end).collect();
                    (at.clone(), end, at)
                }
            };
            for name in names {
                let of = |offsets: &Offsets| offsets.get(&name).copied();
                if let (Some(first), Some(end), Some(at)) = (of(&first), of(&end), of(&at)) {
                    found.insert(name, (first, end, at));
                }
            }
        }
        Ok(found)
    }

    /// An offset of each of `missing`, asked of the leaders; those that stay silent are left out.
    async fn offsets(
        &self,
        cluster: &Cluster,
        mut metadata: Arc<Metadata>,
        mut missing: Vec<PartitionName>,
        at: OffsetAt,
    ) -> Result<Offsets, ClusterError> {
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
                            (name, found.offset)
                        }));
                    }
                    Err(error) => tracing::debug!(leader, %error, "offsets not known yet"),
                }
            }
            missing.retain(|name| !offsets.contains_key(name));
        }
        Ok(offsets)
    }
}

/// What brokers are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Earliest,
    Latest,
    Timestamp(i64),
    /// Explicit offsets are checked against both ends.
    Bounds,
}

impl Place {
    fn of(start: &Start) -> Self {
        match start {
            Start::Earliest => Self::Earliest,
            Start::Latest => Self::Latest,
            Start::Timestamp(ms) => Self::Timestamp(*ms),
            Start::Offset(_) | Start::Offsets(_) => Self::Bounds,
        }
    }
}
