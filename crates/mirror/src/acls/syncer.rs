//! Carries ACLs over, again and again.

use super::carried;
use crate::said::{Said, kind};
use crate::topics::TopicSelection;
use std::collections::BTreeSet;
use std::sync::Arc;
use verbatim_wire::cluster::{Cluster, ClusterError, TopicAcl};

/// `Errors.SECURITY_DISABLED`: the cluster has no authorizer.
const SECURITY_DISABLED: i16 = 54;

/// The ACLs of one flow.
#[derive(Debug)]
pub(crate) struct AclSyncer {
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
    pub(crate) topics: TopicSelection,
    /// Whether what is taken away on the source is taken away on the target.
    pub(crate) removes: bool,
    /// What the source demanded last.
    pub(crate) last: BTreeSet<TopicAcl>,
    pub(crate) said: Said,
}

impl AclSyncer {
    /// Creates on the target what the source's ACLs of `topics` demand, and takes away what they demanded last time and do no
    /// more. Returns how many were created and taken away. A cluster without ACLs, or one that does not let us see or change them,
    /// is named once.
    ///
    /// # Errors
    /// When a cluster does not answer.
    pub(crate) async fn sync(&mut self, topics: &[Arc<str>]) -> Result<(usize, usize), ClusterError> {
        let (source, target) = tokio::join!(self.source.topic_acls(), self.target.topic_acls());
        let (Some(source), Some(target)) = (self.heard("source", source)?, self.heard("target", target)?)
        else {
            return Ok((0, 0));
        };
        let there: BTreeSet<TopicAcl> = target.into_iter().collect();
        let wanted = carried(&source, &self.topics, topics);
        let create: Vec<TopicAcl> = wanted.difference(&there).cloned().collect();
        let gone = self.last.difference(&wanted).filter(|acl| self.removes && there.contains(acl));
        let gone: Vec<TopicAcl> = gone.cloned().collect();
        if !create.is_empty() {
            let created = self.target.create_topic_acls(&create).await;
            if self.heard("target", created)?.is_none() {
                return Ok((0, 0));
            }
            tracing::info!("{} ACLs created on the target", create.len());
        }
        if !gone.is_empty() {
            let deleted = self.target.delete_topic_acls(&gone).await;
            if self.heard("target", deleted)?.is_none() {
                return Ok((create.len(), 0));
            }
            tracing::info!("{} ACLs taken away on the target", gone.len());
        }
        self.last = wanted;
        Ok((create.len(), gone.len()))
    }

    fn heard<T>(&mut self, side: &str, outcome: Result<T, ClusterError>) -> Result<Option<T>, ClusterError> {
        match outcome {
            Ok(found) => {
                self.said.is_over(side);
                Ok(Some(found))
            }
            Err(error) => match error.broker_error() {
                Some(code) if code.0 == SECURITY_DISABLED => {
                    if self.said.is_news(side, code) {
                        tracing::info!("ACLs are not carried over: the {side} cluster has no authorizer");
                    }
                    Ok(None)
                }
                Some(_) => {
                    if self.said.is_news(side, kind(&error)) {
                        tracing::warn!("ACLs are not carried over: {side} cluster: {error}");
                    }
                    Ok(None)
                }
                None => Err(error),
            },
        }
    }
}
