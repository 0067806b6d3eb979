//! From bytes to requests and back: [`frame`]s, one [`connection`] at a time, over [`tcp`] or [`memory`].

pub(crate) mod connection;
pub(crate) mod frame;
pub(crate) mod memory;
pub(crate) mod tcp;
