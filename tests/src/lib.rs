//! Shared parts of the scenario tests.
//!
//! * [`oracle`]: reads and writes Kafka's logs batch by batch with a client and a header parser of its own, and compares two of them.
//! * [`kafka`]: real clusters for a test, or a plain word that there are none.
//! * [`java`]: Kafka's own producer and consumer, as second opinions and for load.
//!
//! A file in `tests/tests` whose name starts with `kafka` is run by `cargo xtask test` as part of the real-Kafka step; all others
//! must get by without, or skip through [`kafka::distribution`].

pub mod java;
pub mod kafka;
pub mod oracle;
