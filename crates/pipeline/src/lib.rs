//! Copies topics between Kafka clusters by forwarding the record batches it fetches, byte for byte.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use verbatim_pipeline::{Cluster, ClusterConfig, Flow};
//!
//! let source = Cluster::connect(ClusterConfig::new("a:9092")?).await?;
//! let target = Cluster::connect(ClusterConfig::new("b:9092")?).await?;
//! let flow = Flow::new(source, target).topic("orders").start().await?; // defaults are the safe ones
//! flow.caught_up().await?;
//! flow.shutdown().await?; // drains, notes and returns the final positions
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | `flow` | the life of a batch, a file per stage |
//! | `broker` | the brokers on both sides: connections, sessions, lanes |
//! | `partition` | what a partition is doing: state, queue, resuming |
//! | `task` | the one task that owns a flow: events in, requests out |
//! | `prepare` | looking at both sides before anything is written |
//! | `view` | asking a flow from beside it |
//! | `positions` | where each partition stands, kept on the target |

mod broker;
mod budget;
mod config;
mod error;
mod flow;
mod handle;
mod partition;
mod positions;
mod prepare;
mod rate;
mod status;
mod task;
mod view;

pub use config::{Batching, FlowConfig, Forward, Offsets, OnSourceAccident, Start};
pub use error::{FlowError, PartitionName, Side, StopReason};
pub use flow::RepackError;
pub use handle::{FinalPositions, Flow, FlowHandle, is_ours};
pub use partition::{Cause, Counters, Holder, Obstacle, Trouble};
pub use positions::{
    ChunkError, Claim, Claimed, EntryError, Gap, GapCause, MapChunk, OffsetMap, OffsetsHeld, PartitionChange,
    Position, PositionError, PositionStore, ProducerRole, Provenance, Run, StoredPartition, StoredState,
    Storing, Summary, TopicPositions, sources_of,
};
pub use prepare::TopicPair;
pub use rate::RateLimit;
pub use status::{PartitionStatus, Status};
pub use verbatim_wire::cluster::{Cluster, ClusterConfig, NewTopic};
pub use verbatim_wire::fetch::Isolation;
pub use view::{ConsumerPosition, FlowView, Place};
