//! Topics: a [`topic`] with its partitions, the typed [`limits`] of its configuration, and the known [`configs`].

pub(crate) mod configs;
pub(crate) mod limits;
pub(crate) mod topic;
