//! The cluster as a whole: its [`builder`], the shared [`core`] and [`state`], and what a test can do to it:
//! [`control`], [`seed`], [`observe`], [`traffic`].

pub(crate) mod builder;
pub(crate) mod changes;
pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod core;
pub(crate) mod observe;
pub(crate) mod seed;
pub(crate) mod state;
pub(crate) mod traffic;
