//! Apache Kafka on this machine, for tests and for people: resolved through Maven, started as plain Java processes on loopback.
//!
//! ```no_run
//! use xtask::kafka::{Cluster, Distribution, Options};
//!
//! let kafka = Distribution::resolve("4.1.0")?;
//! let mut cluster = Cluster::start(&kafka, Options::new("source").brokers(3))?;
//! println!("{}", cluster.bootstrap());
//! cluster.kill(2)?;      // SIGKILL, as a power cut would
//! cluster.restart(2)?;   // the same ports, the same disk
//! # Ok::<(), xtask::kafka::Error>(())
//! ```
//!
//! Reading order: [`distribution`](Distribution) (jars), `options` (settings), `node` (one Java process), `cluster` (several),
//! `warden` (the clean-up that survives us), `probe` (does a broker answer).
//!
//! This module blocks and uses the standard library only. It is no part of the product: nothing in it is shared with the client
//! under test, so that a mistake there cannot hide here.

mod archive;
mod cluster;
mod distribution;
mod error;
mod maven;
mod node;
mod options;
mod probe;
mod shared;
pub mod warden;

use std::path::{Path, PathBuf};

pub use cluster::Cluster;
pub use distribution::Distribution;
pub use error::Error;
pub use options::{Options, Tuning};
pub use shared::{Place, SHARED, shared, shared_options};

/// The Kafka version used where nothing else is asked for.
pub const DEFAULT_VERSION: &str = "4.1.0";

/// The version that tests run against: `VERBATIM_KAFKA_VERSION`, else [`DEFAULT_VERSION`].
pub fn version() -> String {
    std::env::var("VERBATIM_KAFKA_VERSION").unwrap_or_else(|_| DEFAULT_VERSION.to_owned())
}

/// The distribution that tests run against, or why this machine cannot run it (no Java, no Maven, Maven Central out of reach).
pub fn available() -> Result<Distribution, Error> {
    Distribution::resolve(&version())
}

/// The directory cargo builds into: `CARGO_TARGET_DIR`, else `target` at the root of the workspace.
pub fn target_directory() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root.join(directory),
        None => root.join("target"),
    }
}

/// Finds a program in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|candidate| candidate.is_file())
}
