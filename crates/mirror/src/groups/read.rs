//! The groups of a cluster and what they have committed.

use crate::said::{Said, kind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use verbatim_wire::cluster::{Cluster, ClusterError, CommittedOffset};

/// A group as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// `None` where the brokers do not say.
    pub(crate) has_members: Option<bool>,
    /// By topic and partition.
    pub(crate) offsets: BTreeMap<(Arc<str>, i32), CommittedOffset>,
}

impl Group {
    fn new(has_members: Option<bool>, offsets: Vec<CommittedOffset>) -> Self {
        let by_partition = |offset: CommittedOffset| ((offset.topic.clone(), offset.partition), offset);
        Self { has_members, offsets: offsets.into_iter().map(by_partition).collect() }
    }
}

/// A group's id, and whether it has members.
type Listed = (Arc<str>, Option<bool>);

/// Groups by their ids.
pub(crate) type Groups = BTreeMap<Arc<str>, Group>;

/// `OffsetFetchResponse`: offsets of transactions that are still open.
const UNSTABLE_OFFSET_COMMIT: i16 = 88;

/// Reads the groups that `is_meant` says. One that cannot be read is left out, and named once, unless that passes.
pub(crate) async fn read(
    cluster: &Cluster,
    side: &str,
    is_meant: impl Fn(&str) -> bool,
    said: &mut Said,
) -> Result<Groups, ClusterError> {
    let mut by_coordinator: BTreeMap<i32, Vec<Listed>> = BTreeMap::new();
    for group in cluster.list_groups().await? {
        // Share groups have no offsets of this kind.
        if group.kind != "share" && is_meant(&group.id) {
            by_coordinator.entry(group.coordinator).or_default().push((group.id, group.has_members));
        }
    }
    let mut groups = Groups::new();
    for (coordinator, listed) in by_coordinator {
        let ids: Vec<Arc<str>> = listed.iter().map(|(id, _)| id.clone()).collect();
        let outcomes = match cluster.committed_offsets(coordinator, &ids).await {
            Ok(outcomes) => outcomes,
            Err(ClusterError::Connection(_) | ClusterError::UnknownBroker { .. }) => continue,
            Err(error) => return Err(error),
        };
        for ((id, has_members), outcome) in listed.into_iter().zip(outcomes) {
            let subject = format!("{side} {id}");
            match outcome {
                Ok(offsets) => {
                    said.is_over(&subject);
                    groups.insert(id, Group::new(has_members, offsets));
                }
                Err(error) if passes(&error) => {}
                Err(error) => {
                    if said.is_news(&subject, kind(&error)) {
                        tracing::warn!("group {id} is not carried over: {side} cluster: {error}");
                    }
                }
            }
        }
    }
    Ok(groups)
}

/// Reads the groups `ids`, each of which is in what is returned only if it is known what it has committed: one that is not listed may
/// have a coordinator that is away, and is asked for by itself.
pub(crate) async fn read_named(
    cluster: &Cluster,
    side: &str,
    ids: &BTreeSet<Arc<str>>,
    said: &mut Said,
) -> Result<Groups, ClusterError> {
    let mut groups = read(cluster, side, |id| ids.contains(id), said).await?;
    for id in ids {
        if groups.contains_key(id) {
            continue;
        }
        match cluster.committed_offsets_of(id).await {
            Ok(offsets) => {
                groups.insert(id.clone(), Group::new(None, offsets));
            }
            Err(error) => tracing::debug!("group {id} is not carried over for now: {side} cluster: {error}"),
        }
    }
    Ok(groups)
}

/// Whether it may be over the next time.
pub(super) fn passes(error: &ClusterError) -> bool {
    if matches!(error, ClusterError::Connection(_) | ClusterError::UnknownBroker { .. }) {
        return true;
    }
    error.broker_error().is_some_and(|code| code.0 == UNSTABLE_OFFSET_COMMIT || code.class().may_pass())
}
