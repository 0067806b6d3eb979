//! Real clusters for a test, or a plain word that there are none.
//!
//! ```no_run
//! # fn main() -> verbatim_tests::TestResult {
//! let Some(clusters) = verbatim_tests::kafka::two_clusters()? else { return Ok(()) };
//! let (from, to) = (clusters.source.bootstrap(), clusters.target.bootstrap());
//! # let _ = (from, to);
//! # Ok(())
//! # }
//! ```
//!
//! `VERBATIM_KAFKA` decides what a test does that needs Kafka: `off`, it says so and passes; `require`, it runs or fails. Without
//! the variable it runs where Kafka can be had and is skipped where not, except under `CI`, where that is a failure.
//! `VERBATIM_KAFKA_VERSION` names another version than the usual one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use xtask::kafka::{Cluster, Distribution, Error, Options, target_directory};

/// Kafka, or `None` where this test is to be skipped; an error where Kafka ought to be there and is not.
pub fn distribution() -> Result<Option<Distribution>, Error> {
    distribution_of(&xtask::kafka::version())
}

/// The same for a given version.
pub fn distribution_of(version: &str) -> Result<Option<Distribution>, Error> {
    distribution_with(version, &[])
}

/// Kafka with MirrorMaker 2.
pub fn distribution_with_mirror() -> Result<Option<Distribution>, Error> {
    distribution_with(&xtask::kafka::version(), &["connect-mirror"])
}

fn distribution_with(version: &str, artifacts: &[&str]) -> Result<Option<Distribution>, Error> {
    let wish = std::env::var("VERBATIM_KAFKA").unwrap_or_default();
    if wish == "off" {
        skip("it needs Kafka, which was switched off");
        return Ok(None);
    }
    let required = wish == "require" || std::env::var_os("CI").is_some();
    match Distribution::resolve_with(version, artifacts) {
        Ok(distribution) => Ok(Some(distribution)),
        Err(error) if required => Err(error),
        Err(error) => {
            skip(&format!("it needs Kafka: {error}"));
            Ok(None)
        }
    }
}

/// Whether tests that take minutes are to run (`VERBATIM_LONG`); says so where not.
pub fn long() -> bool {
    let long = is_long();
    if !long {
        skip("it takes minutes");
    }
    long
}

/// The same without a word, for tests that have a short form.
pub fn is_long() -> bool {
    std::env::var_os("VERBATIM_LONG").is_some()
}

/// Says that the current test is skipped and why, to whoever watches and to the summary of `cargo xtask test`.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    // The harness names a test's thread after the test.
    let name = thread.name().unwrap_or("a test");
    let line = format!("{name}: {reason}\n");
    // Past the harness, which keeps to itself what passing tests print.
    let _ = write!(std::io::stderr(), "skipped: {line}");
    if let Some(path) = std::env::var_os("VERBATIM_SKIPPED") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// A source and a target.
#[derive(Debug)]
pub struct Clusters {
    /// Where data comes from.
    pub source: Cluster,
    /// Where it goes.
    pub target: Cluster,
}

/// Two clusters of one broker, or `None` where this test is to be skipped.
pub fn two_clusters() -> Result<Option<Clusters>, Error> {
    two_clusters_with(Options::new("source"), Options::new("target"))
}

/// Two clusters as wished, or `None` where this test is to be skipped.
pub fn two_clusters_with(source: Options, target: Options) -> Result<Option<Clusters>, Error> {
    let Some(distribution) = distribution()? else { return Ok(None) };
    start_two(&distribution, source, target).map(Some)
}

/// Starts two clusters of one distribution at the same time.
pub fn start_two(distribution: &Distribution, source: Options, target: Options) -> Result<Clusters, Error> {
    let (source, target) = std::thread::scope(|scope| {
        let source = scope.spawn(|| Cluster::start(distribution, source));
        let target = Cluster::start(distribution, target);
        let source = source.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (source, target)
    });
    Ok(Clusters { source: source?, target: target? })
}

/// A directory of its own for a test, removed in the end.
#[derive(Debug)]
pub struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// A new directory with `name` in its name.
    pub fn new(name: &str) -> std::io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = target_directory().join("scratch").join(format!("{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
