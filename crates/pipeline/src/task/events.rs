//! What a flow's task hears.

use crate::broker::LaneKey;
use crate::flow::fill::{Fill, Filled};
use crate::flow::leading::{Lead, Led};
use crate::flow::merge::{MergedRun, RunError};
use crate::flow::repack::{RepackFailure, Repacked};
use crate::partition::{Aligned, Ground, Misaligned, Resume, ResumeAnswer};
use crate::positions::{Claimed, OffsetMap, PartitionChange, PositionError};
use crate::prepare::PreparedTopic;
use crate::status::Status;
use crate::view::{ConsumerPosition, Place};
use crate::{FinalPositions, FlowError, PartitionName, Side};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use verbatim_wire::cluster::{BrokerError, ClusterError, Metadata, ProducerState};
use verbatim_wire::connection::Connection;
use verbatim_wire::fetch::FetchedPartition;

/// From the network, and from work done beside the task.
#[derive(Debug)]
pub(crate) enum Event {
    SourceOpened {
        node: i32,
        outcome: Result<Connection, ClusterError>,
    },
    TargetOpened {
        lane: LaneKey,
        outcome: Result<Connection, ClusterError>,
    },
    /// How far a broker is, if it said.
    Measured {
        side: Side,
        node: i32,
        round_trip: Option<Duration>,
    },
    RangeFetched {
        number: u32,
        generation: u32,
        range: u64,
        reserved_bytes: usize,
        outcome: Result<FetchedPartition, ClusterError>,
    },
    Leaders {
        side: Side,
        outcome: Result<Arc<Metadata>, ClusterError>,
    },
    Resumed(Vec<(Resume, ResumeAnswer)>),
    /// Who has written to a partition that an open transaction holds back from offset `from` on.
    Held {
        number: u32,
        from: i64,
        producers: Vec<ProducerState>,
    },
    Bounds {
        number: u32,
        generation: u32,
        outcome: Result<(i64, i64), ClusterError>,
    },
    Aligned {
        number: u32,
        generation: u32,
        ground: Ground,
        outcome: Result<Aligned, Misaligned>,
    },
    Claimed(Result<Claimed, PositionError>),
    Filled(i64, Vec<(Fill, Filled)>),
    Led(Lead, Led),
    Repacked {
        number: u32,
        generation: u32,
        batches: Vec<Repacked>,
        failure: Option<RepackFailure>,
    },
    Merged {
        number: u32,
        generation: u32,
        count: usize,
        outcome: Result<MergedRun, RunError>,
    },
    Saved {
        changes: Vec<PartitionChange>,
        outcome: Result<(), PositionError>,
    },
    /// What producers of the source are.
    Learned {
        producers: Vec<i64>,
        outcome: Result<(), PositionError>,
    },
    /// Something beside the data was tried; it may have been denied.
    Aside {
        what: &'static str,
        denied: Option<BrokerError>,
    },
}

/// From the handle.
#[derive(Debug)]
pub(crate) enum Command {
    Add(Vec<PreparedTopic>),
    Status(oneshot::Sender<Status>),
    Map(PartitionName, oneshot::Sender<Option<OffsetMap>>),
    Places(Vec<(PartitionName, ConsumerPosition)>, oneshot::Sender<Vec<Place>>),
    Forget(Arc<str>, oneshot::Sender<Result<(), FlowError>>),
    CaughtUp(oneshot::Sender<Result<(), FlowError>>),
    Shutdown(oneshot::Sender<Result<FinalPositions, FlowError>>),
}
