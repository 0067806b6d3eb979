//! What the configs of topics say that matters for copying.

use super::{Looked, Preparer};
use crate::flow::route::{SourceTraits, TargetTraits};
use std::sync::Arc;
use verbatim_wire::cluster::{Cluster, TopicConfigs};

impl Preparer {
    /// Per pair, as far as we may know.
    pub(super) async fn traits(&self, looked: &Looked) -> Vec<(SourceTraits, TargetTraits)> {
        let sources: Vec<_> = looked.pairs.iter().map(|pair| pair.source.clone()).collect();
        let targets: Vec<_> = looked.pairs.iter().map(|pair| pair.target.clone()).collect();
        let (sources, targets) =
            tokio::join!(configs(&self.source, &sources), configs(&self.target, &targets));
        sources
            .iter()
            .map(Option::as_ref)
            .map(source)
            .zip(targets.iter().map(Option::as_ref).map(target))
            .collect()
    }
}

async fn configs(cluster: &Cluster, topics: &[Arc<str>]) -> Vec<Option<TopicConfigs>> {
    match cluster.topic_configs(topics).await {
        Ok(configs) => configs.into_iter().map(Result::ok).collect(),
        Err(error) => {
            tracing::debug!(%error, "topic configs not known");
            vec![None; topics.len()]
        }
    }
}

fn value<'a>(configs: &'a TopicConfigs, name: &str) -> Option<&'a str> {
    configs.get(name)?.value.as_deref()
}

fn has_policy(configs: &TopicConfigs, policy: &str) -> bool {
    value(configs, "cleanup.policy").is_some_and(|value| value.split(',').any(|part| part.trim() == policy))
}

fn source(configs: Option<&TopicConfigs>) -> SourceTraits {
    SourceTraits { may_be_compacted: configs.is_none_or(|configs| has_policy(configs, "compact")) }
}

fn target(configs: Option<&TopicConfigs>) -> TargetTraits {
    let Some(configs) = configs else {
        return TargetTraits {
            max_message_bytes: usize::MAX,
            is_append_time: false,
            is_compacted: false,
            is_compacted_only: false,
        };
    };
    let is_compacted = has_policy(configs, "compact");
    let max_message_bytes = value(configs, "max.message.bytes").and_then(|value| value.parse().ok());
    TargetTraits {
        max_message_bytes: max_message_bytes.unwrap_or(usize::MAX),
        is_append_time: value(configs, "message.timestamp.type") == Some("LogAppendTime"),
        is_compacted,
        is_compacted_only: is_compacted && !has_policy(configs, "delete"),
    }
}
