//! Copying a topic anew where one side is no longer what was copied.

use super::{Mirror, MirrorError};
use std::collections::BTreeSet;
use std::sync::Arc;
use verbatim_pipeline::{OnSourceAccident, Status};
use verbatim_wire::cluster::{BrokerError, ClusterError};

impl Mirror {
    /// What is done when the source's log has changed.
    pub fn policy(&self) -> OnSourceAccident {
        self.config.flow.on_source_accident
    }

    /// Whether `status` names partitions that stopped and whose topics are to be copied anew by `policy`.
    pub fn will_reseed(policy: OnSourceAccident, status: &Status) -> bool {
        !Self::to_reseed(policy, status).is_empty()
    }

    fn to_reseed(policy: OnSourceAccident, status: &Status) -> BTreeSet<Arc<str>> {
        if policy != OnSourceAccident::Reseed {
            return BTreeSet::new();
        }
        let stopped = status.stopped().filter(|(_, reason)| reason.calls_for_reseed());
        stopped.map(|(name, _)| name.topic.clone()).collect()
    }

    /// Where the policy says so: deletes the target topics of partitions that stopped because one side is not what was
    /// copied, and forgets where they stood. [`discover`](Self::discover) creates and copies them anew. Returns
    /// whether there were any.
    ///
    /// # Errors
    /// When a topic could not be deleted; the next call tries again.
    pub async fn reseed_stopped(&mut self) -> Result<bool, MirrorError> {
        let sources: Vec<Arc<str>> =
            Self::to_reseed(self.policy(), &self.flow.status().await?).into_iter().collect();
        if sources.is_empty() {
            return Ok(false);
        }
        let of_source = |source| self.targets.iter().find(|(_, of)| *of == source);
        let topics: Vec<Arc<str>> =
            sources.iter().filter_map(of_source).map(|(target, _)| target.clone()).collect();
        for topic in &topics {
            tracing::warn!("topic {topic}: deleting it on the target, to copy it anew, by the flow's policy");
        }
        for deleted in self.target.delete_topics(&topics).await.map_err(MirrorError::Target)? {
            let is_gone =
                |error: &ClusterError| error.broker_error() == Some(BrokerError::UNKNOWN_TOPIC_OR_PARTITION);
            if let Err(error) = deleted
                && !is_gone(&error)
            {
                return Err(MirrorError::Target(error));
            }
        }
        for source in &sources {
            self.flow.forget_topic(source).await?;
            self.known.remove(source);
        }
        self.target.topics_are_gone(&topics).await.map_err(MirrorError::Target)?;
        Ok(true)
    }
}
