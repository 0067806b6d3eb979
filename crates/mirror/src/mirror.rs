//! Keeps a flow supplied with the topics that match.

use crate::topics::{FilterError, TopicFilter, TopicPlan, TopicProblem, look, plan};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use verbatim_pipeline::{
    Flow, FlowConfig, FlowError, FlowHandle, NewTopic, OnSourceAccident, Start, Status, TopicPair,
    TopicPositions,
};
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError};

/// Settings of a mirror.
#[derive(Debug, Clone)]
pub struct MirrorConfig {
    /// Which topics.
    pub topics: TopicFilter,
    /// How they are copied.
    pub flow: FlowConfig,
    /// Where topics start that nothing is copied of yet, the first that fits; else as the flow says.
    pub starts: Vec<StartOf>,
    /// How often the source is asked for new topics and partitions. Default 2 s.
    pub discovery_interval: Duration,
    /// Whether to start while no topic matches, and wait for one. Default yes.
    pub may_wait_for_topics: bool,
}

impl MirrorConfig {
    /// Defaults for topics that match `patterns`.
    ///
    /// # Errors
    /// When the patterns cannot be read.
    pub fn new(patterns: &str) -> Result<Self, FilterError> {
        Ok(Self {
            topics: TopicFilter::new(patterns)?,
            flow: FlowConfig::default(),
            starts: Vec::new(),
            discovery_interval: Duration::from_secs(2),
            may_wait_for_topics: true,
        })
    }
}

/// Where the topics start that match.
#[derive(Debug, Clone)]
pub struct StartOf {
    /// Which topics.
    pub topics: TopicFilter,
    /// Where they start.
    pub start: Start,
}

/// A mirror could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The source cluster failed us.
    #[error("source cluster: {0}")]
    Source(#[source] ClusterError),
    /// The target cluster failed us.
    #[error("target cluster: {0}")]
    Target(#[source] ClusterError),
    /// Topics that cannot be copied; nothing was started or created.
    #[error("{}", listed(.0))]
    Topics(Vec<TopicProblem>),
    /// No topic matches, and waiting for one was not asked for; nothing was started or created.
    #[error(
        "--topics {pattern}: no topic of the source cluster matches, or verbatim's principal may not DESCRIBE it; nothing to copy"
    )]
    NothingMatches {
        /// The patterns, as written.
        pattern: String,
    },
    /// Topics that could not be created.
    #[error("target cluster: {}", created(.0))]
    Create(Vec<ClusterError>),
    /// The flow failed.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

fn listed(problems: &[TopicProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn created(errors: &[ClusterError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A flow and the topics it is to copy.
#[derive(Debug)]
pub struct Mirror {
    config: MirrorConfig,
    source: Cluster,
    target: Cluster,
    flow: FlowHandle,
    /// Topics being copied and their number of partitions.
    known: HashMap<Arc<str>, usize>,
}

impl Mirror {
    /// Looks at both clusters, creates what the target lacks, and starts copying.
    ///
    /// # Errors
    /// When a cluster fails us, a matching topic cannot be copied, none matches and that was not asked for, or a
    /// topic cannot be created. In the first three cases nothing has been created.
    pub async fn start(source: Cluster, target: Cluster, config: MirrorConfig) -> Result<Self, MirrorError> {
        if source.id() == target.id() && !source.id().is_empty() {
            return Err(FlowError::SameCluster { id: source.id().to_owned() }.into());
        }
        let (seen, target_brokers) = look(&source, &target, &config.topics, &HashMap::new()).await?;
        let counts = counted(&seen);
        let TopicPlan { mut pairs, create, problems } = plan(seen, target_brokers);
        set_starts(&mut pairs, &config.starts);
        if !problems.is_empty() {
            return Err(MirrorError::Topics(problems));
        }
        if pairs.is_empty() && !config.may_wait_for_topics {
            return Err(MirrorError::NothingMatches { pattern: config.topics.to_string() });
        }
        create_topics(&target, &create, missing_state_topic(&target, &config.flow.name).await?).await?;
        let flow = Flow::new(source.clone(), target.clone()).config(config.flow.clone());
        let flow = pairs.into_iter().fold(flow, Flow::pair).start().await?;
        Ok(Self { config, source, target, flow, known: counts })
    }

    /// The flow that copies.
    pub fn flow(&self) -> &FlowHandle {
        &self.flow
    }

    /// Topics being copied.
    pub fn topics(&self) -> usize {
        self.known.len()
    }

    /// Looks for topics and partitions that are new on the source and takes them up. A topic that cannot be
    /// copied is named in the log and looked at again next time.
    ///
    /// # Errors
    /// When a cluster fails us; trying again later may help.
    pub async fn discover(&mut self) -> Result<Vec<TopicPair>, MirrorError> {
        let (seen, target_brokers) =
            look(&self.source, &self.target, &self.config.topics, &self.known).await?;
        if seen.is_empty() {
            return Ok(Vec::new());
        }
        let counts = counted(&seen);
        let TopicPlan { mut pairs, create, problems } = plan(seen, target_brokers);
        set_starts(&mut pairs, &self.config.starts);
        for problem in problems {
            tracing::error!("not copied: {problem}");
        }
        create_topics(&self.target, &create, None).await?;
        self.flow.add_topics(&pairs).await?;
        for pair in &pairs {
            if let Some(partitions) = counts.get(&pair.source) {
                self.known.insert(pair.source.clone(), *partitions);
            }
        }
        Ok(pairs)
    }

    /// Whether `status` names partitions that stopped and whose topics are to be copied anew.
    pub fn will_reseed(&self, status: &Status) -> bool {
        !self.to_reseed(status).is_empty()
    }

    fn to_reseed(&self, status: &Status) -> BTreeSet<Arc<str>> {
        if self.config.flow.on_source_accident != OnSourceAccident::Reseed {
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
        let topics: Vec<Arc<str>> = self.to_reseed(&self.flow.status().await?).into_iter().collect();
        if topics.is_empty() {
            return Ok(false);
        }
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
        for topic in &topics {
            self.flow.forget_topic(topic).await?;
            self.known.remove(topic);
        }
        self.target.topics_are_gone(&topics).await.map_err(MirrorError::Target)?;
        Ok(true)
    }

    /// Discovers for ever, at the configured interval.
    pub async fn watch(&mut self) {
        loop {
            tokio::time::sleep(self.config.discovery_interval).await;
            if let Err(error) = self.reseed_stopped().await {
                tracing::error!(%error, "topics could not be set up to be copied anew; trying again");
            }
            match self.discover().await {
                Ok(pairs) if pairs.is_empty() => {}
                Ok(pairs) => {
                    let names: Vec<&str> = pairs.iter().map(|pair| &*pair.source).collect();
                    tracing::info!("also copying {}", names.join(", "));
                }
                Err(error) => tracing::warn!(%error, "looking for new topics failed; trying again"),
            }
        }
    }

    /// Ends the flow: see [`FlowHandle::shutdown`].
    pub fn into_flow(self) -> FlowHandle {
        self.flow
    }
}

fn set_starts(pairs: &mut [TopicPair], starts: &[StartOf]) {
    for pair in pairs {
        let fits = starts.iter().find(|start| start.topics.matches(&pair.source));
        pair.start = fits.map(|found| found.start.clone());
    }
}

/// The flow's state topic, if it has yet to be created.
async fn missing_state_topic(target: &Cluster, flow: &str) -> Result<Option<NewTopic>, MirrorError> {
    let state = TopicPositions::state_topic(flow, target.brokers().brokers().len());
    let metadata =
        target.metadata(Some(std::slice::from_ref(&state.name))).await.map_err(MirrorError::Target)?;
    let is_there = metadata.topic(&state.name).is_some_and(|topic| topic.error == BrokerError::NONE);
    Ok((!is_there).then_some(state))
}

fn counted(seen: &[crate::topics::SeenTopic]) -> HashMap<Arc<str>, usize> {
    seen.iter().map(|topic| (topic.name.clone(), topic.partitions)).collect()
}

/// All of `topics`, or an error that names those that failed; nothing is created if one would be refused, or
/// if `also` would be, which is created later by others.
async fn create_topics(
    target: &Cluster,
    topics: &[NewTopic],
    also: Option<NewTopic>,
) -> Result<(), MirrorError> {
    let all: Vec<NewTopic> = topics.iter().cloned().chain(also).collect();
    for (topics, validate_only) in [(&all[..], true), (topics, false)] {
        if topics.is_empty() {
            continue;
        }
        let outcomes = target.create_topics(topics, validate_only).await.map_err(MirrorError::Target)?;
        let errors: Vec<ClusterError> = outcomes.into_iter().filter_map(Result::err).collect();
        if !errors.is_empty() {
            return Err(MirrorError::Create(errors));
        }
    }
    if topics.is_empty() {
        return Ok(());
    }
    for topic in topics {
        tracing::info!("created topic {} with {} partitions on the target", topic.name, topic.partitions);
    }
    let names: Vec<Arc<str>> = topics.iter().map(|topic| topic.name.clone()).collect();
    target.topics_are_there(&names).await.map_err(MirrorError::Target)
}
