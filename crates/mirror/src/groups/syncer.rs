//! Carries the offsets of groups over, again and again.

use super::plan::{commits, wanted};
use super::read::{passes, read_named};
use super::{Group, Groups, Translated, read};
use crate::said::{Said, kind};
use crate::topics::{NameFilter, TopicSelection};
use std::collections::BTreeMap;
use std::sync::Arc;
use verbatim_pipeline::{ConsumerPosition, FlowError, FlowView, PartitionName};
use verbatim_wire::cluster::{BrokerError, Cluster, CommittedOffset, ErrorClass};

/// The groups of one flow.
#[derive(Debug)]
pub(crate) struct GroupSyncer {
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
    pub(crate) topics: TopicSelection,
    pub(crate) groups: NameFilter,
    pub(crate) view: FlowView,
    pub(crate) said: Said,
}

/// Which way offsets are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Back,
}

impl GroupSyncer {
    /// What the groups of the source have committed of the topics copied, and where that is on the target.
    ///
    /// # Errors
    /// When the source does not answer, or the flow has ended.
    pub(crate) async fn translated(&mut self) -> Result<Vec<Translated>, FlowError> {
        let groups = &self.groups;
        let found = read(&self.source, "source", |id| groups.matches(id), &mut self.said).await;
        self.translate(&found.map_err(FlowError::Source)?, Direction::Forward).await
    }

    /// Brings the groups of the target to where those of the source are. Returns the number of groups moved.
    ///
    /// # Errors
    /// When a cluster does not answer, or the flow has ended.
    pub(crate) async fn sync(&mut self) -> Result<usize, FlowError> {
        let translated = self.translated().await?;
        let there = read_named(&self.target, "target", &wanted(&translated), &mut self.said).await;
        let commits = commits(&translated, &there.map_err(FlowError::Target)?);
        self.commit(&commits, Direction::Forward).await
    }

    /// Brings the groups of the source to where those of the target are, for the way back. Returns the number of groups moved.
    ///
    /// # Errors
    /// When a cluster does not answer, or the flow has ended.
    pub(crate) async fn sync_back(&mut self) -> Result<usize, FlowError> {
        let groups = &self.groups;
        let of_target = read(&self.target, "target", |id| groups.matches(id), &mut self.said).await;
        let of_target = of_target.map_err(FlowError::Target)?;
        let back = self.translate(&of_target, Direction::Back).await?;
        let of_source = read_named(&self.source, "source", &wanted(&back), &mut self.said).await;
        let of_source = of_source.map_err(FlowError::Source)?;
        // The same place may have several names on the source, where there are gaps: only a group that has read more is moved.
        let forward = self.translate(&of_source, Direction::Forward).await?;
        let has_read_more = |back: &Translated| {
            let same = |there: &&Translated| {
                there.group == back.group
                    && there.topic == back.committed.topic
                    && there.committed.partition == back.committed.partition
            };
            let there = forward.iter().find(same).and_then(|there| there.place.offset());
            there.is_none_or(|there| there < back.committed.offset)
        };
        let back: Vec<Translated> = back.into_iter().filter(has_read_more).collect();
        self.commit(&commits(&back, &of_source), Direction::Back).await
    }

    async fn translate(&self, groups: &Groups, direction: Direction) -> Result<Vec<Translated>, FlowError> {
        let mut asked = Vec::new();
        let mut translated = Vec::new();
        for (id, Group { offsets, .. }) in groups {
            for committed in offsets.values() {
                let topics = &self.topics;
                let pair = match direction {
                    Direction::Forward => {
                        topics.target_of(&committed.topic).map(|target| (committed.topic.clone(), target))
                    }
                    Direction::Back => {
                        topics.source_of(&committed.topic).map(|source| (source.clone(), source))
                    }
                };
                let Some((source, topic)) = pair else { continue };
                let position = match direction {
                    Direction::Forward => ConsumerPosition::OnSource(committed.offset),
                    Direction::Back => ConsumerPosition::OnTarget(committed.offset),
                };
                asked.push((PartitionName { topic: source, partition: committed.partition }, position));
                translated.push((id.clone(), committed.clone(), topic));
            }
        }
        let places = self.view.places(asked).await?;
        let with_place = |((group, committed, topic), place)| Translated { group, committed, topic, place };
        Ok(translated.into_iter().zip(places).map(with_place).collect())
    }

    async fn commit(
        &mut self,
        commits: &BTreeMap<Arc<str>, Vec<CommittedOffset>>,
        direction: Direction,
    ) -> Result<usize, FlowError> {
        let (cluster, side) = match direction {
            Direction::Forward => (&self.target, "target"),
            Direction::Back => (&self.source, "source"),
        };
        let mut moved = 0;
        for (id, offsets) in commits {
            let subject = format!("commit {side} {id}");
            // Once: what is right now may be wrong by the time that a coordinator is back.
            let outcome = cluster.commit_offsets_once(id, offsets).await;
            let refused = outcome
                .as_ref()
                .ok()
                .and_then(|answers| answers.iter().find(|(.., code)| *code != BrokerError::NONE).cloned());
            match (outcome, refused) {
                (Err(error), _) => match error.broker_error() {
                    Some(code) if code.class() == ErrorClass::Denied => {
                        if self.said.is_news(&subject, kind(&error)) {
                            tracing::warn!("group {id} is not carried over: {side} cluster: {error}");
                        }
                    }
                    _ if passes(&error) => {
                        tracing::debug!("group {id} is not carried over for now: {side} cluster: {error}");
                    }
                    _ if direction == Direction::Forward => return Err(FlowError::Target(error)),
                    _ => return Err(FlowError::Source(error)),
                },
                (Ok(_), None) => {
                    self.said.is_over(&subject);
                    moved += 1;
                }
                // It has members now: whoever reads there is right.
                (Ok(_), Some((.., BrokerError::UNKNOWN_MEMBER_ID))) => {}
                (Ok(_), Some((topic, partition, code))) => {
                    if self.said.is_news(&subject, code) {
                        tracing::warn!(
                            "group {id} is not carried over: {side} cluster: commit of {topic}-{partition}: {code}{}",
                            if code.class() == ErrorClass::Denied {
                                "; grant READ on the group and on the topic to verbatim's principal"
                            } else {
                                ""
                            }
                        );
                    }
                }
            }
        }
        Ok(moved)
    }
}
