//! What a flow would change on its target.

use super::clusters;
use crate::acls::carried;
use crate::config::{FlowSettings, Setup};
use crate::fleet::mirror_config;
use crate::mirror::{MirrorConfig, MirrorError};
use crate::said::Said;
use crate::topics::{ConfigChange, Looking, Making, TopicPlan, look, plan};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use verbatim_pipeline::{Cluster, Forward};
use verbatim_wire::cluster::{ClusterError, TopicAcl};

/// The difference between the target and what a flow would make of it.
#[derive(Debug)]
pub struct FlowPlan {
    /// Name of the flow.
    pub flow: String,
    /// Topics to create and to grow, and those that cannot be copied.
    pub topics: TopicPlan,
    /// Configs to change.
    pub configs: Vec<PlannedConfigs>,
    /// ACLs to create.
    pub acls: Vec<TopicAcl>,
    /// What could not be looked at, and why.
    pub unknown: Vec<String>,
}

/// Configs of one target topic that would be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedConfigs {
    /// Name on the target.
    pub topic: Arc<str>,
    /// Names and values to set.
    pub set: Vec<(String, String)>,
    /// Names to take back to the target's default.
    pub delete: Vec<String>,
}

impl FlowPlan {
    /// Whether nothing would be changed.
    pub fn is_empty(&self) -> bool {
        let TopicPlan { create, grow, problems, .. } = &self.topics;
        create.is_empty()
            && grow.is_empty()
            && problems.is_empty()
            && self.configs.is_empty()
            && self.acls.is_empty()
    }
}

impl fmt::Display for FlowPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TopicPlan { pairs, create, grow, problems } = &self.topics;
        let end = if self.is_empty() { ", nothing to change" } else { "" };
        writeln!(f, "flow {}: {} topics to copy{end}", self.flow, pairs.len())?;
        for topic in create {
            write!(f, "  create topic {} with {} partitions", topic.name, topic.partitions)?;
            if topic.replication_factor > 0 {
                write!(f, ", {} replicas", topic.replication_factor)?;
            }
            let configs: Vec<String> =
                topic.configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            writeln!(f, "{}{}", if configs.is_empty() { "" } else { ", " }, configs.join(", "))?;
        }
        for growth in grow {
            writeln!(f, "  grow topic {} from {} to {} partitions", growth.topic, growth.from, growth.to)?;
        }
        for PlannedConfigs { topic, set, delete } in &self.configs {
            for (name, value) in set {
                writeln!(f, "  set {name}={value} of topic {topic}")?;
            }
            for name in delete {
                writeln!(f, "  take back {name} of topic {topic}")?;
            }
        }
        for acl in &self.acls {
            let TopicAcl { topic, pattern, principal, host, operation, permission } = acl;
            writeln!(
                f,
                "  create ACL: {permission:?} {principal} from {host} operation {} on {pattern:?} topic {topic}",
                operation.0
            )?;
        }
        for problem in problems {
            writeln!(f, "  not copied: {problem}")?;
        }
        for unknown in &self.unknown {
            writeln!(f, "  not known: {unknown}")?;
        }
        Ok(())
    }
}

/// Looks at both sides of `flow`; writes nothing.
///
/// # Errors
/// When a cluster fails us.
pub async fn plan_flow(setup: &Setup, flow: &FlowSettings) -> Result<FlowPlan, MirrorError> {
    let (source, target) = clusters(setup, flow).await?;
    let config = mirror_config(flow)?;
    let known = HashMap::new();
    let asks_provenance = config.flow.forward == Forward::Everything;
    let (topics, settles) = (&config.topics, false);
    let looking =
        Looking { source: &source, target: &target, topics, known: &known, asks_provenance, settles };
    let (seen, target_brokers) = look(looking, &mut Said::default()).await?;
    let there: Vec<(Arc<str>, Arc<str>)> = seen
        .iter()
        .filter(|topic| topic.target_partitions.is_some())
        .map(|topic| (topic.name.clone(), topic.target.clone()))
        .collect();
    let replication_factor = config.replication_factor;
    let making = Making { target_brokers, replication_factor, configs: &config.configs };
    let mut found = FlowPlan {
        flow: flow.name.clone(),
        topics: plan(seen, &HashMap::new(), making),
        configs: Vec::new(),
        acls: Vec::new(),
        unknown: Vec::new(),
    };
    if flow.configs.interval.is_some() {
        configs(&mut found, (&source, &target), &there, &config).await?;
    }
    if flow.acls.interval.is_some() {
        let (source, target) = tokio::join!(source.topic_acls(), target.topic_acls());
        match (source, target) {
            (Ok(source), Ok(target)) => {
                let there: BTreeSet<TopicAcl> = target.into_iter().collect();
                let copied: Vec<Arc<str>> =
                    found.topics.pairs.iter().map(|pair| pair.source.clone()).collect();
                let wanted = carried(&source, &config.topics, &copied);
                found.acls = wanted.difference(&there).cloned().collect();
            }
            (source, target) => {
                found.unknown.extend(refusal(source).map_err(MirrorError::Source)?);
                found.unknown.extend(refusal(target).map_err(MirrorError::Target)?);
            }
        }
    }
    Ok(found)
}

async fn configs(
    found: &mut FlowPlan,
    (source, target): (&Cluster, &Cluster),
    there: &[(Arc<str>, Arc<str>)],
    config: &MirrorConfig,
) -> Result<(), MirrorError> {
    let (sources, targets): (Vec<_>, Vec<_>) = there.iter().cloned().unzip();
    if sources.is_empty() {
        return Ok(());
    }
    let (of_source, of_target) = tokio::join!(source.topic_configs(&sources), target.topic_configs(&targets));
    let described =
        of_source.map_err(MirrorError::Source)?.into_iter().zip(of_target.map_err(MirrorError::Target)?);
    for (topic, (source, target)) in targets.into_iter().zip(described) {
        match (source, target) {
            (Ok(source), Ok(target)) => {
                let change = config.configs.change(&source, &target);
                if !change.is_empty() {
                    let ConfigChange { set, delete } = change;
                    found.configs.push(PlannedConfigs { topic, set, delete });
                }
            }
            (source, target) => {
                found.unknown.extend(refusal(source).map_err(MirrorError::Source)?);
                found.unknown.extend(refusal(target).map_err(MirrorError::Target)?);
            }
        }
    }
    Ok(())
}

/// What a broker refused; an error if it was something else.
fn refusal<T>(outcome: Result<T, ClusterError>) -> Result<Option<String>, ClusterError> {
    match outcome {
        Ok(_) => Ok(None),
        Err(error @ ClusterError::Refused { .. }) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}
