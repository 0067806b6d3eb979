//! The life of a batch, a file per stage:
//!
//! [`fetch`] → [`inspect`] → [`route`] → [`patch`] (or [`repack`]) → [`assemble`] → [`produce`] → [`settle`] →
//! [`checkpoint`].
//!
//! Where a partition is behind [`merge`] makes larger batches and, of a far source, [`ranges`] reads several places at once; [`throttle`] is
//! what rate limits let pass. With preserved offsets [`leading`] fills what comes before the first record and [`fill`] the gaps between; [`accident`] is
//! what happens when the source's log has changed.
//!
//! The type says the stage: `FetchedSlice`, `InspectedBatch`, `RoutedBatch`, `PatchedBatch`, a Produce frame,
//! a settled `Position`. One task owns all of it (see [`crate::task`]); the files hold its methods, stage by
//! stage.

pub(crate) mod accident;
pub(crate) mod assemble;
pub(crate) mod checkpoint;
pub(crate) mod fetch;
pub(crate) mod fill;
pub(crate) mod inspect;
pub(crate) mod leading;
pub(crate) mod merge;
pub(crate) mod patch;
pub(crate) mod produce;
pub(crate) mod ranges;
pub(crate) mod repack;
pub(crate) mod route;
pub(crate) mod settle;
pub(crate) mod throttle;

pub use repack::RepackError;
