//! Where the groups of a flow stand on both sides, and how exactly that can be said.

use super::clusters;
use crate::config::{FlowSettings, Setup};
use crate::fleet::mirror_config;
use crate::groups::{self, Groups, Translated};
use crate::mirror::MirrorError;
use crate::said::Said;
use crate::topics::NameFilter;
use std::fmt;
use std::sync::Arc;
use verbatim_pipeline::{ConsumerPosition, PartitionName, Place, PositionStore, StoredState, TopicPositions};
use verbatim_wire::cluster::{BrokerError, Cluster};

/// What a group has committed of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLine {
    /// Group id.
    pub group: Arc<str>,
    /// Topic of the source.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Committed on the source: the offset of the next record to read.
    pub source: i64,
    /// Where that is on the target.
    pub place: Place,
    /// Committed on the target.
    pub target: Option<i64>,
    /// Whether the group has members on the target, where that is said.
    pub has_members: Option<bool>,
}

/// The groups of one flow.
#[derive(Debug, Clone)]
pub struct GroupsReport {
    /// Name of the flow.
    pub flow: String,
    /// In the order of groups, topics and partitions.
    pub lines: Vec<GroupLine>,
}

impl GroupLine {
    /// How exact the place on the target is.
    pub fn exactness(&self) -> &'static str {
        match self.place {
            Place::Exact(_) => "exact",
            Place::Ahead(_) => "copy is behind",
            Place::Unknown => "not known",
        }
    }

    /// What the target's group is, compared with that place.
    pub fn standing(&self) -> &'static str {
        match (self.place.offset(), self.target) {
            (_, None) => "not there",
            (Some(place), Some(target)) if target == place => "same",
            (Some(place), Some(target)) if target < place => "behind",
            (Some(_), Some(_)) => "further",
            (None, Some(_)) => "there",
        }
    }
}

impl fmt::Display for GroupsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "flow {}: {} positions of groups", self.flow, self.lines.len())?;
        let width = |text: fn(&GroupLine) -> String, least: usize| {
            self.lines.iter().map(|line| text(line).chars().count()).max().unwrap_or(0).max(least)
        };
        let place = |line: &GroupLine| {
            line.place.offset().map_or_else(|| "-".to_owned(), |offset| offset.to_string())
        };
        let partition = |line: &GroupLine| format!("{}-{}", line.topic, line.partition);
        let (group, topic) = (width(|line| line.group.to_string(), 5), width(partition, 9));
        if !self.lines.is_empty() {
            writeln!(
                f,
                "{:group$}  {:topic$}  {:>14}  {:>14}  {:14}  {:>14}  TARGET IS",
                "GROUP", "PARTITION", "SOURCE", "ON TARGET", "EXACTNESS", "TARGET"
            )?;
        }
        for line in &self.lines {
            let target = line.target.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
            let members = if line.has_members == Some(true) { ", with members" } else { "" };
            writeln!(
                f,
                "{:group$}  {:topic$}  {:>14}  {:>14}  {:14}  {target:>14}  {}{members}",
                line.group,
                partition(line),
                line.source,
                place(line),
                line.exactness(),
                line.standing()
            )?;
        }
        Ok(())
    }
}

/// Where the groups of `flow` stand, by what the flow has stored on the target.
///
/// # Errors
/// When a cluster fails us.
pub async fn report_groups(setup: &Setup, flow: &FlowSettings) -> Result<GroupsReport, MirrorError> {
    let (source, target) = clusters(setup, flow).await?;
    let topics = mirror_config(flow)?.topics;
    let filter = NameFilter::new(&flow.groups.include, &flow.groups.exclude)?;
    let mut said = Said::default();
    let of_source = groups::read(&source, "source", |id| filter.matches(id), &mut said).await;
    let of_source = of_source.map_err(MirrorError::Source)?;
    let stored = stored(&target, &flow.name).await?;
    let mut translated = Vec::new();
    for (id, group) in &of_source {
        for committed in group.offsets.values() {
            let Some(topic) = topics.target_of(&committed.topic) else { continue };
            let name = PartitionName { topic: committed.topic.clone(), partition: committed.partition };
            let place = stored.partitions.get(&name);
            let place = place
                .map_or(Place::Unknown, |stored| stored.place(ConsumerPosition::OnSource(committed.offset)));
            translated.push(Translated { group: id.clone(), committed: committed.clone(), topic, place });
        }
    }
    let of_target = groups::read(&target, "target", |id| of_source.contains_key(id), &mut said).await;
    let of_target = of_target.map_err(MirrorError::Target)?;
    let lines = translated.into_iter().map(|translated| line(translated, &of_target)).collect();
    Ok(GroupsReport { flow: flow.name.clone(), lines })
}

fn line(translated: Translated, of_target: &Groups) -> GroupLine {
    let Translated { group, committed, topic, place } = translated;
    let on_target = of_target.get(&group);
    let target = on_target.and_then(|group| group.offsets.get(&(topic, committed.partition)));
    GroupLine {
        has_members: on_target.and_then(|group| group.has_members),
        target: target.map(|offset| offset.offset),
        group,
        topic: committed.topic,
        partition: committed.partition,
        source: committed.offset,
        place,
    }
}

/// What the flow has stored; nothing if it has never run.
async fn stored(target: &Cluster, flow: &str) -> Result<StoredState, MirrorError> {
    let topic = TopicPositions::state_topic(flow, 1).name;
    let metadata = target.metadata(Some(std::slice::from_ref(&topic))).await.map_err(MirrorError::Target)?;
    if metadata.topic(&topic).is_none_or(|topic| topic.error != BrokerError::NONE) {
        return Ok(StoredState::default());
    }
    let positions =
        TopicPositions::open(target.clone(), flow).await.map_err(verbatim_pipeline::FlowError::from)?;
    Ok(positions.load().await.map_err(verbatim_pipeline::FlowError::from)?)
}
