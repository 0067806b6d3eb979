//! Makes what a plan says: topics, and partitions.

use super::{Growth, TopicPlan};
use crate::mirror::MirrorError;
use crate::said::Said;
use std::collections::HashSet;
use std::sync::Arc;
use verbatim_pipeline::NewTopic;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError};

/// Makes all that `plan` says, or an error that names what failed; nothing is made if anything would be refused, or
/// if `also` would be, which is created later by others.
pub(crate) async fn create_all(
    target: &Cluster,
    plan: &TopicPlan,
    also: Option<NewTopic>,
) -> Result<(), MirrorError> {
    let mut create = plan.create.clone();
    let mut validated = validated(target, &create).await?;
    for (topic, outcome) in create.iter_mut().zip(&mut validated) {
        if outcome.as_ref().is_err_and(is_for_configs) {
            leave_out_refused_configs(target, topic).await.map_err(MirrorError::Target)?;
            *outcome = Ok(());
        }
    }
    let also: Vec<NewTopic> = also.into_iter().collect();
    validated.extend(self::validated(target, &also).await?);
    for validate_only in [true, false] {
        let mut errors: Vec<ClusterError> = Vec::new();
        if validate_only {
            errors.extend(std::mem::take(&mut validated).into_iter().filter_map(Result::err));
        } else if !create.is_empty() {
            let outcomes = target.create_topics(&create, false).await.map_err(MirrorError::Target)?;
            errors.extend(outcomes.into_iter().filter_map(Result::err));
        }
        for growth in &plan.grow {
            errors.extend(grow(target, growth, validate_only).await.err());
        }
        if !errors.is_empty() {
            return Err(MirrorError::Create(errors));
        }
    }
    say_made(plan, &HashSet::new());
    wait_for(target, plan, &HashSet::new()).await
}

/// Makes what `plan` says as far as the target lets us; returns the target topics that are not as they have to be. What fails is
/// said once.
pub(crate) async fn make(
    target: &Cluster,
    plan: &TopicPlan,
    said: &mut Said,
) -> Result<HashSet<Arc<str>>, MirrorError> {
    let mut failed = HashSet::new();
    let mut note = |topic: &Arc<str>, outcome: Result<(), ClusterError>| match outcome {
        Ok(()) => drop(said.is_over(&format!("make {topic}"))),
        Err(error) => {
            if said.is_news(&format!("make {topic}"), &error) {
                tracing::error!("not copied: target cluster: {error}");
            }
            failed.insert(topic.clone());
        }
    };
    if !plan.create.is_empty() {
        let outcomes = target.create_topics(&plan.create, false).await.map_err(MirrorError::Target)?;
        for (topic, mut outcome) in plan.create.iter().zip(outcomes) {
            if outcome.as_ref().is_err_and(is_for_configs) {
                let mut topic = topic.clone();
                leave_out_refused_configs(target, &mut topic).await.map_err(MirrorError::Target)?;
                let again = target.create_topics(&[topic], false).await.map_err(MirrorError::Target)?;
                outcome = again.into_iter().next().unwrap_or(outcome);
            }
            note(&topic.name, outcome);
        }
    }
    for growth in &plan.grow {
        note(&growth.topic, grow(target, growth, false).await);
    }
    say_made(plan, &failed);
    wait_for(target, plan, &failed).await?;
    Ok(failed)
}

/// What the target would say to the creation of `topics`.
async fn validated(
    target: &Cluster,
    topics: &[NewTopic],
) -> Result<Vec<Result<(), ClusterError>>, MirrorError> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    target.create_topics(topics, true).await.map_err(MirrorError::Target)
}

fn is_for_configs(error: &ClusterError) -> bool {
    error.broker_error() == Some(BrokerError::INVALID_CONFIG)
}

/// Takes those configs out of `topic` that the target does not take, and names them: a topic with other settings is a copy, none is not.
async fn leave_out_refused_configs(target: &Cluster, topic: &mut NewTopic) -> Result<(), ClusterError> {
    let refusal = async |topic: &NewTopic| -> Result<Option<ClusterError>, ClusterError> {
        let outcomes = target.create_topics(std::slice::from_ref(topic), true).await?;
        let failed = outcomes.into_iter().next().and_then(Result::err);
        Ok(failed.filter(is_for_configs))
    };
    if topic.configs.is_empty() || refusal(topic).await?.is_none() {
        return Ok(());
    }
    for (name, value) in std::mem::take(&mut topic.configs) {
        // Together with those before it, so that what does not go together is left out as well.
        topic.configs.insert(name.clone(), value.clone());
        if let Some(error) = refusal(topic).await? {
            topic.configs.remove(&name);
            tracing::warn!(
                "topic {} is created without {name}={value}, which the source has: target cluster: {error}",
                topic.name
            );
        }
    }
    Ok(())
}

async fn grow(target: &Cluster, growth: &Growth, validate_only: bool) -> Result<(), ClusterError> {
    let total = i32::try_from(growth.to).unwrap_or(i32::MAX);
    target.create_partitions(&growth.topic, total, validate_only).await
}

fn say_made(plan: &TopicPlan, failed: &HashSet<Arc<str>>) {
    for topic in plan.create.iter().filter(|topic| !failed.contains(&topic.name)) {
        tracing::info!("created topic {} with {} partitions on the target", topic.name, topic.partitions);
    }
    for growth in plan.grow.iter().filter(|growth| !failed.contains(&growth.topic)) {
        tracing::info!(
            "topic {} has {} partitions on the target now, as on the source",
            growth.topic,
            growth.to
        );
    }
}

/// Brokers hear of new topics and partitions some time after the controller has answered.
async fn wait_for(target: &Cluster, plan: &TopicPlan, failed: &HashSet<Arc<str>>) -> Result<(), MirrorError> {
    let created =
        plan.create.iter().map(|topic| (&topic.name, usize::try_from(topic.partitions).unwrap_or(0)));
    let grown = plan.grow.iter().map(|growth| (&growth.topic, growth.to));
    let made: Vec<(Arc<str>, usize)> = created
        .chain(grown)
        .filter(|(topic, _)| !failed.contains(*topic))
        .map(|(topic, partitions)| (topic.clone(), partitions))
        .collect();
    if made.is_empty() {
        return Ok(());
    }
    let names: Vec<Arc<str>> = made.iter().map(|(topic, _)| topic.clone()).collect();
    let grown = verbatim_wire::cluster::persist(async || {
        target.topics_are_there(&names).await?;
        let metadata = target.metadata(Some(&names)).await?;
        let is_short = |(name, partitions): &&(Arc<str>, usize)| {
            metadata.topic(name).is_none_or(|topic| topic.partitions.len() < *partitions)
        };
        match made.iter().find(is_short) {
            None => Ok(()),
            Some((topic, _)) => Err(ClusterError::Refused {
                request: "wait for the partitions of topic",
                subject: topic.to_string(),
                // A code that is tried again.
                code: BrokerError::LEADER_NOT_AVAILABLE,
                message: None,
            }),
        }
    });
    grown.await.map_err(MirrorError::Target)
}
