//! How far a broker is: the time to it and back.
//!
//! The first answer on a connection says little when it is late: the broker may have been busy, or just started. So one that seems far is
//! asked some more, on a connection where nothing else waits, and the quickest answer counts.

use crate::error::Side;
use crate::task::FlowTask;
use crate::task::events::Event;
use std::time::Duration;
use verbatim_wire::connection::Connection;

impl FlowTask {
    /// Measures how far a broker is, if the first answer on a connection to it leaves it open.
    pub(super) fn measure_if_far(&self, side: Side, node: i32, connection: &Connection) {
        if connection.round_trip() < self.config.far_round_trip {
            return;
        }
        let cluster = match side {
            Side::Source => self.source.clone(),
            Side::Target => self.target.clone(),
        };
        self.beside(async move {
            let round_trip = cluster.round_trip(node).await.ok();
            Event::Measured { side, node, round_trip }
        });
    }

    /// Far brokers are treated as such.
    pub(crate) fn measured(&mut self, side: Side, node: i32, round_trip: Option<Duration>) {
        let far = round_trip.filter(|round_trip| *round_trip >= self.config.far_round_trip);
        if far.is_some() {
            self.budget.widen(self.config.far_budget_bytes);
        }
        match side {
            Side::Source => {
                if let Some(broker) = self.sources.get_mut(&node) {
                    broker.far = far;
                }
            }
            Side::Target => {
                for (_, lane) in self.lanes.iter_mut().filter(|(key, _)| key.node == node) {
                    lane.window.measured(far);
                }
            }
        }
    }
}
