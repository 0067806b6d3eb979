//! Kafka's bytes and their meaning, and the connection to a cluster. Nothing here knows of replication.

pub mod cluster;
pub mod connection;
pub mod fetch;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod messages;
pub mod pipe;
pub mod primitives;
pub mod produce;
pub mod records;
pub mod transport;
