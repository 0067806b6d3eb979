//! The group coordinator: committed [`offsets`] and classic [`group`]s.

pub(crate) mod group;
pub(crate) mod offsets;
