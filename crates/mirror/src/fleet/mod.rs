//! Many flows in one process, each by itself: one that fails does not disturb the others.

mod aside;
mod member;

pub use member::FlowState;

use crate::config::Setup;
use member::Member;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use verbatim_pipeline::Status;

/// The flows of a setup, running.
#[derive(Debug)]
pub struct Fleet {
    view: FleetView,
    tasks: Vec<JoinHandle<()>>,
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
}

/// One flow at one moment.
#[derive(Debug)]
pub struct FlowReport {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: FlowState,
    /// Where its partitions stand, if it runs.
    pub status: Option<Status>,
}

impl Fleet {
    /// Starts every flow of `setup`. A flow whose clusters cannot be reached goes on trying.
    pub fn start(setup: &Setup) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (mut ships, mut tasks) = (Vec::new(), Vec::new());
        for flow in &setup.flows {
            let cluster = |name: &str| setup.clusters.get(name).cloned();
            let (Some(source), Some(target)) = (cluster(&flow.source), cluster(&flow.target)) else {
                continue;
            };
            let (tell, state) = watch::channel(FlowState::Starting);
            let name = flow.name.clone();
            let member = Member { flow: flow.clone(), source, target, state: tell, stop: stopping.clone() };
            tasks.push(tokio::spawn(member.run()));
            ships.push(Ship { name, state });
        }
        Self { view: FleetView { ships }, tasks, stop }
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
                FlowState::Running(view) => view.status().await.ok(),
                _ => None,
            };
            reports.push(FlowReport { name: ship.name.clone(), state, status });
        }
        reports
    }

    /// Waits until every flow that copies has come to where its source ended when it first looked; returns the names of those of
    /// which partitions stopped on the way, with the reasons.
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
                    FlowState::Starting | FlowState::Waiting(_) => {}
                }
                if ship.state.changed().await.is_err() {
                    break;
                }
            }
        }
        failed
    }
}
