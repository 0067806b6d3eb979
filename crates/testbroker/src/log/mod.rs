//! The log of one partition, in the order a batch meets it: [`validate`] what a producer sent, check its
//! [`producers`] state, store the [`batch`], note [`epochs`] and [`transactions`], [`read`] it back,
//! and what happens to it later ([`compact`], truncation, retention).
//!
//! Pure: no clock, no tasks. Time is an argument.

pub(crate) mod batch;
pub(crate) mod compact;
pub(crate) mod epochs;
pub(crate) mod partition_log;
pub(crate) mod producers;
pub(crate) mod read;
pub(crate) mod time;
pub(crate) mod transactions;
pub(crate) mod validate;
