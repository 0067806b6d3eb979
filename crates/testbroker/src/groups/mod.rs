//! The group coordinator: committed [`offsets`], classic [`group`]s, and [`waiting`] for a rebalance.

pub(crate) mod group;
pub(crate) mod offsets;
pub(crate) mod waiting;
