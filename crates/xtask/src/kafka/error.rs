//! What can go wrong while Kafka is fetched, started or stopped.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why Kafka is not there, or not doing what was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No `java` in `JAVA_HOME/bin` or `PATH`.
    NoJava,
    /// No `mvn` in `PATH`, and this version was never resolved before.
    NoMaven,
    /// Not a version string Maven could know.
    Version(String),
    /// Maven could not resolve the artifacts.
    Unresolvable {
        /// The Kafka version asked for.
        version: String,
        /// The last lines Maven printed.
        output: String,
    },
    /// The storage of a new broker could not be formatted.
    Format {
        /// The Kafka version.
        version: String,
        /// What the storage tool printed.
        output: String,
    },
    /// A broker ended by itself.
    Died {
        /// The cluster's name.
        cluster: String,
        /// The node id, from 1.
        node: u32,
        /// The end of its log.
        log: String,
    },
    /// A broker runs but does not answer.
    NotReady {
        /// The cluster's name.
        cluster: String,
        /// The node id, from 1.
        node: u32,
        /// How long it was given.
        waited: Duration,
        /// What the last question was answered with.
        reason: String,
        /// The end of its log.
        log: String,
    },
    /// No such node in the cluster, or it is not running.
    NotRunning {
        /// The cluster's name.
        cluster: String,
        /// The node id asked for; nodes count from 1.
        node: u32,
    },
    /// A Kafka tool ended with a failure.
    Tool {
        /// The main class.
        main_class: String,
        /// What it printed.
        output: String,
    },
    /// The operating system refused something.
    Io {
        /// What was being done, to which file or program.
        doing: String,
        /// The refusal.
        source: io::Error,
    },
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`: `.map_err(Error::io(format!("write {path}")))`.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJava => write!(f, "no Java: install a JDK 17 or newer, or set JAVA_HOME"),
            Self::NoMaven => write!(f, "no Maven: install `mvn`, which downloads Kafka once"),
            Self::Version(version) => write!(f, "{version:?} is not a Kafka version, such as 4.1.0"),
            Self::Unresolvable { version, output } => {
                write!(f, "Maven cannot resolve Kafka {version}:\n{output}")
            }
            Self::Format { version, output } => {
                write!(f, "Kafka {version} cannot format its storage:\n{output}")
            }
            Self::Died { cluster, node, log } => {
                write!(f, "node {node} of cluster {cluster} died; its log ends with:\n{log}")
            }
            Self::NotReady { cluster, node, waited, reason, log } => write!(
                f,
                "node {node} of cluster {cluster} is not ready after {} s ({reason}); its log ends with:\n{log}",
                waited.as_secs()
            ),
            Self::NotRunning { cluster, node } => write!(f, "cluster {cluster} has no running node {node}"),
            Self::Tool { main_class, output } => write!(f, "{main_class} failed:\n{output}"),
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The last `count` lines of a text, for messages.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// The last lines of a log file; empty when there is none.
pub(crate) fn tail_of(path: &PathBuf, count: usize) -> String {
    tail(&String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()), count)
}
