//! The oracle: says what is in a Kafka log, without a line of the code under test.
//!
//! It shares nothing with `verbatim-wire`: a blocking socket, codecs for the requests it needs, a header parser and a CRC-32C written
//! from the protocol's description. A mistake of the product can therefore not be repeated, and hidden, here. Plain listeners only;
//! payloads stay compressed (what is inside is for [`java`](crate::java) to judge).
//!
//! Request versions are such that brokers from 2.3 to 4.x serve them.
//!
//! Reading order: `primitives`, `connection`, `client` (the requests of a reader and writer), `admin` (those
//! of an administrator), `questions`, `markers`, `positions` (those that may be refused), `groups` (those of
//! consumer groups), `crc`, `batch` (one header), `log` (a partition), `compare`
//! (two of them), `build` (batches no proper client would send).

mod admin;
mod batch;
mod build;
mod client;
mod compare;
mod connection;
mod crc;
mod error;
mod groups;
mod log;
mod markers;
mod positions;
mod primitives;
mod questions;

pub use admin::{Acl, AclResource, Operation};
pub use batch::{RawBatch, RawRecord, parse_batches};
pub use build::BatchBuilder;
pub use client::{Client, Fetched, Isolation, NewTopic, Offsets};
pub use compare::{
    BatchName, Comparison, Difference, PartitionReport, Report, Side, compare, compare_batches,
};
pub use crc::crc32c;
pub use error::Error;

pub use log::{LogReader, for_each_batch, read_log};
pub use markers::Markers;
pub use questions::{Produced, ProducerState, Slice, Wanted};
