//! Many flows in one process, each by itself: one that fails does not disturb the others.

mod aside;
mod member;

pub use member::FlowState;

use crate::config::{Beacons, FlowSettings, Setup};
use crate::mirror::MirrorError;
use crate::rates::{RateOf, Rates};
use crate::said::listed;
use crate::takeover::{Takeover, TakeoverError, take_over};
use member::Member;
#[cfg(test)]
pub(crate) use member::topics_of;
pub(crate) use member::{connect, mirror_config};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use verbatim_pipeline::{RateLimit, Status};

/// What MirrorMaker 2 left behind of a flow of `setup`; writes nothing.
///
/// # Errors
/// When a cluster fails us, MirrorMaker 2 still runs, or there is nothing of it.
pub async fn look_for_takeover(setup: &Setup, flow: &str) -> Result<Takeover, MirrorError> {
    let found = setup.flows.iter().find(|found| found.name == flow && found.is_enabled);
    let Some(flow) = found else { return Ok(Takeover::default()) };
    let (Some(source), Some(target)) = (setup.clusters.get(&flow.source), setup.clusters.get(&flow.target))
    else {
        return Ok(Takeover::default());
    };
    let source = connect(source).await.map_err(TakeoverError::Source)?;
    let target = connect(target).await.map_err(TakeoverError::Target)?;
    let topics = mirror_config(flow)?.topics;
    Ok(take_over(flow, &source, &target, &topics).await?)
}

/// The part of `flow` that carries on what was produced on cluster `origin`: a flow of its own, with its own positions and producers,
/// and nothing beside the data.
fn carrier(flow: &FlowSettings, origin: &str) -> (FlowSettings, Option<String>) {
    let mut carrier = flow.clone();
    carrier.name = format!("{}.from.{origin}", flow.name);
    carrier.configs.interval = None;
    carrier.acls.interval = None;
    carrier.groups.interval = None;
    carrier.beacons = Beacons { copies_heartbeats: flow.beacons.copies_heartbeats, ..Beacons::default() };
    (carrier, Some(origin.to_owned()))
}

/// What is to be said of topics that are left out. Why has been logged.
fn not_copied(topics: &BTreeSet<Arc<str>>) -> Option<String> {
    /// More than this do not help to see what is wrong.
    const MOST: usize = 10;
    let names: Vec<String> = topics.iter().map(ToString::to_string).collect();
    let topic = if names.len() == 1 { "topic" } else { "topics" };
    (!names.is_empty())
        .then(|| format!("not copied, for the reasons logged: {topic} {}", listed(&names, MOST)))
}

/// The flows of a setup, running.
#[derive(Debug)]
pub struct Fleet {
    view: FleetView,
    tasks: Vec<JoinHandle<()>>,
    all_flows: RateLimit,
    /// By the names of the flows in the file.
    rates: BTreeMap<String, Rates>,
    stop: watch::Sender<bool>,
}

/// A fleet, to be watched from elsewhere.
#[derive(Debug, Clone)]
pub struct FleetView {
    ships: Vec<Ship>,
}

#[derive(Debug, Clone)]
struct Ship {
    name: String,
    state: watch::Receiver<FlowState>,
    left_out: watch::Receiver<BTreeSet<Arc<str>>>,
}

/// One flow at one moment.
#[derive(Debug)]
pub struct FlowReport {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: FlowState,
    /// Where its partitions stand, if it runs and is not busy ending.
    pub status: Option<Status>,
}

impl Fleet {
    /// Starts every flow of `setup`. A flow whose clusters cannot be reached goes on trying.
    pub fn start(setup: &Setup) -> Self {
        Self::start_from(setup, &BTreeMap::new())
    }

    /// The same, going on where MirrorMaker 2 stopped: by the names of the flows.
    pub fn start_from(setup: &Setup, takeovers: &BTreeMap<String, Takeover>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (mut ships, mut tasks) = (Vec::new(), Vec::new());
        let all_flows = RateLimit::default();
        let rates: BTreeMap<String, Rates> =
            setup.flows.iter().map(|flow| (flow.name.clone(), Rates::under(all_flows.clone()))).collect();
        let of_file = setup.flows.iter().map(|flow| (&flow.name, flow.clone(), None));
        // They share the limits of the flow they are a part of.
        let carriers = setup.flows.iter().flat_map(|flow| {
            flow.carries.iter().map(move |origin| {
                let (carrier, origin) = carrier(flow, origin);
                (&flow.name, carrier, origin)
            })
        });
        for (in_file, flow, origin) in of_file.chain(carriers) {
            let cluster = |name: &str| setup.clusters.get(name).cloned();
            let (Some(source), Some(target)) = (cluster(&flow.source), cluster(&flow.target)) else {
                continue;
            };
            let origin = origin.and_then(|name| cluster(&name));
            let (tell, state) = watch::channel(FlowState::Starting);
            let name = flow.name.clone();
            let rates = rates.get(in_file).cloned().unwrap_or_default();
            let takeover = takeovers.get(&name).cloned().unwrap_or_default();
            let (tell_left_out, left_out) = watch::channel(BTreeSet::new());
            let member = Member {
                flow,
                source,
                target,
                origin,
                state: tell,
                left_out: tell_left_out,
                stop: stopping.clone(),
                takeover,
                rates,
            };
            tasks.push(tokio::spawn(member.run()));
            ships.push(Ship { name, state, left_out });
        }
        let fleet = Self { view: FleetView { ships }, tasks, all_flows, rates, stop };
        fleet.set_rates(setup);
        fleet
    }

    /// Flows write as fast as `setup` says from now on. Nothing else of it counts; its flows are known by their names.
    pub fn set_rates(&self, setup: &Setup) {
        self.all_flows.set(setup.max_rate);
        for flow in &setup.flows {
            if let Some(rates) = self.rates.get(&flow.name) {
                // Those that cannot be read were found when the setup was.
                let topics = flow.topic_max_rate.iter().filter_map(|text| RateOf::parse(text).ok());
                rates.set(flow.max_rate, topics.collect());
            }
        }
    }

    /// The fleet, to be watched from elsewhere.
    pub fn view(&self) -> FleetView {
        self.view.clone()
    }

    /// Ends all flows: what is under way is answered, positions are noted.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A panic has been printed where it happened.
            drop(task.await);
        }
    }
}

impl FleetView {
    /// Where all flows stand.
    pub async fn report(&self) -> Vec<FlowReport> {
        let mut reports = Vec::with_capacity(self.ships.len());
        for ship in &self.ships {
            let state = ship.state.borrow().clone();
            let status = match &state {
                FlowState::Discovering(view) | FlowState::Running(view) => view.status_in_time().await,
                _ => None,
            };
            reports.push(FlowReport { name: ship.name.clone(), state, status });
        }
        reports
    }

    /// Waits until every flow that copies has come to where its source ended when it first looked; returns the names of those of
    /// which partitions stopped on the way or topics are not copied, with the reasons.
    pub async fn caught_up(mut self) -> Vec<(String, String)> {
        let mut failed = Vec::new();
        for ship in &mut self.ships {
            loop {
                let state = ship.state.borrow_and_update().clone();
                match state {
                    FlowState::Running(view) => match view.caught_up().await {
                        Ok(()) => break,
                        Err(verbatim_pipeline::FlowError::Ended) => {}
                        Err(error) => {
                            failed.push((ship.name.clone(), error.to_string()));
                            break;
                        }
                    },
                    FlowState::Beating | FlowState::Ended => break,
                    FlowState::Starting | FlowState::Waiting(_) | FlowState::Discovering(_) => {}
                }
                if ship.state.changed().await.is_err() {
                    break;
                }
            }
            failed.extend(not_copied(&ship.left_out.borrow()).map(|what| (ship.name.clone(), what)));
        }
        failed
    }
}
