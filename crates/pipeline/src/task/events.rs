//! What a flow's task hears.

use crate::broker::LaneKey;
use crate::flow::repack::{RepackFailure, Repacked};
use crate::partition::{Resume, ResumeAnswer};
use crate::positions::PositionError;
use crate::prepare::PreparedTopic;
use crate::status::Status;
use crate::{FinalPositions, FlowError, Side};
use std::sync::Arc;
use tokio::sync::oneshot;
use verbatim_wire::cluster::{ClusterError, Metadata};
use verbatim_wire::connection::{Answer, Connection};

/// From the network, and from work done beside the task.
#[derive(Debug)]
pub(crate) enum Event {
    SourceOpened { node: i32, outcome: Result<Connection, ClusterError> },
    TargetOpened { lane: LaneKey, outcome: Result<Connection, ClusterError> },
    Fetched { node: i32, request: u64, answer: Answer },
    Produced { lane: LaneKey, request: u64, answer: Answer },
    Leaders { side: Side, outcome: Result<Arc<Metadata>, ClusterError> },
    Resumed(Vec<(Resume, ResumeAnswer)>),
    Repacked { number: u32, generation: u32, batches: Vec<Repacked>, failure: Option<RepackFailure> },
    Saved(Result<(), PositionError>),
}

/// From the handle.
#[derive(Debug)]
pub(crate) enum Command {
    Add(Vec<PreparedTopic>),
    Status(oneshot::Sender<Status>),
    CaughtUp(oneshot::Sender<Result<(), FlowError>>),
    Shutdown(oneshot::Sender<Result<FinalPositions, FlowError>>),
}
