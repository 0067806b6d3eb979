//! What a flow does beside the data, each by itself and again and again.

use crate::acls::AclSyncer;
use crate::beacons::{BeaconTopic, Checkpoints, Heartbeats, OffsetSyncs};
use crate::config::{FlowSettings, SyncsLocation};
use crate::groups::GroupSyncer;
use crate::mirror::{Mirror, MirrorError};
use crate::said::Said;
use crate::topics::{ConfigRules, ConfigSyncer, NameFilter, TopicSelection};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use verbatim_pipeline::{Cluster, FlowError, FlowView};

/// The tasks beside one flow.
#[derive(Debug)]
pub(super) struct Aside {
    name: Arc<str>,
    tasks: JoinSet<()>,
    topics: watch::Sender<Vec<Arc<str>>>,
}

/// Source and target.
type Clusters<'a> = (&'a Cluster, &'a Cluster);

impl Aside {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), tasks: JoinSet::new(), topics: watch::Sender::new(Vec::new()) }
    }

    /// Says which topics are copied now.
    pub(super) fn tell_topics(&self, mirror: &Mirror) {
        let mut topics: Vec<Arc<str>> = mirror.topic_names().cloned().collect();
        topics.sort_unstable();
        self.topics.send_replace(topics);
    }

    pub(super) fn end(&mut self) {
        self.tasks.abort_all();
    }

    pub(super) fn beat(&mut self, flow: &FlowSettings, target: &Cluster) {
        let beacons = &flow.beacons;
        let Some(interval) = beacons.heartbeats else { return };
        let topic = BeaconTopic::new(target.clone(), &beacons.heartbeats_topic, beacons.replication_factor);
        let mut heart = Heartbeats::new(topic, &flow.source, &flow.target);
        let mut trouble = Trouble::new(&self.name, "heartbeats are not sent");
        self.tasks.spawn(async move {
            let mut ticks = every(interval);
            loop {
                ticks.tick().await;
                trouble.heard(heart.beat().await);
            }
        });
    }

    pub(super) fn sync_configs(
        &mut self,
        flow: &FlowSettings,
        (source, target): Clusters<'_>,
        topics: &TopicSelection,
        rules: ConfigRules,
    ) {
        let Some(interval) = flow.configs.interval else { return };
        let (source, target, topics) = (source.clone(), target.clone(), topics.clone());
        let mut syncer = ConfigSyncer { source, target, topics, rules, said: Said::default() };
        let copied = self.topics.subscribe();
        let mut trouble = Trouble::new(&self.name, "topic configs are not kept up to date");
        self.tasks.spawn(async move {
            let mut ticks = at_once_and_every(interval);
            loop {
                ticks.tick().await;
                let topics = copied.borrow().clone();
                trouble.heard(syncer.sync(&topics).await);
            }
        });
    }

    pub(super) fn sync_acls(
        &mut self,
        flow: &FlowSettings,
        (source, target): Clusters<'_>,
        topics: &TopicSelection,
    ) {
        let Some(interval) = flow.acls.interval else { return };
        let (source, target, topics) = (source.clone(), target.clone(), topics.clone());
        let removes = flow.acls.removes;
        let mut syncer =
            AclSyncer { source, target, topics, removes, last: BTreeSet::new(), said: Said::default() };
        let copied = self.topics.subscribe();
        let mut trouble = Trouble::new(&self.name, "ACLs are not carried over");
        self.tasks.spawn(async move {
            let mut ticks = at_once_and_every(interval);
            loop {
                ticks.tick().await;
                let topics = copied.borrow().clone();
                trouble.heard(syncer.sync(&topics).await);
            }
        });
    }

    pub(super) fn carry_groups(
        &mut self,
        flow: &FlowSettings,
        (source, target): Clusters<'_>,
        topics: &TopicSelection,
        view: FlowView,
    ) -> Result<(), MirrorError> {
        let beacons = &flow.beacons;
        if flow.groups.interval.is_none() && beacons.checkpoints.is_none() {
            return Ok(());
        }
        let groups = NameFilter::new(&flow.groups.include, &flow.groups.exclude)?;
        let (source, target, topics) = (source.clone(), target.clone(), topics.clone());
        let mut checkpoints = beacons.checkpoints.map(|interval| {
            let name = flow.checkpoints_topic();
            let topic = BeaconTopic::new(target.clone(), &name, beacons.replication_factor);
            (every(interval), Checkpoints::new(topic))
        });
        let mut syncer = GroupSyncer { source, target, topics, groups, view, said: Said::default() };
        let mut ticks = flow.groups.interval.map(every);
        let goes_back = flow.groups.goes_back;
        let mut committing = Trouble::new(&self.name, "offsets of groups are not carried over");
        let mut writing = Trouble::new(&self.name, "checkpoints are not written");
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = next(ticks.as_mut()) => {
                        let synced = syncer.sync().await;
                        let is_over = matches!(synced, Err(FlowError::Ended));
                        committing.heard(synced);
                        if goes_back {
                            committing.heard(syncer.sync_back().await);
                        }
                        if is_over {
                            return;
                        }
                    }
                    () = next(checkpoints.as_mut().map(|(ticks, _)| ticks)) => {
                        let Some((_, checkpoints)) = &mut checkpoints else { continue };
                        match syncer.translated().await {
                            Ok(translated) => {
                                writing.heard(checkpoints.write(&translated).await);
                            }
                            Err(FlowError::Ended) => return,
                            Err(error) => writing.heard::<()>(Err(error)),
                        }
                    }
                }
            }
        });
        Ok(())
    }

    pub(super) fn sync_offsets(
        &mut self,
        flow: &FlowSettings,
        (source, target): Clusters<'_>,
        view: FlowView,
    ) {
        /// As often as MirrorMaker 2 sends them for topics at rest, at most.
        const INTERVAL: Duration = Duration::from_secs(5);
        let beacons = &flow.beacons;
        let Some(location) = beacons.offset_syncs else { return };
        let (cluster, other) = match location {
            SyncsLocation::Source => (source, &flow.target),
            SyncsLocation::Target => (target, &flow.source),
        };
        let name = flow.offset_syncs_topic(other);
        let mut syncs =
            OffsetSyncs::new(BeaconTopic::new(cluster.clone(), &name, beacons.replication_factor));
        let mut trouble = Trouble::new(&self.name, "offset syncs are not written");
        self.tasks.spawn(async move {
            let mut ticks = every(INTERVAL);
            loop {
                ticks.tick().await;
                let Ok(status) = view.status().await else { return };
                trouble.heard(syncs.write(&status.partitions).await);
            }
        });
    }
}

/// Ticks that do not pile up. The first comes after one interval.
fn every(interval: Duration) -> Interval {
    let mut ticks = at_once_and_every(interval);
    ticks.reset();
    ticks
}

/// The same with the first at once.
fn at_once_and_every(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The next tick; never, without ticks.
async fn next(ticks: Option<&mut Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

/// Something that fails now and then, and is said to once.
#[derive(Debug)]
struct Trouble {
    flow: Arc<str>,
    what: &'static str,
    said: Said,
}

impl Trouble {
    fn new(flow: &Arc<str>, what: &'static str) -> Self {
        Self { flow: flow.clone(), what, said: Said::default() }
    }

    fn heard<T>(&mut self, outcome: Result<T, impl Display>) {
        match outcome {
            Ok(_) => {
                if self.said.is_over("") {
                    tracing::info!("flow {}: no more: {}", self.flow, self.what);
                }
            }
            Err(error) => {
                if self.said.is_news("", &error) {
                    tracing::warn!("flow {}: {}: {error}; trying again", self.flow, self.what);
                }
            }
        }
    }
}
