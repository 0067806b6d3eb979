//! Keeps a flow supplied with the topics that match.

mod error;
mod reseed;

pub use error::MirrorError;

use crate::rates::Rates;
use crate::said::{self, Said};
use crate::starts::StartOf;
use crate::takeover::Takeover;
use crate::topics::{
    ConfigRules, EXCLUDED, FilterError, Looking, Making, TopicFilter, TopicSelection, create_all, look, make,
    plan,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use verbatim_pipeline::{
    Flow, FlowConfig, FlowError, FlowHandle, Forward, NewTopic, Start, TopicPair, TopicPositions, is_ours,
    sources_of,
};
use verbatim_wire::cluster::{BrokerError, Cluster};

/// Settings of a mirror.
#[derive(Debug, Clone)]
pub struct MirrorConfig {
    /// Which topics.
    pub topics: TopicSelection,
    /// Replicas of topics created; `None` takes as many as on the source.
    pub replication_factor: Option<i16>,
    /// Which configs topics are created with.
    pub configs: ConfigRules,
    /// How they are copied.
    pub flow: FlowConfig,
    /// Where topics start that nothing is copied of yet, the first that fits; else as the flow says.
    pub starts: Vec<StartOf>,
    /// What is gone on from that MirrorMaker 2 left; comes before `starts`.
    pub takeover: Takeover,
    /// How fast they are written. Default: no limit.
    pub rates: Rates,
    /// How often the source is asked for new topics and partitions. Default 2 s.
    pub discovery_interval: Duration,
    /// Whether to start while no topic matches, and wait for one. Default yes.
    pub may_wait_for_topics: bool,
    /// Whether to start although some topics cannot be copied: they are named in the log and tried again. Default no.
    pub is_lenient: bool,
}

impl MirrorConfig {
    /// Defaults for topics that match `patterns`.
    ///
    /// # Errors
    /// When the patterns cannot be read.
    pub fn new(patterns: &str) -> Result<Self, FilterError> {
        Ok(Self {
            topics: TopicSelection::same(TopicFilter::new(patterns)?),
            replication_factor: None,
            configs: ConfigRules::new(&EXCLUDED, false)?,
            flow: FlowConfig::default(),
            starts: Vec::new(),
            rates: Rates::default(),
            takeover: Takeover::default(),
            discovery_interval: Duration::from_secs(2),
            may_wait_for_topics: true,
            is_lenient: false,
        })
    }
}

/// What fails when a cluster does not answer.
const LOOKING: &str = "looking for new topics failed";

/// A flow and the topics it is to copy.
#[derive(Debug)]
pub struct Mirror {
    config: MirrorConfig,
    source: Cluster,
    target: Cluster,
    flow: FlowHandle,
    /// Topics being copied and their number of partitions.
    known: HashMap<Arc<str>, usize>,
    /// The same topics by their names on the target.
    targets: HashMap<Arc<str>, Arc<str>>,
    /// Topics that match and are not copied, or not all partitions of them, as of the last look; by their names on the source.
    left_out: BTreeSet<Arc<str>>,
    said: Said,
}

impl Mirror {
    /// Looks at both clusters, creates what the target lacks, and starts copying.
    ///
    /// # Errors
    /// When a cluster fails us, a matching topic cannot be copied, none matches and that was not asked for, or a
    /// topic cannot be created. In the first three cases nothing has been created. With `is_lenient` only when a cluster fails
    /// us: topics are then left to [`discover`](Self::discover).
    pub async fn start(
        source: Cluster,
        target: Cluster,
        mut config: MirrorConfig,
    ) -> Result<Self, MirrorError> {
        config.flow.limits.extend(config.rates.of_flow());
        if source.id() == target.id() && !source.id().is_empty() {
            return Err(FlowError::SameCluster { id: source.id().to_owned() }.into());
        }
        // Before anything is created.
        let origin = config.flow.origin.as_deref().unwrap_or(source.id());
        let found = sources_of(&target, &config.flow.name).await.map_err(FlowError::from)?;
        is_ours(&config.flow.name, found.iter(), origin)?;
        let flow = Flow::new(source.clone(), target.clone()).config(config.flow.clone());
        let (known, targets, mut said) = (HashMap::new(), HashMap::new(), Said::default());
        let left_out = BTreeSet::new();
        if config.is_lenient {
            let flow = flow.start().await?;
            return Ok(Self { config, source, target, flow, known, targets, left_out, said });
        }
        let asks_provenance = config.flow.forward == Forward::Everything;
        let (topics, settles) = (&config.topics, false);
        let looking =
            Looking { source: &source, target: &target, topics, known: &known, asks_provenance, settles };
        let (seen, target_brokers) = look(looking, &mut said).await?;
        let counts = counted(&seen);
        let mut plan = plan(seen, &targets, making(&config, target_brokers));
        settle_pairs(&mut plan.pairs, &config);
        if !plan.problems.is_empty() {
            return Err(MirrorError::Topics(plan.problems));
        }
        if plan.pairs.is_empty() && !config.may_wait_for_topics {
            return Err(MirrorError::NothingMatches { pattern: config.topics.filter.to_string() });
        }
        create_all(&target, &plan, missing_state_topic(&target, &config.flow.name).await?).await?;
        let flow = plan.pairs.iter().cloned().fold(flow, Flow::pair).start().await?;
        let mut mirror = Self { config, source, target, flow, known, targets, left_out, said };
        mirror.note(&plan.pairs, &counts);
        Ok(mirror)
    }

    /// The flow that copies.
    pub fn flow(&self) -> &FlowHandle {
        &self.flow
    }

    /// Number of topics being copied.
    pub fn topics(&self) -> usize {
        self.known.len()
    }

    /// Names on the source of the topics being copied.
    pub fn topic_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.known.keys()
    }

    /// Names on the source of topics that match and are not copied, or not all partitions of them, as of the last look. Why is in
    /// the log.
    pub fn left_out(&self) -> &BTreeSet<Arc<str>> {
        &self.left_out
    }

    /// Says in the log where offsets are not preserved although they might be, and why; of each partition once. What is said begins
    /// with `before`.
    ///
    /// # Errors
    /// When the flow has ended.
    pub async fn say_offsets(&mut self, before: &str) -> Result<(), FlowError> {
        let status = self.flow.status().await?;
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for partition in &status.partitions {
            let Some(why) = &partition.translated_because else { continue };
            let name = partition.name.to_string();
            if self.said.is_news(&format!("offsets of {name}"), why) {
                reasons.entry(why).or_default().push(name);
            }
        }
        for (why, names) in reasons {
            tracing::info!("{before}{}: offsets are translated, because {why}", said::listed(&names, 1));
        }
        Ok(())
    }

    /// Looks for topics and partitions that are new on the source and takes them up. A topic that cannot be
    /// copied is named in the log, once, and looked at again next time.
    ///
    /// # Errors
    /// When a cluster fails us; trying again later may help.
    pub async fn discover(&mut self) -> Result<Vec<TopicPair>, MirrorError> {
        let Self { config, source, target, known, said, .. } = self;
        let asks_provenance = config.flow.forward == Forward::Everything;
        let looking =
            Looking { source, target, topics: &config.topics, known, asks_provenance, settles: true };
        let (seen, target_brokers) = look(looking, said).await?;
        if seen.is_empty() {
            self.left_out.clear();
            return Ok(Vec::new());
        }
        let counts = counted(&seen);
        let mut plan = plan(seen, &self.targets, making(&self.config, target_brokers));
        settle_pairs(&mut plan.pairs, &self.config);
        for problem in &plan.problems {
            if self.said.is_news(&format!("plan {}", problem.topic()), problem) {
                tracing::error!("not copied: {problem}");
            }
        }
        let failed = make(&self.target, &plan, &mut self.said).await?;
        plan.pairs.retain(|pair| !failed.contains(&pair.target));
        let pairs = self.add(plan.pairs).await?;
        self.left_out = counts.keys().cloned().collect();
        for pair in &pairs {
            self.left_out.remove(&pair.source);
        }
        self.note(&pairs, &counts);
        Ok(pairs)
    }

    /// Adds `pairs` to the flow; one that it refuses does not keep the others out. Returns those added.
    async fn add(&mut self, pairs: Vec<TopicPair>) -> Result<Vec<TopicPair>, MirrorError> {
        if pairs.is_empty() {
            return Ok(pairs);
        }
        let Err(error) = self.flow.add_topics(&pairs).await else { return Ok(pairs) };
        if pairs.len() == 1 || matches!(error, FlowError::Ended) {
            return Err(error.into());
        }
        let mut added = Vec::new();
        for pair in pairs {
            match self.flow.add_topics(std::slice::from_ref(&pair)).await {
                Ok(()) => added.push(pair),
                Err(FlowError::Ended) => return Err(FlowError::Ended.into()),
                Err(error) => {
                    if self.said.is_news(&format!("add {}", pair.source), &error) {
                        tracing::error!("topic {} is not copied: {error}", pair.source);
                    }
                }
            }
        }
        Ok(added)
    }

    fn note(&mut self, pairs: &[TopicPair], counts: &HashMap<Arc<str>, usize>) {
        for pair in pairs {
            if let Some(partitions) = counts.get(&pair.source) {
                self.known.insert(pair.source.clone(), *partitions);
                self.targets.insert(pair.target.clone(), pair.source.clone());
            }
        }
    }

    /// Discovers for ever, at the configured interval; returns when the flow has ended.
    pub async fn watch(&mut self) -> FlowError {
        loop {
            if let Err(error) = self.watch_once().await {
                return error;
            }
        }
    }

    /// Waits for the configured interval, then takes up what is new and returns it. What goes wrong is logged, and tried again
    /// next time.
    ///
    /// # Errors
    /// When the flow has ended.
    pub async fn watch_once(&mut self) -> Result<Vec<TopicPair>, FlowError> {
        tokio::time::sleep(self.config.discovery_interval).await;
        if let Err(error) = self.reseed_stopped().await {
            self.log_failure("topics could not be set up to be copied anew", error)?;
        }
        match self.discover().await {
            Ok(pairs) => {
                self.said.is_over(LOOKING);
                if !pairs.is_empty() {
                    let names: Vec<&str> = pairs.iter().map(|pair| &*pair.source).collect();
                    tracing::info!("also copying {}", names.join(", "));
                }
                Ok(pairs)
            }
            Err(error) => {
                self.log_failure(LOOKING, error)?;
                Ok(Vec::new())
            }
        }
    }

    fn log_failure(&mut self, what: &str, error: MirrorError) -> Result<(), FlowError> {
        match error {
            MirrorError::Flow(FlowError::Ended) => Err(FlowError::Ended),
            error => {
                if self.said.is_news(what, &error) {
                    tracing::warn!("{what}: {error}; trying again");
                }
                Ok(())
            }
        }
    }

    /// Ends the flow: see [`FlowHandle::shutdown`].
    pub fn into_flow(self) -> FlowHandle {
        self.flow
    }
}

fn making(config: &MirrorConfig, target_brokers: usize) -> Making<'_> {
    Making { target_brokers, replication_factor: config.replication_factor, configs: &config.configs }
}

/// Where topics start, and how fast they are written.
fn settle_pairs(pairs: &mut [TopicPair], config: &MirrorConfig) {
    for pair in pairs {
        pair.limit = Some(config.rates.of_topic(&pair.source));
        let taken = config.takeover.starts(&pair.source);
        if !taken.is_empty() {
            pair.start = Some(Start::Offsets(taken));
            continue;
        }
        let fits = config.starts.iter().find(|start| start.topics.matches(&pair.source));
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
