//! Consumer groups: what they have committed on one side is what they have read on the other.
//!
//! Read both sides, translate through the flow's offset map, plan (pure), commit. A group with members is left alone, and none is
//! ever taken back.

mod plan;
mod read;
mod syncer;

pub(crate) use plan::Translated;
pub(crate) use read::{Group, Groups, read};
pub(crate) use syncer::GroupSyncer;
