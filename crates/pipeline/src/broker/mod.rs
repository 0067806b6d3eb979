//! The brokers on both sides, as the flow's task knows them.

mod backlog;
mod distance;
mod source;
mod target;
mod window;

pub(crate) use backlog::Backlogs;
pub(crate) use source::{Outstanding, SourceBroker};
pub(crate) use target::{LaneKey, ProduceInFlight, TargetLane};
use window::Window;

use verbatim_wire::connection::Connection;

/// The way to a broker.
#[derive(Debug)]
pub(crate) enum Link {
    Closed,
    Opening,
    /// Failed; a timer will close it.
    Waiting,
    Open {
        connection: Connection,
        version: i16,
    },
}

impl Link {
    /// Brokers close connections that were idle for some minutes: that is no failure, it is opened again.
    pub(crate) fn close_if_ended(&mut self) {
        if matches!(self, Self::Open { connection, .. } if connection.is_closed()) {
            *self = Self::Closed;
        }
    }
}
