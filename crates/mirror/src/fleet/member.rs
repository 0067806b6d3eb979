//! One flow, started again whenever it fails.

use super::aside::Aside;
use crate::config::{ClusterSettings, FlowSettings};
use crate::mirror::{Mirror, MirrorConfig, MirrorError};
use crate::rates::Rates;
use crate::said::Said;
use crate::starts::StartOf;
use crate::takeover::Takeover;
use crate::topics::{ConfigRules, FilterError, TopicFilter, TopicSelection};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use verbatim_pipeline::{Cluster, ClusterConfig, FlowConfig, FlowView, Forward};
use verbatim_wire::cluster::ClusterError;
use verbatim_wire::transport::TlsConfig;

/// What a flow is doing.
#[derive(Debug, Clone)]
pub enum FlowState {
    /// Looking at its clusters.
    Starting,
    /// It failed and will be started again; why.
    Waiting(String),
    /// It copies, and has not seen all topics yet.
    Discovering(FlowView),
    /// It copies.
    Running(FlowView),
    /// It only sends heartbeats.
    Beating,
    /// It was told to end.
    Ended,
}

/// First pause before a flow is started again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Member {
    pub(super) flow: FlowSettings,
    pub(super) source: ClusterSettings,
    pub(super) target: ClusterSettings,
    /// The cluster that the records copied were produced on, if that is not the source.
    pub(super) origin: Option<ClusterSettings>,
    pub(super) state: watch::Sender<FlowState>,
    /// Topics that are not copied although they match.
    pub(super) left_out: watch::Sender<BTreeSet<Arc<str>>>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) takeover: Takeover,
    pub(super) rates: Rates,
}

impl Member {
    pub(super) async fn run(mut self) {
        let mut said = Said::default();
        let mut pause = FIRST_PAUSE;
        let mut stop = self.stop.clone();
        loop {
            let began = tokio::time::Instant::now();
            let Err(error) = self.once().await else { break };
            if began.elapsed() > LAST_PAUSE {
                pause = FIRST_PAUSE;
            }
            if said.is_news("", &error) {
                tracing::error!("flow {}: {error}; trying again", self.flow.name);
            }
            self.state.send_replace(FlowState::Waiting(error.to_string()));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|is_over| *is_over) => break,
            }
            pause = LAST_PAUSE.min(pause * 2);
        }
        self.state.send_replace(FlowState::Ended);
    }

    /// From connecting to the end: in order, or with what went wrong.
    async fn once(&mut self) -> Result<(), MirrorError> {
        let mut stop = self.stop.clone();
        let over = stop.wait_for(|is_over| *is_over);
        tokio::pin!(over);
        let started = tokio::select! {
            started = self.start() => started?,
            _ = &mut over => return Ok(()),
        };
        let Started { mirror, mut aside } = started;
        let Some(mut mirror) = mirror else {
            self.state.send_replace(FlowState::Beating);
            tracing::info!("flow {}: sends heartbeats only", self.flow.name);
            drop(over.await);
            aside.end();
            return Ok(());
        };
        self.state.send_replace(FlowState::Discovering(mirror.flow().view()));
        let outcome = tokio::select! {
            error = self.watch(&mut mirror, &aside) => Err(error),
            _ = &mut over => Ok(()),
        };
        aside.end();
        let ended = mirror.into_flow().shutdown().await;
        outcome?;
        ended?;
        Ok(())
    }

    /// Takes up the topics there are and what is new, until the flow fails.
    async fn watch(&self, mirror: &mut Mirror, aside: &Aside) -> MirrorError {
        if let Err(error) = mirror.discover().await {
            return error;
        }
        let FlowSettings { name, source, target, .. } = &self.flow;
        tracing::info!("flow {name}: copying {} topics from {source} to {target}", mirror.topics());
        aside.tell_topics(mirror);
        let before = format!("flow {name}: ");
        if let Err(error) = mirror.say_offsets(&before).await {
            return error.into();
        }
        self.left_out.send_replace(mirror.left_out().clone());
        self.state.send_replace(FlowState::Running(mirror.flow().view()));
        loop {
            match mirror.watch_once().await {
                Ok(pairs) if pairs.is_empty() => {}
                Ok(_) => {
                    aside.tell_topics(mirror);
                    if let Err(error) = mirror.say_offsets(&before).await {
                        return error.into();
                    }
                }
                Err(error) => return error.into(),
            }
            self.left_out.send_replace(mirror.left_out().clone());
        }
    }

    async fn start(&self) -> Result<Started, MirrorError> {
        let (flow, name) = (&self.flow, &self.flow.name);
        let target = connect(&self.target).await.map_err(MirrorError::Target)?;
        let mut aside = Aside::new(name);
        aside.beat(flow, &target);
        if !flow.is_enabled {
            return Ok(Started { mirror: None, aside });
        }
        let source = connect(&self.source).await.map_err(MirrorError::Source)?;
        let mut config = MirrorConfig {
            takeover: self.takeover.clone(),
            rates: self.rates.clone(),
            ..mirror_config(flow)?
        };
        if let Some(origin) = &self.origin {
            // Its id is all that is wanted of it; it may be away later.
            let origin = connect(origin).await.map_err(MirrorError::Origin)?;
            config.flow.origin = Some(origin.id().to_owned());
        }
        let (topics, rules) = (config.topics.clone(), config.configs.clone());
        let mirror = Mirror::start(source.clone(), target.clone(), config).await?;
        aside.sync_configs(flow, (&source, &target), &topics, rules);
        aside.sync_acls(flow, (&source, &target), &topics);
        aside.carry_groups(flow, (&source, &target), &topics, mirror.flow().view())?;
        aside.sync_offsets(flow, (&source, &target), mirror.flow().view());
        Ok(Started { mirror: Some(mirror), aside })
    }
}

struct Started {
    mirror: Option<Mirror>,
    aside: Aside,
}

pub(crate) async fn connect(settings: &ClusterSettings) -> Result<Cluster, ClusterError> {
    let mut config = ClusterConfig::new(&settings.bootstrap).map_err(|error| {
        // Checked when the setup was read.
        ClusterError::Missing { request: "read", subject: error.to_string() }
    })?;
    config.tls = TlsConfig { ca_file: settings.ca_file.clone() };
    Cluster::connect(config).await
}

/// The topics that a flow copies.
pub(crate) fn topics_of(flow: &FlowSettings) -> Result<TopicSelection, FilterError> {
    Ok(TopicSelection {
        filter: TopicFilter::of(&flow.topics, &flow.topics_exclude)?,
        naming: flow.topic_naming(),
        target: flow.target.clone(),
        copies_heartbeats: flow.beacons.copies_heartbeats,
        brought: flow.brought.clone(),
    })
}

/// A flow's settings, as the mirror needs them.
pub(crate) fn mirror_config(flow: &FlowSettings) -> Result<MirrorConfig, MirrorError> {
    let topics = topics_of(flow)?;
    let defaults = FlowConfig::default();
    let starts: Result<Vec<StartOf>, _> = flow.start.iter().map(|text| StartOf::parse(text)).collect();
    Ok(MirrorConfig {
        topics,
        replication_factor: flow.replication_factor,
        configs: ConfigRules::new(&flow.configs.exclude, flow.configs.use_source_defaults)?,
        flow: FlowConfig {
            name: flow.name.clone(),
            isolation: flow.isolation,
            offsets: flow.offsets,
            shares_target: flow.shares_target,
            forward: if flow.is_local { Forward::Local } else { Forward::Everything },
            on_source_accident: flow.on_source_accident,
            follow_retention: flow.follow_retention,
            batching: flow.batching,
            splice: flow.splice,
            verify_source: flow.verify_source,
            budget_bytes: flow.memory_bytes.unwrap_or(defaults.budget_bytes),
            far_budget_bytes: flow.memory_bytes.unwrap_or(defaults.far_budget_bytes),
            ..FlowConfig::default()
        },
        starts: starts?,
        rates: Rates::default(),
        takeover: Takeover::default(),
        discovery_interval: flow.refresh_topics,
        may_wait_for_topics: true,
        is_lenient: true,
    })
}
