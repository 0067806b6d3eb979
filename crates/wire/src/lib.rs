//! Kafka's bytes and their meaning, and the connection to a cluster. Nothing here knows of replication.

#[doc(hidden)]
pub mod fuzzing;
pub mod records;
