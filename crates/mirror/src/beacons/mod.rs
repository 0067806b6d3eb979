//! What MirrorMaker 2 writes beside the data, in its own formats: its Java clients go on reading them.

mod formats;
mod heartbeats;
mod memory;
mod topic;

pub(crate) use heartbeats::Heartbeats;
pub(crate) use memory::{Checkpoints, OffsetSyncs};
pub(crate) use topic::BeaconTopic;
