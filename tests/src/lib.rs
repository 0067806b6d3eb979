//! Shared parts of the scenario tests.
//!
//! * [`oracle`]: reads and writes Kafka's logs batch by batch with a client and a header parser of its own, and compares two of them.
//! * [`kafka`]: real clusters for a test, or a plain word that there are none.
//! * [`scenario`]: two test clusters in memory, flows between them, and what their logs have to look like.
//! * [`java`]: Kafka's own producer and consumer, as second opinions and for load.
//! * [`scene`]: two clusters, these programs, and a copy between the two.
//! * [`replication`]: `verbatim run`, ready to be started again and again.
//! * [`workload`]: Java producers at work on topics of every kind, and what has to be true of their copies.
//! * [`cleaned`]: a topic that Kafka's cleaner has been through.
//! * [`gaps`]: many offsets for little.
//! * [`kills`]: the product dies again and again while such producers write.
//! * [`likeness`]: whether two topics show the same records, one by one.
//! * [`tls`]: certificates for brokers.
//! * [`verbatim`]: the product as a process.
//! * [`waiting`]: for conditions, with a deadline.
//!
//! A file in `tests/tests` whose name starts with `kafka` is run by `cargo xtask test` as part of the real-Kafka step; all others
//! must get by without, or skip through [`kafka::distribution`].

pub mod cleaned;
pub mod gaps;
pub mod java;
pub mod kafka;
pub mod kills;
pub mod likeness;
pub mod oracle;
pub mod replication;
pub mod sameness;
pub mod scenario;
pub mod scene;
pub mod tls;
pub mod verbatim;
pub mod waiting;
pub mod workload;

use std::error::Error;
use std::fmt;

/// What a test returns: any error fails it, with its message.
pub type TestResult<T = ()> = Result<T, Failure>;

/// Any error. The harness shows errors by `Debug`, which here is what the error has to say, line breaks and all: the end of a broker's
/// log is part of some.
pub struct Failure(Box<dyn Error + Send + Sync>);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}
