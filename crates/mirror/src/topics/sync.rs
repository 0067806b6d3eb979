//! Keeps the configs of target topics as those of their sources.

use super::{ConfigRules, TopicSelection};
use crate::said::{Said, kind};
use std::sync::Arc;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError, TopicConfigs};

/// Topics described in one request.
const AT_ONCE: usize = 200;

/// One direction of configs.
#[derive(Debug)]
pub(crate) struct ConfigSyncer {
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
    pub(crate) topics: TopicSelection,
    pub(crate) rules: ConfigRules,
    pub(crate) said: Said,
}

impl ConfigSyncer {
    /// Looks at `topics`, names on the source, and changes what differs on the target; returns the number of topics changed.
    /// Topics that cannot be read or changed are named once.
    ///
    /// # Errors
    /// When a cluster does not answer.
    pub(crate) async fn sync(&mut self, topics: &[Arc<str>]) -> Result<usize, ClusterError> {
        let pairs: Vec<(Arc<str>, Arc<str>)> =
            topics.iter().filter_map(|topic| Some((topic.clone(), self.topics.target_of(topic)?))).collect();
        let mut changed = 0;
        for pairs in pairs.chunks(AT_ONCE) {
            let (sources, targets): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
            let (source, target) =
                tokio::join!(self.source.topic_configs(&sources), self.target.topic_configs(&targets));
            let described = source?.into_iter().zip(target?);
            for ((topic, on_target), (source, target)) in pairs.iter().zip(described) {
                let (Some(source), Some(target)) =
                    (self.heard("source", topic, source), self.heard("target", on_target, target))
                else {
                    continue;
                };
                changed += usize::from(self.bring_over(on_target, &source, &target).await?);
            }
        }
        Ok(changed)
    }

    fn heard(
        &mut self,
        side: &str,
        topic: &str,
        outcome: Result<TopicConfigs, ClusterError>,
    ) -> Option<TopicConfigs> {
        let subject = format!("{side} {topic}");
        match outcome {
            Ok(configs) => {
                self.said.is_over(&subject);
                Some(configs)
            }
            // Deleted meanwhile; whoever copies it says so.
            Err(error) if error.broker_error() == Some(BrokerError::UNKNOWN_TOPIC_OR_PARTITION) => None,
            Err(error) => {
                if self.said.is_news(&subject, kind(&error)) {
                    tracing::warn!(
                        "configs of topic {topic} are not kept up to date: {side} cluster: {error}"
                    );
                }
                None
            }
        }
    }

    async fn bring_over(
        &mut self,
        topic: &str,
        source: &TopicConfigs,
        target: &TopicConfigs,
    ) -> Result<bool, ClusterError> {
        let change = self.rules.change(source, target);
        if change.is_empty() {
            return Ok(false);
        }
        let subject = format!("change {topic}");
        match self.target.alter_topic_configs(topic, &change.set, &change.delete).await {
            Ok(()) => {
                self.said.is_over(&subject);
                let set = change.set.iter().map(|(name, value)| format!("{name}={value}"));
                let deleted = change.delete.iter().map(|name| format!("{name} as by default"));
                let all: Vec<String> = set.chain(deleted).collect();
                tracing::info!("topic {topic} on the target: {}", all.join(", "));
                Ok(true)
            }
            Err(error @ ClusterError::Refused { .. }) => {
                if self.said.is_news(&subject, kind(&error)) {
                    tracing::warn!(
                        "configs of topic {topic} are not kept up to date: target cluster: {error}"
                    );
                }
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
